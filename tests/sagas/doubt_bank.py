"""A bank whose first answer is lost, scripted: what it does with the first order, when an order
that is under way lands, and what a look-up tells until when. Its clock is moved by the caller."""

from dataclasses import dataclass, field
from typing import Literal

from activities.adapters.payment import (
    AccountKind,
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    RefundOrder,
    TransferOrder,
    TransferReport,
    TransferStatus,
)

# What the caller gets for the first order.
#   answered     the bank's answer
#   lost         the connection breaks off
#   silent       no answer in the time of an attempt
#   pending      the bank has the order, and no outcome yet
#   never_told   the bank says that it will never know the outcome
#   worker_lost  the worker dies in the call
#   not_sent     the order certainly did not leave
#   twice        the network delivers the order twice, and the second answer is the one that comes
#   foreign      the key belongs to another transfer
Fault = Literal[
    "answered", "lost", "silent", "pending", "never_told", "worker_lost", "not_sent", "twice",
    "foreign",
]  # fmt: skip
# When the bank carries out the first order: at once, never, or at LANDS_S, where it is on its way.
Work = Literal["at_once", "never", "on_its_way", "refused"]
# What a look-up tells until `find_until_s`; from then on, the truth.
Find = Literal["truth", "silent", "none"]

# The last attempt begins five minutes after the first, and ends itself after 25 s.
LANDS_S = 320.0
DECIDED_S = 100.0
AGAIN_S = 60.0


class WorkerLost(BaseException):
    """The worker is gone: nothing of its attempt returns."""


@dataclass(frozen=True)
class Script:
    fault: Fault = "answered"
    work: Work = "at_once"
    find: Find = "truth"
    find_until_s: float = 0.0
    repeat_is_refused: bool = False


@dataclass
class Account:
    """The bank's side of one key. `moved` counts how often money left, `back` how often it came
    back; `answers` is what the caller got, in order."""

    script: Script
    now_s: float = 0.0
    order: TransferOrder | None = None
    status: TransferStatus | Literal["pending"] | None = None
    on_its_way: bool = False
    moved: int = 0
    back: int = 0
    orders: int = 0
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    # So many answers came before the end.
    settled: int = 0

    def wait(self, seconds: float) -> None:
        """Let time pass; what is under way lands."""
        self.now_s += seconds
        if self.on_its_way and self.now_s >= LANDS_S:
            self.on_its_way = False
            if self.status is None:
                self.execute()
        if self.status == "pending" and self.now_s >= DECIDED_S:
            if self.script.work == "never":
                self.status = "refused"
            else:
                self.execute()

    @property
    def may_land(self) -> bool:
        """Whether money may still move without another order."""
        under_way = self.on_its_way and self.status is None
        return under_way or (self.status == "pending" and self.script.work != "never")

    @property
    def will_have_moved(self) -> bool:
        return self.status == "executed" or self.may_land

    def execute(self) -> None:
        self.status = "executed"
        self.moved += 1

    def report(self, *, known_before: bool = False) -> TransferReport:
        assert self.status != "pending"
        assert self.status is not None
        order = self.order
        has_moved = self.status in ("executed", "reversed")
        return TransferReport(
            key=order.key if order else "",
            status=self.status,
            reference="TRF-1" if has_moved else None,
            reason=None if has_moved else self.status,
            amount_minor=order.amount_minor if order else None,
            currency=order.currency if order else None,
            destination=order.destination if order else None,
            known_before=known_before,
        )

    def told(self, call: str, answer: str) -> None:
        self.answers.append((call, answer, round(self.now_s)))

    def fail(self, call: str, answer: str, error: BaseException) -> BaseException:
        self.told(call, answer)
        return error


