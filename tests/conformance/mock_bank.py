"""The adapter `mock` under the conformance suite."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Literal, Self

import psycopg

from activities.adapters.mock import Fault, MockBank, Operation, create_mock_bank
from activities.adapters.payment import PaymentAdapter, RefundOrder, TransferOrder
from tests.conformance.bank import Order, Trouble

MOVED = "SELECT amount_minor FROM mock_bank.transfers WHERE key = %s AND status = 'executed'"


class ConformingMock:
    can: frozenset[Trouble | Literal["refunds"]] = frozenset(
        ("refused", "lost_before", "lost_after", "late", "find_lost", "refunds")
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._url = settings["AMENDS_MOCK_BANK_URL"]
        self._bank = MockBank(self._url)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await create_mock_bank(self._url)
        await self._stack.enter_async_context(self._bank)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def adapter(self) -> PaymentAdapter:
        return self._bank

    @property
    def unreachable(self) -> PaymentAdapter:
        # A pool that was never opened reaches nothing.
        return MockBank(self._url)

    def order(self, key: str, amount_minor: int) -> TransferOrder:
        return TransferOrder(key, amount_minor, "ARS", "2850590940090418135201", "expenses")

    def elsewhere(self) -> str:
        return "0170099220000067797370"

    async def script(self, order: Order, trouble: Trouble) -> None:
        sent: Operation = "refund" if isinstance(order, RefundOrder) else "transfer"
        faults = {
            "refused": Fault(order.key, "refuse", operation=sent),
            "lost_before": Fault(order.key, "timeout_before", operation=sent),
            "lost_after": Fault(order.key, "timeout_after", operation=sent),
            "late": Fault(order.key, "timeout_before", operation=sent),
            "find_lost": Fault(order.key, "timeout_before", operation="find"),
        }
        await self._bank.inject(faults[trouble])

    async def deliver(self, order: Order) -> None:
        # The order on the wire is the order.
        if isinstance(order, RefundOrder):
            await self._bank.refund(order)
        else:
            await self._bank.transfer(order)

    async def moved(self, key: str) -> list[int]:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            rows = await (await connection.execute(MOVED, [key])).fetchall()
        return [row[0] for row in rows]
