"""Legal histories of all aggregate types: what the events fold into is what the row holds."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.aggregates.agent import AgentRegistered
from ledger.aggregates.aggregate import AggregateType, Event, UnknownEvent, Value
from ledger.aggregates.authorization import (
    ApprovalRequested,
    AuthorizationApproved,
    AuthorizationReleased,
    AuthorizationRequested,
)
from ledger.aggregates.captures import (
    AuthorizationPartStarted,
    AuthorizationReduced,
    AuthorizationRestReleased,
    begun,
)
from ledger.aggregates.case import CaseOpened
from ledger.aggregates.key import KeyRegistered
from ledger.aggregates.mandate import MandateGranted
from ledger.aggregates.policy import PolicySet
from ledger.aggregates.refund import RefundRequested
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.resource import (
    ResourceApplied,
    ResourceChangeDropped,
    ResourceChangeStarted,
    ResourceDeleted,
)
from ledger.aggregates.saga import SagaCompensating, SagaLost, SagaStarted, SagaTakenOver
from ledger.aggregates.saga_step import StepCommitted, StepStarted
from ledger.aggregates.spend_window import FIRST_DAY, SpendChange, SpendWindow
from ledger.aggregates.statement import StatementReconciled
from ledger.aggregates.transfer import TransferStarted
from ledger.aggregates.transitions import TRANSITIONS, objection
from ledger.database import Database
from ledger.read.current_state import state_of
from ledger.read.log import Wanted, log
from ledger.read.point_in_time import Point
from ledger.read.show import show
from ledger.read.snapshot_writer import SnapshotMaker
from tests.ledger.samples import SAMPLES
from tests.ledger.writing import compensate, open_payment, write

T = TypeVar("T")
FIRST: dict[str, tuple[type[Event], ...]] = {
    "saga": (SagaStarted,),
    "step": (StepCommitted, StepStarted),
    "authorization": (AuthorizationRequested,),
    "transfer": (TransferStarted,),
    "refund": (RefundRequested,),
    "agent": (AgentRegistered,),
    "policy": (PolicySet,),
    "mandate": (MandateGranted,),
    "key": (KeyRegistered,),
    "resource": (ResourceChangeStarted,),
    "statement": (StatementReconciled,),
    "case": (CaseOpened,),
}
# What may begin an aggregate and may come again later; of the others only the first event is one.
AGAIN = (AgentRegistered, PolicySet, ResourceChangeStarted)

# PostgreSQL stores no NUL, UTF-8 no lone surrogate, and a name no control character.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
whole = st.integers(-(2**62), 2**62)
jsons = st.recursive(
    st.none() | st.booleans() | whole | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(1, 2**31 - 1),
    bool: st.booleans(),
    datetime: moments,
    date: st.dates(),
    NoneType: st.none(),
    Any: jsons,
    # Spend is not free: it is fitted to what was asked for.
    list[SpendChange]: st.just([]),
}


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a field, by its type."""
    if annotation in BY_TYPE:
        return BY_TYPE[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of(*map(values_of, inner))
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is list:
        return st.lists(values_of(inner[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values_of(inner[0]), values_of(inner[1]), max_size=3)
    assert issubclass(annotation, Value), annotation
    return instances_of(annotation)


def instances_of(model: type[Value]) -> st.SearchStrategy[Any]:
    types = get_type_hints(model)
    return st.builds(model, **{name: values_of(types[name]) for name in model.__struct_fields__})


def histories(aggregate_type: AggregateType) -> st.SearchStrategy[list[Event]]:
    """A first event that may begin the aggregate, and then any that may follow."""
    first = FIRST[aggregate_type.name]
    later = [event for event in aggregate_type.events if event not in first or event in AGAIN]
    following: st.SearchStrategy[list[Event]] = st.lists(
        st.one_of(*map(instances_of, later)), max_size=12 if later else 0
    )
    begin = st.one_of(*map(instances_of, first))
    return st.builds(lambda event, rest: [event, *rest], begin, following)


def named(aggregate_type: AggregateType, number: int, history: list[Event]) -> list[Event]:
    """What may follow each other of a history, as that of the aggregate `name_of(aggregate_type,
    number)`."""
    identities: dict[str, dict[str, Any]] = {
        "saga": {
            "kind": "payment",
            "operation_id": f"n-{number}",
            "workflow_id": f"payment/n-{number}",
            "namespace": "default",
            "namespace_id": "n-1",
        },
        "policy": {"agent_id": f"n-{number}", "time_zone": "UTC"},
        "mandate": {"mandate_id": f"n-{number}", "chain": [], "currency": "ARS"},
        "refund": {"refund_id": f"n-{number}", "currency": "ARS"},
        "key": {"key_id": f"n-{number}"},
        "step": {
            "saga_id": "payment/rent",
            "name": f"n-{number}",
            "epoch": 1,
            "ordinal": number + 1,
        },
        "authorization": {
            "authorization_id": f"n-{number}",
            "saga_id": f"payment/n-{number}",
            "currency": "ARS",
        },
        "resource": {"environment": "dev", "name": f"n-{number}"},
        "transfer": {"transfer_id": f"n-{number}"},
        "statement": {"statement_id": f"n-{number}", "differences": 0},
        # Of a person, and without a statement that counts it.
        "case": {"case_id": f"n-{number}", "statement_id": "n", "closed_by": "user:u-17"},
    }
    identity = identities.get(aggregate_type.name, {"agent_id": f"n-{number}"})
    of_it = [
        event.changed(**{name: it for name, it in identity.items() if hasattr(event, name)})
        for event in history
    ]
    return list(_lawful(aggregate_type, of_it))


def name_of(aggregate_type: AggregateType, number: int) -> str:
    place = {"saga": "payment/", "step": "payment/rent/", "resource": "dev/"}
    return f"{aggregate_type.name}/{place.get(aggregate_type.name, '')}n-{number}"


def _lawful(aggregate_type: AggregateType, events: list[Event]) -> Iterator[Event]:
    """Those of the events that may follow each other, fitted to the state before them."""
    state: Any = None
    for drawn in events:
        event = drawn if state is None else fitted(state, drawn)
        if objection(aggregate_type.name, state, event) is None:
            state = aggregate_type.evolve(state, event)
            yield event


def fitted(state: Any, event: Event) -> Event:
    match event:
        case SagaTakenOver() | SagaLost() | SagaCompensating():
            return event.changed(epoch=state.epoch + 1)
        case ApprovalRequested() | AuthorizationApproved() if state.binding is None:
            day = state.requested_at.date()
            names = [(state.agent_id, "daily", day)]
            names += [(f"mandate/{each}", "mandate", FIRST_DAY) for each in state.mandates]
            windows = [
                SpendWindow(
                    agent_id=name, currency=state.currency, period=period, starts_on=starts_on
                )
                for name, period, starts_on in names
            ]
            spend = [
                SpendChange(window=window, amount_minor=state.amount_minor, count=1)
                for window in windows
            ]
            return event.changed(spend=spend)
        case AuthorizationReduced():
            less = state.amount_minor // 2
            back = [each.changed(amount_minor=-less, count=0) for each in state.reserved]
            return event.changed(amount_minor=state.amount_minor - less, spend=back)
        case AuthorizationPartStarted():
            amount = min(event.amount_minor, max(state.left_minor // 2, 1))
            spend, counted = begun(state.reserved, state.parts, amount, into=lambda window: window)
            return event.changed(amount_minor=amount, spend=spend, counted=counted)
        case AuthorizationRestReleased():
            return event.changed(spend=[each.reversed() for each in state.rest])
        case AuthorizationReleased():
            back = [
                each.changed(amount_minor=-each.amount_minor, count=-each.count)
                for each in state.reserved
            ]
            return event.changed(spend=back)
        case ResourceApplied() | ResourceDeleted() | ResourceChangeDropped():
            return event.changed(change=state.claimed_by or event.change)
        case _:
            return event


def draw(values: st.SearchStrategy[T], number: int) -> list[T]:
    """So many of them. The loop of the ledger's connections can't run inside the drawing."""
    drawn: list[T] = []
    slow = [HealthCheck.too_slow, HealthCheck.nested_given]

    @settings(max_examples=number, deadline=None, suppress_health_check=slow)
    @given(value=values)
    def keep(value: T) -> None:
        drawn.append(value)

    keep()
    return drawn


def test_every_aggregate_type_is_drawn_from() -> None:
    assert FIRST.keys() == AGGREGATE_TYPES.keys()


def test_the_table_of_transitions_has_every_event_and_no_other() -> None:
    for aggregate_type in AGGREGATE_TYPES.values():
        events = {event.__name__ for event in aggregate_type.events}
        assert frozenset().union(*TRANSITIONS[aggregate_type.name].values()) == events


WITH_SNAPSHOTS = 6


@pytest.mark.parametrize("aggregate_type", AGGREGATE_TYPES.values(), ids=AGGREGATE_TYPES)
async def test_the_fold_of_the_events_is_the_row_and_that_of_each_prefix_the_answer_at_its_version(
    ledger: Database, aggregate_type: AggregateType
) -> None:
    drawn = draw(st.tuples(histories(aggregate_type), st.integers(0, 6), st.integers(1, 3)), 25)
    await open_payment(ledger)
    for number, (history, cut, every) in enumerate(drawn):
        aggregate = name_of(aggregate_type, number)
        history = named(aggregate_type, number, history)
        for part in (history[:cut], history[cut:]):
            await write(ledger, aggregate, *part)
            if number < WITH_SNAPSHOTS:
                await SnapshotMaker(ledger, every).make()
        logged = await log(ledger, Wanted(aggregate), limit=99)
        state = None
        for event, place in zip(history, logged, strict=True):
            state = aggregate_type.evolve(state, event)
            if number < WITH_SNAPSHOTS:
                past = await show(ledger, aggregate, Point(position=place.position))
                assert aggregate_type.state.read(past.state) == state
        shown = await show(ledger, aggregate)
        assert await state_of(ledger, aggregate) == state
        assert aggregate_type.state.read(shown.state) == state
        assert shown.version == len(history)
    # Some of the steps are undone.
    await compensate(ledger)


@pytest.mark.parametrize("aggregate_type", AGGREGATE_TYPES.values(), ids=AGGREGATE_TYPES)
def test_no_other_event_begins_an_aggregate_and_one_of_another_type_or_version_is_never_skipped(
    aggregate_type: AggregateType,
) -> None:
    class SomethingElseHappened(Event):
        pass

    samples = [event for event in SAMPLES if type(event) in aggregate_type.events]
    for event in (*samples, SomethingElseHappened()):
        if type(event) not in FIRST[aggregate_type.name]:
            with pytest.raises(UnknownEvent):
                aggregate_type.evolve(None, event)
    unknown = [(event.__name__, event.schema_version + 1) for event in aggregate_type.events]
    for name, version in [("SomethingElseHappened", 1), *unknown]:
        with pytest.raises(UnknownEvent):
            aggregate_type.event(name, version, {})