class DoubtBank:
    """A payment adapter of this bank; `final`: it cancels and reverses nothing. Each key has an
    account with a script of its own."""

    account = "doubt"
    pays_to = frozenset[AccountKind]({"cbu"})
    can_refund = False

    def __init__(self, *, final: bool) -> None:
        self.name = "final" if final else "undoable"
        self.can_reverse = self.can_cancel = not final
        self.accounts: dict[str, Account] = {}

    def known_as(self, key: str) -> str:
        return key

    async def refund(self, order: RefundOrder) -> TransferReport:
        raise NotImplementedError("this bank refunds nothing")

    async def transfer(self, order: TransferOrder) -> TransferReport:
        mine = self.accounts[order.key]
        mine.orders += 1
        if mine.orders == 1:
            mine.order = order
            return self._first(mine)
        if mine.status == "pending":
            unknown = OutcomeUnknown("the bank has no outcome yet", AGAIN_S)
            raise mine.fail("transfer", "pending", unknown)
        if mine.script.repeat_is_refused and (mine.status is None or not self.can_cancel):
            if self.can_cancel:
                # There the key stays refused.
                mine.status = "refused"
            mine.told("transfer", "refused")
            return Account(mine.script, order=order, status="refused").report()
        if mine.script.fault == "foreign":
            raise mine.fail("transfer", "foreign", NotTheSameTransfer("another has the key"))
        known = mine.status is not None
        if not known:
            mine.execute()
        mine.told("transfer", str(mine.status))
        return mine.report(known_before=known)

    def _first(self, mine: Account) -> TransferReport:
        script = mine.script
        if script.fault == "pending":
            mine.status = "pending"
        elif script.work == "refused":
            mine.status = "refused"
        elif script.work == "at_once":
            mine.execute()
        mine.on_its_way = script.work == "on_its_way"
        failures: dict[str, BaseException] = {
            "lost": OutcomeUnknown("the connection broke off"),
            # As `asyncio.timeout` of the caller says it.
            "silent": TimeoutError(),
            "pending": OutcomeUnknown("the bank has no outcome yet", AGAIN_S),
            "never_told": OutcomeUnknown("the bank will never tell", for_ever=True),
            "worker_lost": WorkerLost(),
            "not_sent": NothingSent("the bank can't be reached"),
            "foreign": NotTheSameTransfer("another has the key"),
        }
        if (failure := failures.get(script.fault)) is not None:
            raise mine.fail("transfer", script.fault, failure)
        mine.told("transfer", str(mine.status))
        return mine.report(known_before=script.fault == "twice" and not self.can_cancel)

    async def find(self, key: str) -> TransferReport | None:
        mine = self.accounts[key]
        if mine.now_s < mine.script.find_until_s and mine.script.find == "silent":
            raise mine.fail("find", "silent", OutcomeUnknown("the bank did not answer"))
        if mine.script.fault == "foreign":
            raise mine.fail("find", "foreign", NotTheSameTransfer("another has the key"))
        lies = mine.now_s < mine.script.find_until_s and mine.script.find == "none"
        if lies or mine.status is None:
            mine.told("find", "none")
            return None
        self._settled(mine, "find")
        mine.told("find", mine.status)
        return mine.report()

    async def cancel(self, key: str) -> TransferReport:
        mine = self.accounts[key]
        if not self.can_cancel:
            found = await self.find(key)
            if found is None:
                raise OutcomeUnknown("the bank can't be kept from taking it")
            return found
        self._settled(mine, "cancel")
        mine.status = mine.status or "cancelled"
        mine.told("cancel", mine.status)
        return mine.report()

    async def reverse(self, key: str) -> TransferReport:
        mine = self.accounts[key]
        self._settled(mine, "reverse")
        if mine.status == "executed":
            mine.status = "reversed"
            mine.back += 1
        mine.status = mine.status or "cancelled"
        mine.told("reverse", mine.status)
        return mine.report()

    @staticmethod
    def _settled(mine: Account, call: str) -> None:
        if mine.status == "pending":
            raise mine.fail(call, "pending", OutcomeUnknown("no outcome yet", AGAIN_S))
