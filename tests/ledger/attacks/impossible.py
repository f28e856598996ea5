"""Lies that no other aggregate contradicts: events that can't follow in the state of their own."""

from collections.abc import Iterator
from typing import Any

from ledger.aggregates.aggregate import AggregateType, Event, UnknownEvent
from ledger.aggregates.authorization import AuthorizationApproved
from ledger.aggregates.refund import RefundState
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.transfer import TransferState
from tests.ledger.attacks.forbidden import FORBIDDEN, WAYS
from tests.ledger.attacks.lies import Lie
from tests.ledger.attacks.stories import Told
from tests.ledger.samples import SAMPLES
from tests.ledger.test_fold import FIRST, fitted

BEGINS = {event.__name__ for events in FIRST.values() for event in events}


def named(first: Event, name: str) -> Event:
    """The first event of an aggregate of this name."""
    own = name.split("/")
    identities: dict[str, dict[str, Any]] = {
        "SagaStarted": {"operation_id": own[-1], "workflow_id": "/".join(own[1:])},
        "StepCommitted": {"saga_id": "payment/steps", "name": own[-1]},
        "StepStarted": {"saga_id": "payment/steps", "name": own[-1]},
        "AuthorizationRequested": {
            "authorization_id": own[-1],
            "agent_id": own[-1],
            "saga_id": f"payment/{own[-1]}",
        },
        "TransferStarted": {"transfer_id": own[-1]},
        "RefundRequested": {"refund_id": own[-1]},
        "AgentRegistered": {"agent_id": own[-1]},
        "PolicySet": {"agent_id": own[-1]},
        "MandateGranted": {"mandate_id": own[-1], "chain": []},
        "KeyRegistered": {"key_id": own[-1]},
        "ResourceChangeStarted": {"name": own[-1]},
        "StatementReconciled": {"statement_id": own[-1], "differences": 0},
        "CaseOpened": {"case_id": own[-1]},
    }
    return first.changed(**identities[type(first).__name__])


PREFIX = {"saga": "saga/payment/", "step": "step/payment/steps/", "resource": "resource/dev/"}


def fitting(state: Any, kind: str, name: str) -> Event:
    """An event of a kind, about the aggregate of this name and with the numbers that its state asks
    for: nothing but its kind is wrong."""
    [sample, *_] = [each for each in SAMPLES if type(each).__name__ == kind]
    if isinstance(sample, AuthorizationApproved):
        # By the policy, or else by the person whom the policy asked.
        sample = sample.changed(automatic=state is not None and state.binding is None)
    if kind in BEGINS:
        return named(sample, name)
    return sample if state is None else fitted(state, sample)


def history(aggregate_type: AggregateType, way: str, name: str) -> tuple[Any, list[Event]]:
    """The events of a way, and the state that they fold into."""
    state, events = None, list[Event]()
    for kind in way.split():
        events.append(fitting(state, kind, name))
        state = aggregate_type.evolve(state, events[-1])
    return state, events


def impossible() -> Iterator[Lie]:
    """In each state of each aggregate type, each event that can't follow and can be folded: of the
    others the finding is another one (raw.py)."""
    for of, states in FORBIDDEN.items():
        for where, kinds in states.items():
            for kind in kinds.split():
                name = f"{PREFIX.get(of, f'{of}/')}{where.replace(' ', '-')}-{kind}"
                state, events = history(AGGREGATE_TYPES[of], WAYS[of].get(where, ""), name)
                lie = fitting(state, kind, name)
                after = _folded(AGGREGATE_TYPES[of], state, lie)
                if after is not None and not _is_kept_out(after):
                    first: Told = [(name, event) for event in events]
                    what = f"{kind} in {where} {of}"
                    yield Lie(what, (first,), [(name, lie)], "transition", name)


def _folded(aggregate_type: AggregateType, state: Any, lie: Event) -> Any:
    try:
        return aggregate_type.evolve(state, lie)
    except UnknownEvent:
        return None


def _is_kept_out(state: Any) -> bool:
    """Whether a CHECK of the table refuses such a row, whoever writes it: of a refund without its
    money, and of a transfer with money that it does not have."""
    if isinstance(state, TransferState):
        return state.refunding_minor != 0 or state.refunded_minor != 0
    if not isinstance(state, RefundState) or state.state in ("requested", "denied"):
        return False
    return state.transfer_id is None or (state.state != "voided" and state.key is None)
