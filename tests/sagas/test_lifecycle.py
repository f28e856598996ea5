"""The state machine of a saga: laws of its table, and of real payments to which people, clients and
the bank do whatever they like, in any order."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from temporalio.client import RPCError, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from ledger.aggregates import saga
from tests.sagas.cancellation import types_of
from tests.sagas.conftest import Inject, NewAgent
from tests.support.driver import USER, Driver, Json, payment
from tests.support.probe import Probe
from workflows.engine.lifecycle import ENDED, TABLE, Lifecycle, LifecycleEvent, Phase

E = LifecycleEvent
EVENTS = st.lists(st.sampled_from(list(E)), max_size=12)


def walk(events: list[E]) -> Iterator[tuple[Phase, Lifecycle]]:
    """A lifecycle after each event that can happen to it, with the phase before."""
    lifecycle = Lifecycle()
    for event in events:
        before = lifecycle.phase
        if event in TABLE[before].after:
            lifecycle.on(event, "why")
            yield before, lifecycle


def after(phase: Phase) -> set[Phase]:
    """All that may come after a phase."""
    found: set[Phase] = set()
    new = {phase}
    while new:
        new = {later for one in new for later in TABLE[one].after.values()} - found
        found |= new
    return found


def test_the_table_has_a_row_for_every_phase_and_each_can_be_reached() -> None:
    assert set(TABLE) == set(Phase)
    assert after(Phase.PENDING) | {Phase.PENDING} == set(Phase)


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_comes_to_an_end_and_an_end_stays(phase: Phase) -> None:
    assert after(phase) & ENDED
    if phase in ENDED:
        assert set(TABLE[phase].after.values()) == {phase}


def test_the_states_on_record_are_those_of_the_ledger() -> None:
    states = {row.state for row in TABLE.values()} - {"pending", ""}
    assert states == set(get_args(saga.Phase))
    assert states < {event.value for event in E}


@given(events=EVENTS)
def test_what_is_on_record_once_stays_on_record(events: list[E]) -> None:
    recorded = False
    for _, lifecycle in walk(events):
        if lifecycle.phase is not Phase.LEFT_OPEN:
            assert lifecycle.is_recorded or not recorded
            recorded = lifecycle.is_recorded


@given(events=EVENTS)
def test_whoever_may_cancel_can_still_have_it_compensated(events: list[E]) -> None:
    for _, lifecycle in walk(events):
        if not lifecycle.refuses_cancel():
            assert Phase.COMPENSATED in after(lifecycle.phase)
            assert E.STOPPED in TABLE[lifecycle.phase].after


@given(events=EVENTS)
def test_a_cancel_that_was_refused_is_refused_ever_after(events: list[E]) -> None:
    refused = ""
    for _, lifecycle in walk(events):
        assert lifecycle.refuses_cancel() or not refused
        refused = lifecycle.refuses_cancel()
        assert "{" not in refused


@given(events=EVENTS)
def test_no_cancel_is_taken_past_the_pivot_nor_while_a_compensation_is_wanted(
    events: list[E],
) -> None:
    too_late = False
    for _, lifecycle in walk(events):
        too_late = too_late or lifecycle.phase in (Phase.PAST_PIVOT, Phase.STOPPING)
        assert lifecycle.refuses_cancel() or not too_late


@given(events=EVENTS)
def test_nothing_completes_once_compensation_is_on_record(events: list[E]) -> None:
    compensated = False
    for _, lifecycle in walk(events):
        assert not (compensated and lifecycle.phase in (Phase.COMPLETED, Phase.RUNNING))
        compensated = compensated or lifecycle.is_compensating


@given(events=EVENTS)
def test_what_people_see_changes_with_the_record_only(events: list[E]) -> None:
    state = "pending"
    for _, lifecycle in walk(events):
        if lifecycle.phase is Phase.LEFT_OPEN:
            assert lifecycle.state == state
        state = lifecycle.state
        assert state in {"pending", *get_args(saga.Phase)}


P = Phase
FOUND = {E.COMPENSATING: P.COMPENSATING, E.COMPLETED: P.COMPLETED}
FOUND |= {E.COMPENSATED: P.COMPENSATED, E.FAILED: P.FAILED}
FORWARD = {E.STOPPED: P.STOPPING, E.COMPLETED: P.COMPLETED, E.RUN_ENDED: P.LEFT_OPEN}


@pytest.mark.parametrize(
    ("phase", "after"),
    [
        (P.PENDING, {**FOUND, E.OPENED: P.RUNNING, E.STOPPED: P.PENDING_STOPPING}),
        (P.PENDING, {E.RUN_ENDED: P.LEFT_OPEN, E.CANCEL_REFUSED: P.PENDING_UNCANCELLABLE}),
        (P.PENDING_UNCANCELLABLE, {**FOUND, E.OPENED: P.UNCANCELLABLE}),
        (P.PENDING_UNCANCELLABLE, {E.STOPPED: P.PENDING_STOPPING, E.RUN_ENDED: P.LEFT_OPEN}),
        (P.PENDING_STOPPING, {**FOUND, E.OPENED: P.STOPPING, E.RUN_ENDED: P.LEFT_OPEN}),
        (P.RUNNING, {**FORWARD, E.PIVOTED: P.PAST_PIVOT, E.CANCEL_REFUSED: P.UNCANCELLABLE}),
        (P.UNCANCELLABLE, {**FORWARD, E.PIVOTED: P.PAST_PIVOT}),
        (P.PAST_PIVOT, {**FORWARD, E.CANCEL_REFUSED: P.PAST_PIVOT}),
        (P.STOPPING, {**FOUND, E.OPENED: P.STOPPING, E.RUN_ENDED: P.LEFT_OPEN}),
        (P.COMPENSATING, {E.OPENED: P.COMPENSATING, E.STOPPED: P.COMPENSATING}),
        (P.COMPENSATING, {E.COMPENSATED: P.COMPENSATED, E.FAILED: P.FAILED}),
    ],
)
def test_each_phase_is_followed_by_the_one_that_the_story_or_the_record_means(
    phase: Phase, after: dict[E, Phase]
) -> None:
    assert {event: TABLE[phase].after.get(event) for event in after} == after


def test_a_cancel_is_taken_only_before_anything_is_decided_against_it() -> None:
    takes = {phase for phase, row in TABLE.items() if not row.refuses_cancel}
    assert takes == {P.PENDING, P.RUNNING}
    assert {P.COMPLETED, P.COMPENSATED, P.FAILED, P.LEFT_OPEN} == ENDED


def test_past_its_pivot_a_saga_stays_so_until_it_ends_or_is_compensated() -> None:
    lifecycle = Lifecycle()
    lifecycle.on(E.OPENED)
    assert not lifecycle.is_past_pivot
    for event in (E.PIVOTED, E.CANCEL_REFUSED, E.PIVOTED):
        lifecycle.on(event)
        assert lifecycle.is_past_pivot


def test_what_cannot_happen_is_refused_with_the_phase_and_changes_nothing() -> None:
    lifecycle = Lifecycle()
    with pytest.raises(ApplicationError, match="PIVOTED can't happen to a saga that is PENDING"):
        lifecycle.on(E.PIVOTED)
    assert lifecycle.phase is Phase.PENDING


# What may be done to a payment, in any order and at any moment.
ACTS = ("cancel", "temporal cancel", "approve", "reject", "capture", "submit", "pause")
FAULTS = (None, None, "refuse", "timeout_before", "timeout_after", "slow_after")
LATE = "PT0.3S"
MANY = 24
COMPENSATED = {"compensating", "compensated", "failed"}
LOST = {"WORKFLOW_TASK_FAILED", "WORKFLOW_TASK_TIMED_OUT"}


@dataclass(frozen=True)
class StuckSaga:
    """One payment, and what befalls it: a fault of the bank, acts in an order, perhaps a deadline
    that is soon over."""

    pesos: int
    capture: str
    fault: str | None
    soon_over: bool
    acts: list[str]


TROUBLES = st.builds(
    StuckSaga,
    pesos=st.sampled_from([1_000, 55_000, 99_000]),
    capture=st.sampled_from(["automatic", "manual"]),
    fault=st.sampled_from(FAULTS),
    soon_over=st.booleans(),
    acts=st.lists(st.sampled_from(ACTS), min_size=1, max_size=6),
)


@settings(
    max_examples=3,
    deadline=None,
    phases=[Stage.explicit, Stage.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(troubles=st.lists(TROUBLES, min_size=MANY, max_size=MANY))
async def test_in_whatever_order_a_cancel_that_is_taken_is_an_end_without_money(
    driver: Driver, probe: Probe, new_agent: NewAgent, inject: Inject, troubles: list[StuckSaga]
) -> None:
    async with asyncio.TaskGroup() as group:
        for trouble in troubles:
            group.create_task(befall(driver, probe, await new_agent(), inject, trouble))
    await probe.check()


async def befall(
    driver: Driver, probe: Probe, agent: str, inject: Inject, trouble: StuckSaga
) -> None:
    soon = {"approve_within": LATE} if trouble.soon_over else {}
    request = payment(agent, trouble.pesos, capture=trouble.capture, **soon)
    if trouble.fault:
        delay = {"delay_ms": 200} if trouble.fault.startswith("slow") else {}
        await inject(request, trouble.fault, **delay)
    await driver.start(request)
    said = [asyncio.create_task(act(driver, request, name)) for name in trouble.acts]
    answers = dict(enumerate(await asyncio.gather(*said)))
    # Whatever it still waits for, it ends.
    answers[len(answers)] = await act(driver, request, "cancel")
    end = await end_of(driver, request)
    row, booked = await probe.saga(request), await probe.booked(request)
    if not row:
        # What came before the first task was refused, and with it the start.
        assert end == "failed", trouble
        assert (booked, [answer for answer in answers.values() if answer]) == (None, []), trouble
        return
    assert row["state"] in saga.CLOSED
    names = [*trouble.acts, "cancel"]
    taken = [answer for number, answer in answers.items() if answer and names[number] == "cancel"]
    if any(answer["state"] not in COMPENSATED for answer in taken):
        # Only a task that was lost may have closed it before the cancel came.
        assert {answer["state"] for answer in taken} == {"completed"}, (trouble, taken)
        assert LOST & set(await types_of(driver.handle(request))), trouble
    elif taken:
        assert row["state"] in COMPENSATED, trouble
    assert (end == "captured") == (booked is not None and booked["status"] == "executed"), trouble


async def act(driver: Driver, request: Json, name: str) -> Json | None:
    """What it was answered; None where it was refused, or came too late."""
    if name == "pause":
        await driver.progress(request)
        return None
    if name == "temporal cancel":
        with suppress(RPCError):
            await driver.handle(request).cancel()
        return None
    by: Any = {"actor": f"agent:{request['agent_id']}"} if name == "capture" else USER
    try:
        return await driver.tell(request, name, request if name == "submit" else by)
    except (WorkflowUpdateFailedError, RPCError):
        return None


async def end_of(driver: Driver, request: Json) -> str:
    try:
        return str((await driver.result(request))["state"])
    except WorkflowFailureError:
        return "failed"
