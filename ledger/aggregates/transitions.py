"""The legal transitions: which event may follow in which state of an aggregate.

The table is asked where events are written, and by `verify`. Readers don't ask: they fold whatever
the log holds.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ledger.aggregates.captures import begun, group_of
from ledger.aggregates.case import PERSON
from ledger.aggregates.names import mandate_name
from ledger.aggregates.saga_step import UNDECIDED
from ledger.aggregates.spend_window import FIRST_DAY, MANDATE_PERIOD, SpendChange

# For each aggregate type, the events that may follow in a state; '' is before the first event.
_REPEATS = "SagaDuplicateReceived SagaReuseRefused SagaCommitRefused"
_RUN = "SagaTakenOver SagaLost SagaRunClosed SagaRunPaused SagaRunResumed"
_SAGA_OPEN = f"{_RUN} {_REPEATS} SagaDecisionSigned"
_RELEASED = (
    "AuthorizationRejected AuthorizationExpired AuthorizationVoided AuthorizationCompensated"
)
_ANSWERED = "ApprovalGiven ApprovalRefused ApprovalRepeated AuthorizationReduced"
_UNDONE = "StepUndone StepSkipped StepResolved StepAttentionRequested StepRetryRequested"
_UNDONE += " StepUndoDelayed"
_UNDECIDED = f"StepLeftUnknown StepDone StepRefused StepFailed {_UNDONE}"
_MADE = "ResourceCreated ResourceUpdated ResourceReplaced ResourceDeleted ResourceChangeDropped"
_REFUNDS = "TransferRefundReserved TransferRefunded TransferRefundReleased"
TRANSITIONS: Mapping[str, Mapping[str, frozenset[str]]] = {
    aggregate_type: {state: frozenset(events.split()) for state, events in rows.items()}
    for aggregate_type, rows in {
        "saga": {
            "": "SagaStarted",
            "running": f"{_SAGA_OPEN} SagaWaitStarted SagaWaitEnded SagaCompensating SagaCompleted",
            "compensating": f"{_SAGA_OPEN} SagaCompensated SagaFailed",
            "completed": _REPEATS,
            "compensated": _REPEATS,
            "failed": _REPEATS,
        },
        "step": {
            "": "StepCommitted StepStarted",
            "started": _UNDECIDED,
            "unknown": _UNDECIDED,
            "done": _UNDONE,
            "refused": "",
            "failed": "",
            "undone": "",
            "skipped": "",
        },
        "authorization": {
            "": "AuthorizationRequested",
            "requested": "AuthorizationDenied ApprovalRequested AuthorizationApproved",
            "pending_approval": f"{_ANSWERED} AuthorizationApproved {_RELEASED}",
            # A rejection or a deadline may meet an approval whose answer was lost.
            "approved": "AuthorizationCaptureStarted AuthorizationPartStarted "
            f"AuthorizationRestReleased {_RELEASED}",
            "capturing": "AuthorizationCaptured AuthorizationPartCaptured "
            "AuthorizationPartReturned AuthorizationCompensated",
            "captured": "",
            "denied": "",
            "rejected": "",
            "expired": "",
            "voided": "",
            "compensated": "",
        },
        "transfer": {
            "": "TransferStarted",
            "started": "TransferExecuted TransferRefused TransferCancelled TransferReversed",
            # An operator may have resolved a transfer as executed that the provider never had.
            "executed": f"TransferReversed TransferRefused TransferCancelled {_REFUNDS}",
            # The provider may show it after all.
            "refused": "TransferArrived",
            "cancelled": "TransferArrived",
            "reversed": "",
            "arrived": "",
        },
        "refund": {
            "": "RefundRequested",
            "requested": "RefundDenied RefundReserved",
            "reserved": "RefundStarted RefundVoided",
            "started": "RefundExecuted RefundRefused RefundCancelled",
            "denied": "",
            "executed": "",
            "refused": "",
            "cancelled": "",
            "voided": "",
        },
        "agent": {
            "": "AgentRegistered",
            "active": "AgentRegistered AgentRevoked",
            "revoked": "AgentRegistered AgentRevoked",
        },
        "policy": {"": "PolicySet", "set": "PolicySet"},
        "mandate": {"": "MandateGranted", "active": "MandateRevoked", "revoked": ""},
        "key": {"": "KeyRegistered", "active": "KeyRevoked", "revoked": ""},
        "resource": {
            "": "ResourceChangeStarted",
            "free": "ResourceChangeStarted",
            "claimed": _MADE,
        },
        "statement": {"": "StatementReconciled", "reconciled": ""},
        "case": {"": "CaseOpened", "open": "CaseClosed", "closed": ""},
    }.items()
}


def _authorization(state: Any) -> str:
    # The verdict of the policy, which binds, is the second event.
    undecided = state.state == "pending_approval" and state.binding is None
    return "requested" if undecided else str(state.state)


_STATE: Mapping[str, Callable[[Any], str]] = {
    "authorization": _authorization,
    "policy": lambda _: "set",
    "statement": lambda _: "reconciled",
    "resource": lambda state: "claimed" if state.claimed_by else "free",
}


def objection(aggregate_type: str, state: Any, event: Any) -> str | None:
    """Says why the event can't follow in this state (None: before the first event), without any
    value; None where the event may follow."""
    named = _STATE.get(aggregate_type)
    now = "" if state is None else named(state) if named else state.state
    name = type(event).__name__
    if name not in TRANSITIONS[aggregate_type][now]:
        return f"{name} can't follow in state {now}" if now else f"{name} can't be the first event"
    fits = _FITS.get(name)
    return fits(state, event) if fits is not None else None


def _next_epoch(state: Any, event: Any) -> str | None:
    if event.epoch == state.epoch + 1:
        return None
    return f"{type(event).__name__} to epoch {event.epoch} can't follow epoch {state.epoch}"


def _outcome(state: Any, event: Any) -> str | None:
    if event.outcome == "undone" or state.state in UNDECIDED:
        return None
    return f"an outcome can't be resolved in state {state.state}"


def _claim(state: Any, event: Any) -> str | None:
    if event.change == state.claimed_by:
        return None
    return f"{type(event).__name__} is of another change than the one that claimed the resource"


# How far from the day of a request its windows may begin, by period: in another time zone, and
# after a change of it.
_DAYS_APART = {"daily": 3, "weekly": 10, "monthly": 35}


def _reserves(state: Any, event: Any) -> str | None:
    asked = (state.agent_id, state.currency, state.amount_minor, 1)
    of_policy = [each for each in event.spend if each.window.period != MANDATE_PERIOD]
    periods = {change.window.period for change in of_policy}
    if (
        any(_reserved(change) != asked for change in of_policy)
        or "daily" not in periods
        or len(periods) < len(of_policy)
    ):
        return f"{type(event).__name__} doesn't reserve the amount that was asked for"
    of_mandates = [each for each in event.spend if each.window.period == MANDATE_PERIOD]
    if [(*_reserved(each), each.window.starts_on) for each in of_mandates] != [
        (mandate_name(mandate), *asked[1:], FIRST_DAY) for mandate in state.mandates
    ]:
        return f"{type(event).__name__} doesn't reserve in exactly its mandates"
    for change in of_policy:
        window, day = change.window, state.requested_at.date()
        allowed = timedelta(days=_DAYS_APART.get(window.period, day.toordinal()))
        if abs(window.starts_on - day) > allowed:
            return f"{type(event).__name__} reserves on another day than that of the request"
    return None


def _reserved(change: SpendChange) -> tuple[str, str, int, int]:
    window = change.window
    return window.agent_id, window.currency, change.amount_minor, change.count


def _moves(state: Any, event: Any) -> str | None:
    """What was reserved moves to later windows of the same periods, whole."""
    if state.parts:
        return f"{type(event).__name__} can't follow a capture of a part"
    left = [change for change in event.spend if change.amount_minor <= 0]
    taken = [change for change in event.spend if change.amount_minor > 0]
    periods = [change.window.period for change in taken]
    gone = _amounts(left, -1)
    if (
        any(each not in _amounts(state.reserved) for each in gone)
        or sorted(change.window.period for change in left) != sorted(periods)
        or len(set(periods)) < len(periods)
        or MANDATE_PERIOD in periods
        or any(_reserved(each) not in map(_reserved, state.reserved) for each in taken)
        or not all(
            each.window.starts_on > before.window.starts_on
            for each in taken
            for before in left
            if each.window.period == before.window.period
        )
    ):
        return f"{type(event).__name__} doesn't move the amount that was reserved"
    return None


def _moves_part(state: Any, event: Any) -> str | None:
    """A part of the rest moves to later windows of the same holders and periods, or stays."""
    windows = {group_of(each.window): each.window for each in event.counted}
    told = f"{type(event).__name__} doesn't move a part of the amount that is left"
    is_over = any(part.final and part.state == "settled" for part in state.parts)
    if is_over or not 0 < event.amount_minor <= state.left_minor:
        return told
    if len(windows) < len(event.counted) or windows.keys() != {
        group_of(held.window) for held in state.rest
    }:
        return told
    spend, counted = begun(
        *(state.reserved, state.parts, event.amount_minor),
        into=lambda window: windows[group_of(window)],
    )
    # The budget of a mandate has one window, and stays there.
    is_forward = all(
        windows[group_of(each.window)].starts_on > each.window.starts_on
        and each.window.period != MANDATE_PERIOD
        for each in spend
        if each.amount_minor < 0
    )
    return None if is_forward and (spend, counted) == (event.spend, event.counted) else told


def _captures(state: Any, event: Any) -> str | None:
    return f"{type(event).__name__} can't end a capture of a part" if state.parts else None


def _captures_part(state: Any, event: Any) -> str | None:
    return None if state.parts else f"{type(event).__name__} is of no part that is captured"


def _returns_part(state: Any, event: Any) -> str | None:
    # Before the first part is captured, the whole payment is undone.
    if state.captured_minor:
        return None
    return f"{type(event).__name__} can't follow before a part is captured"


def _releases_rest(state: Any, event: Any) -> str | None:
    if state.captured_minor and _amounts(event.spend) == _amounts(state.rest, -1):
        return None
    return f"{type(event).__name__} doesn't release what is left"


def _reduces(state: Any, event: Any) -> str | None:
    """A smaller amount releases exactly the difference, in each window."""
    less = state.amount_minor - event.amount_minor
    back = [(held.window, -less, 0) for held in state.reserved]
    if event.amount_minor > 0 and less > 0 and _amounts(event.spend) == back:
        return None
    return f"{type(event).__name__} doesn't release the difference to a smaller amount"


def _gives(state: Any, event: Any) -> str | None:
    return "the person has approved before" if event.by in state.approved_by else None


def _repeats(state: Any, event: Any) -> str | None:
    return None if event.by in state.approved_by else "the person has not approved before"


def _waits(state: Any, event: Any) -> str | None:
    if state.waits_for is None:
        return None
    return f"{type(event).__name__} can't follow while the saga waits"


def _wait_ended(state: Any, event: Any) -> str | None:
    if state.waits_for == event.waits_for:
        return None
    return f"{type(event).__name__} is of another wait than that of the saga"


def _approves(state: Any, event: Any) -> str | None:
    if event.automatic != (state.binding is None):
        return "the approval is of a person where the policy decides, or the other way round"
    if event.automatic:
        return _reserves(state, event)
    return "the amount is reserved twice" if event.spend else _gives(state, event)


def _releases(state: Any, event: Any) -> str | None:
    if state.captured_minor:
        return f"{type(event).__name__} can't follow after a part was captured"
    # Without spend the amount stays spent: whether the money is gone shows in the transfer.
    if _amounts(event.spend) == _amounts(state.reserved, -1):
        return None
    if not event.spend and state.state == "capturing":
        return None
    return f"{type(event).__name__} doesn't release the amount that was reserved"


def _arrives(state: Any, event: Any) -> str | None:
    wanted = (state.currency, state.amount_minor, 1)
    found = [(each.window.currency, each.amount_minor, each.count) for each in event.spend]
    windows = {each.window for each in event.spend}
    if found != [wanted] * len(found) or len(windows) < len(found):
        return f"{type(event).__name__} counts another amount than that of the transfer"
    return None


def _reserves_refund(state: Any, event: Any) -> str | None:
    if 0 < event.amount_minor <= state.refundable_minor:
        return None
    return "TransferRefundReserved is of more than what is left of the transfer"


def _ends_refund(state: Any, event: Any) -> str | None:
    if 0 < event.amount_minor <= state.refunding_minor:
        return None
    return f"{type(event).__name__} is of more than what is reserved for refunds"


def _unrefunded(state: Any, event: Any) -> str | None:
    if state.refunding_minor == state.refunded_minor == 0:
        return None
    return f"{type(event).__name__} can't follow a refund"


def _reserved_refund(state: Any, event: Any) -> str | None:
    asked = ((state.amount_minor, event.amount_minor), (state.currency, event.currency))
    if event.amount_minor > 0 and all(one in (None, other) for one, other in asked):
        return None
    return "RefundReserved is of another amount than the one that was asked for"


def _closes(state: Any, event: Any) -> str | None:
    if event.closed_by.startswith(PERSON) and event.evidence:
        return None
    return "a case is closed by a person, with evidence"


def _amounts(changes: Sequence[SpendChange], sign: int = 1) -> list[tuple[Any, int, int]]:
    return [(each.window, sign * each.amount_minor, sign * each.count) for each in changes]


# What an event must fit beyond the table.
_FITS: Mapping[str, Callable[[Any, Any], str | None]] = {
    **dict.fromkeys(("SagaTakenOver", "SagaLost", "SagaCompensating"), _next_epoch),
    **dict.fromkeys(_MADE.split(), _claim),
    **dict.fromkeys(_RELEASED.split(), _releases),
    "SagaWaitStarted": _waits,
    "SagaWaitEnded": _wait_ended,
    "StepResolved": _outcome,
    "ApprovalRequested": _reserves,
    "ApprovalGiven": _gives,
    "ApprovalRepeated": _repeats,
    "AuthorizationApproved": _approves,
    "AuthorizationReduced": _reduces,
    "AuthorizationCaptureStarted": _moves,
    **dict.fromkeys(("TransferReversed", "TransferRefused", "TransferCancelled"), _unrefunded),
    "TransferRefundReserved": _reserves_refund,
    **dict.fromkeys(("TransferRefunded", "TransferRefundReleased"), _ends_refund),
    "RefundReserved": _reserved_refund,
    "AuthorizationCaptured": _captures,
    "AuthorizationPartStarted": _moves_part,
    "AuthorizationPartCaptured": _captures_part,
    "AuthorizationPartReturned": _returns_part,
    "AuthorizationRestReleased": _releases_rest,
    "CaseClosed": _closes,
    "TransferArrived": _arrives,
}
