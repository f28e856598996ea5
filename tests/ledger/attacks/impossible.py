"""Lies that no other aggregate contradicts: events that can't follow in the state of their own."""

from collections.abc import Iterator
from typing import Any

from ledger.aggregates.aggregate import AggregateType, Event, UnknownEvent
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.transitions import TRANSITIONS, objection
from tests.ledger.attacks.lies import Lie
from tests.ledger.attacks.stories import Told
from tests.ledger.samples import SAMPLES
from tests.ledger.test_fold import fitted

BEGINS = {name for table in TRANSITIONS.values() for name in table[""]}


def _histories(aggregate_type: AggregateType, name: str) -> dict[str, list[Event]]:
    """The shortest legal history to each state, of an aggregate named so."""
    samples = [each for each in SAMPLES if type(each) in aggregate_type.events]
    found: dict[str, list[Event]] = {}
    histories: list[tuple[Any, list[Event]]] = [
        (aggregate_type.evolve(None, first), [first])
        for first in (named(each, name) for each in samples if type(each).__name__ in BEGINS)
    ]
    while histories:
        state, history = histories.pop(0)
        shape = _shape(state)
        if shape in found or len(history) > 5:
            continue
        found[shape] = history
        for each in samples:
            event = fitted(state, each)
            if objection(aggregate_type.name, state, event) is None:
                histories.append((aggregate_type.evolve(state, event), [*history, event]))
    return found


def _shape(state: Any) -> str:
    told = [getattr(state, name, None) for name in ("state", "binding", "claimed_by")]
    return " ".join(str(each)[:12] for each in told if each is not None)


def named(first: Event, name: str) -> Event:
    """The first event of an aggregate of this name."""
    own = name.split("/")
    changed: dict[str, Any] = {
        "SagaStarted": {"operation_id": own[-1], "workflow_id": "/".join(own[1:])},
        "StepCommitted": {"saga_id": "payment/steps", "name": own[-1]},
        "StepStarted": {"saga_id": "payment/steps", "name": own[-1]},
        "AuthorizationRequested": {"authorization_id": own[-1], "agent_id": own[-1]},
        "TransferStarted": {"transfer_id": own[-1]},
        "AgentRegistered": {"agent_id": own[-1]},
        "PolicySet": {"agent_id": own[-1]},
        "ResourceChangeStarted": {"name": own[-1]},
    }[type(first).__name__]
    return first.changed(**changed)


PREFIX = {"saga": "saga/payment/", "step": "step/payment/steps/", "resource": "resource/dev/"}


def impossible() -> Iterator[Lie]:
    """In each state of each aggregate type, each event that can't follow."""
    for aggregate_type in AGGREGATE_TYPES.values():
        of, kinds = aggregate_type.name, set[tuple[str, str]]()
        prefix = PREFIX.get(of, f"{of}/")
        for shape in _histories(aggregate_type, f"{prefix}x"):
            for number, sample in enumerate(SAMPLES):
                told = type(sample).__name__
                if type(sample) not in aggregate_type.events or (shape, told) in kinds:
                    continue
                name = f"{prefix}{shape.replace(' ', '-').replace('/', '-')}-{number}"
                history = _histories(aggregate_type, name)[shape]
                state: Any = None
                for event in history:
                    state = aggregate_type.evolve(state, event)
                lie = named(sample, name) if told in BEGINS else fitted(state, sample)
                if objection(of, state, lie) is None or not _folds(aggregate_type, state, lie):
                    continue
                kinds.add((shape, told))
                first: Told = [(name, event) for event in history]
                yield Lie(f"{told} in {shape}", (first,), [(name, lie)], "transition", name)


def _folds(aggregate_type: AggregateType, state: Any, lie: Event) -> bool:
    try:
        aggregate_type.evolve(state, lie)
    except UnknownEvent:  # tried in raw.py
        return False
    return True
