"""Pay with the SDK: `python examples/pay.py`, in the folder in which `amends up` runs."""

import asyncio

from starter import Amends, Destination, Money, PaymentRequest


async def main() -> None:
    """Submit the payment, and wait for its end."""
    request = PaymentRequest(
        operation_id="rent-2026-11",
        agent_id="expense-bot",
        amount=Money(minor=4_500_000, currency="ARS"),
        destination=Destination(cbu="2850590940090418135201"),
        description="rent",
    )
    async with Amends.connect() as amends:
        progress = await amends.submit(request)
        print(progress.decision or progress.state)  # of a repeat: what became of it
        print(await amends.result(progress.saga_id))


if __name__ == "__main__":
    asyncio.run(main())
