"""The adapter `bind` under the conformance suite, with the BIND simulator."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Literal, Self

from activities.adapters.bind.adapter import BindBank
from activities.adapters.bind.connection import BindSettings
from activities.adapters.bind.origin_id import origin_id_of
from activities.adapters.payment import PaymentAdapter, TransferOrder
from tests.bank.simulator import ACCOUNT_ID, PASSWORD, USERNAME, BindSimulator, Fault
from tests.conformance.bank import Order, Trouble

# Nobody listens at the discard port.
NOWHERE = "http://127.0.0.1:9/v1"
FAULTS: dict[Trouble, Fault] = {
    "refused": Fault(http=409, code="TX046", times=1_000),
    "lost_before": Fault(cut="drop"),
    "lost_after": Fault(cut="drop", when="after"),
    "late": Fault(held=True),
    "unfinished": Fault(statuses=("IN_PROGRESS", "IN_PROGRESS", "COMPLETED")),
    "find_lost": Fault("find", cut="drop"),
}


def account_at(url: str, **more: float) -> BindSettings:
    """The simulator's account, at this URL."""
    return BindSettings(url, USERNAME, PASSWORD, ACCOUNT_ID, **more)  # type: ignore[arg-type]


class ConformingBind:
    can: frozenset[Trouble | Literal["refunds"]] = frozenset(FAULTS)

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._bank = BindSimulator()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._bank)
        open_ = self._stack.enter_async_context
        self._adapter = await open_(BindBank(account_at(self._bank.url)))
        self._unreachable = await open_(BindBank(account_at(NOWHERE)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def adapter(self) -> PaymentAdapter:
        return self._adapter

    @property
    def unreachable(self) -> PaymentAdapter:
        return self._unreachable

    def order(self, key: str, amount_minor: int) -> TransferOrder:
        return TransferOrder(key, amount_minor, "ARS", "2850590940090418135201", "expenses")

    def elsewhere(self) -> str:
        return "0170099220000067797370"

    async def script(self, order: Order, trouble: Trouble) -> None:
        self._bank.script(origin_id_of(order.key), FAULTS[trouble])

    async def deliver(self, order: Order) -> None:
        self._bank.release(origin_id_of(order.key))

    async def moved(self, key: str) -> list[int]:
        return [int(amount * 100) for amount in self._bank.moved(origin_id_of(key))]
