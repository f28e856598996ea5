"""What an adapter under test brings along: its bank, which can be scripted and read.

`pytest --adapter module:Class` runs the suite against the `Class` that implements `Bank`. The suite
makes one for the whole run, with the settings of the embedded servers, and gives each test keys
that nobody used before.
"""

from collections.abc import Mapping
from typing import Literal, Protocol, Self

from activities.adapters.payment import PaymentAdapter, RefundOrder, TransferOrder

Order = TransferOrder | RefundOrder
# What the bank does with the next transfer or refund of a key.
#   refused      it says no, and goes on saying no
#   lost_before  the call breaks off, and nothing was done
#   lost_after   the work is done, and the call breaks off
#   late         the call breaks off, and the order arrives later, with `deliver`
#   unfinished   the bank has taken the order, and has no outcome at the first look
#   find_lost    the next `find` breaks off
Trouble = Literal["refused", "lost_before", "lost_after", "late", "unfinished", "find_lost"]
# The adapter has `can_refund`: the suite refunds, too.
REFUNDS: Literal["refunds"] = "refunds"


class Bank(Protocol):
    """An adapter with the bank behind it, running inside `async with`."""

    # What this bank can be scripted to do: the suite runs the tests of these.
    can: frozenset[Trouble | Literal["refunds"]]

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings`: those of the embedded servers, such as AMENDS_MOCK_BANK_URL."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...

    @property
    def adapter(self) -> PaymentAdapter:
        """The adapter under test, open."""
        ...

    @property
    def unreachable(self) -> PaymentAdapter:
        """The same adapter, open, with a bank that can't be reached."""
        ...

    def order(self, key: str, amount_minor: int) -> TransferOrder:
        """An order that the bank would carry out, to the same destination each time."""
        ...

    def elsewhere(self) -> str:
        """Another destination that the bank knows."""
        ...

    async def script(self, order: Order, trouble: Trouble) -> None:
        """Let this happen with the next transfer, refund or find of the order's key. Refunds come
        only where the adapter has `can_refund`."""
        ...

    async def deliver(self, order: Order) -> None:
        """Let the order arrive that is `late`."""
        ...

    async def moved(self, key: str) -> list[int]:
        """The amounts in minor units that moved under a key and did not come back: read from the
        bank, past the adapter."""
        ...
