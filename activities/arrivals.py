"""Records money that the provider moved although its payment was undone: an event of the transfer,
its spend, and a case for a person. Found in a statement, or by asking the provider again."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    PaymentAdapter,
    TransferReport,
)
from activities.cases import arrival_case
from activities.errors import ATTEMPT
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import AuthorizationState, authorization_name
from ledger.aggregates.case import CaseOpened, case_name
from ledger.aggregates.policy import PolicyState, policy_name
from ledger.aggregates.policy_evaluation import Asked, windows_at
from ledger.aggregates.spend_window import SpendChange
from ledger.aggregates.transfer import TransferArrived, TransferState, transfer_name
from ledger.database import Database
from ledger.read.bookings import UNMOVED, unmoved_transfers
from ledger.read.cases import case_counts
from ledger.read.current_state import state_of
from ledger.store.commit import Author, Decision, Loaded, Ref, commit

# For so long after its end a transfer that moved nothing is looked up again: a bank books within
# days, and a statement shows what comes later.
LOOK_BACK = timedelta(days=7)
# In one reconciliation: a look at BIND takes a tenth of a second.
MOST_LOOKS = 1_000
# After so many looks in a row without an answer the provider is away: the next reconciliation looks
# again.
MOST_SILENT = 10


def look_of(adapter: str, saga_id: str) -> str:
    """The name of the look that a reconciliation takes, where a case has the id of a statement."""
    return f"{adapter}-look-{saga_id.rpartition('/')[2]}"


async def look_again(database: Database, adapter: PaymentAdapter, author: Author, look: str) -> int:
    """Asks the provider again for the transfers that ended lately and moved nothing, and records
    those that it has executed by now. Returns how many cases this look has, of this attempt and of
    those before it.

    Raises DatabaseUnavailable; a provider that gives no answer is asked in the next look.
    """
    silent = 0
    for transfer in await unmoved_transfers(database, adapter.name, LOOK_BACK, MOST_LOOKS):
        try:
            async with asyncio.timeout(ATTEMPT.total_seconds()):
                found = await adapter.find(transfer.key)
        except NotTheSameTransfer:
            # That another has our key was told when the payment ended.
            continue
        except (OutcomeUnknown, NothingSent, TimeoutError):
            silent += 1
            if silent == MOST_SILENT:
                break
            continue
        silent = 0
        if found is not None and _is_ours(found, transfer):
            known_as = adapter.known_as(transfer.key)
            opened = arrival_case(look, transfer.transfer_id, known_as, found)
            await record_arrivals(database, author, [opened])
    return sum((await case_counts(database, look)).values())


def _is_ours(found: TransferReport, transfer: TransferState) -> bool:
    theirs = (found.status, found.amount_minor, found.currency, found.destination)
    ours = (transfer.amount_minor, transfer.currency, transfer.destination)
    return theirs == ("executed", *ours)


async def record_arrivals(database: Database, author: Author, cases: Sequence[CaseOpened]) -> None:
    """Records the transfers of these cases as arrived, and opens the cases, each in one commit.
    What is on record stays as it is. Raises DatabaseUnavailable, RowUnreadable."""
    for opened in cases:
        await _record(database, author, opened)


async def _record(database: Database, author: Author, opened: CaseOpened) -> None:
    name, case = transfer_name(opened.transfer_id or ""), case_name(opened.case_id)
    # Of both only what never changes is used.
    moved = await state_of(database, name)
    assert isinstance(moved, TransferState)
    hold = await state_of(database, authorization_name(moved.authorization_id))
    assert isinstance(hold, AuthorizationState)
    policy = policy_name(hold.agent_id)

    def decide(loaded: Loaded) -> Decision[None]:
        events: list[tuple[str, Event]] = []
        transfer: TransferState = loaded[name]
        if transfer.state in UNMOVED:
            arrived = TransferArrived(
                reference=opened.reference or opened.end_to_end_id or "",
                seen_in=opened.statement_id,
                spend=_spend(loaded, loaded[policy], hold.agent_id, transfer),
            )
            events.append((name, arrived))
        if loaded[case] is None:
            events.append((case, opened))
        return Decision(None, events)

    await commit(database, author, [Ref(name), Ref(case), Ref(policy, "share")], decide)


def _spend(
    loaded: Loaded, policy: PolicyState | None, agent_id: str, transfer: TransferState
) -> list[SpendChange]:
    """The amount in the windows of now, whatever their limits: the money is gone. In none where the
    time zone of the policy is unknown by now."""
    amount = transfer.amount_minor
    asked = Asked(agent_id, amount, transfer.currency, transfer.destination)
    windows = windows_at(policy, asked, loaded.now) if policy is not None else None
    return [
        SpendChange(window=window, amount_minor=amount, count=1)
        for window in (windows or {}).values()
    ]
