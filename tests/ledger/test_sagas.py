"""A saga's claim of its operation id, its steps, and the fence between forward and back."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ledger.aggregates import saga_step
from ledger.aggregates.aggregate import Event
from ledger.aggregates.step_report import UndoReport
from ledger.database import Database
from ledger.errors import Fenced, InputChanged, NotFound, StateRefused
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Compensation, close_saga, open_saga, record_repeat, take_over
from ledger.sagas.step_log import (
    StepOutcome,
    commit_step,
    finish_step,
    note_step,
    start_step,
    undo_step,
)
from ledger.store.commit import Decision, Loaded
from tests.ledger.conftest import Clone
from tests.ledger.writing import (
    AUTHOR,
    WITHIN,
    begin_step,
    changed,
    claim,
    compensate,
    open_payment,
    opening,
    refuse,
    register,
    run,
    take_step,
)

SAGA = "payment/rent"
STATE = "SELECT state, epoch FROM ledger.sagas"
STEPS = "SELECT version, state FROM ledger.saga_steps"
RELEASED = UndoReport(note="released", residual="a fee")


async def told(clone: Clone) -> Any:
    """What was said of the saga."""
    [(types,)] = await clone.fetch(
        "SELECT array_agg(event_type ORDER BY position) FROM ledger.event_log "
        "WHERE aggregate = 'saga/payment/rent'"
    )
    return types


def done(_: Loaded) -> Decision[StepOutcome]:
    return Decision(saga_step.StepDone(result={"reference": "r-1"}))


def refused(_: Loaded) -> Decision[StepOutcome]:
    return Decision(saga_step.StepRefused(reason="no funds"))


def undone(_: Loaded) -> Decision[saga_step.StepUndone]:
    return Decision(saga_step.StepUndone(note="released", residual="a fee"))


class TestOperationId:
    async def test_of_two_claims_at_once_one_is_new(self, clone: Clone, ledger: Database) -> None:
        opened = await asyncio.gather(*(open_payment(ledger, run_id=f"run-{n}") for n in range(8)))
        assert Counter(each.how for each in opened) == {"new": 1, "other_run": 7}
        assert await clone.fetch("SELECT count(*) FROM ledger.event_log") == [(1,)]

    async def test_its_own_run_may_ask_again_and_a_saga_of_another_name_does_not_share_it(
        self, ledger: Database
    ) -> None:
        made = [(await open_payment(ledger, "rent.9")).how for _ in range(2)]
        assert made == ["new", "same_run"]
        other = opening("rent.9").model_copy(update={"saga_id": "payment/rent:9"})
        with pytest.raises(InputChanged, match="belongs to another payment"):
            await open_saga(ledger, AUTHOR, other)

    async def test_another_request_or_a_repeat_while_it_runs_is_recorded_once(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        for _ in range(2):
            again = await open_payment(ledger, run_id="run-2", input_hash="other")
            assert again.how == "reused"
        assert await told(clone) == ["SagaStarted", "SagaReuseRefused"]
        same = await record_repeat(ledger, AUTHOR, SAGA, Fingerprint(given="first"), "update-1")
        other = await record_repeat(ledger, AUTHOR, SAGA, Fingerprint(given="other"), "update-2")
        assert (same.how, other.how) == ("duplicate", "reused")
        assert (await told(clone))[2:] == ["SagaDuplicateReceived", "SagaReuseRefused"]

    async def test_after_the_end_a_repeat_gets_the_first_result(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {"state": "captured"})
        for _ in range(2):
            again = await open_payment(ledger, run_id="run-2")
            assert (again.how, again.result) == ("duplicate", {"state": "captured"})
        assert await told(clone) == ["SagaStarted", "SagaCompleted", "SagaDuplicateReceived"]

    async def test_of_two_that_take_it_over_one_carries_it(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        taken = await asyncio.gather(
            *(take_over(ledger, AUTHOR, SAGA, "run-1", 1, run(f"run-{n}")) for n in (2, 3)),
            return_exceptions=True,
        )
        assert sorted(type(each).__name__ for each in taken) == ["Fenced", "Opened"]
        assert await clone.fetch(STATE) == [("running", 2)]

    async def test_a_run_that_was_taken_over_does_not_go_on_undoing(self, ledger: Database) -> None:
        await open_payment(ledger)
        assert (await compensate(ledger, cause="rejected")).epoch == 2
        await take_over(ledger, AUTHOR, SAGA, "run-1", 2, run("run-2"))
        with pytest.raises(Fenced):
            await compensate(ledger, 2)
        compensation = await compensate(ledger, 3, "run-2")
        assert (compensation.epoch, compensation.cause) == (3, "rejected")


class TestEnd:
    async def test_what_undoes_is_not_completed_and_not_ended_by_an_older_epoch(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        await compensate(ledger)
        with pytest.raises(StateRefused, match="can't end as completed"):
            await close_saga(ledger, AUTHOR, SAGA, 2, "completed", {})
        with pytest.raises(Fenced):
            await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {})
        assert await clone.fetch(STATE) == [("compensating", 2)]

    async def test_the_first_result_stands_and_whatever_its_run_asks_then_leaves_no_trace(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        for state in ("captured", "denied"):
            result = await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {"state": state})
            assert result == {"state": "captured"}
        assert (await open_payment(ledger)).how == "duplicate"
        found = await compensate(ledger)
        assert (found.state, found.result) == ("completed", {"state": "captured"})
        assert found.steps == []
        assert await told(clone) == ["SagaStarted", "SagaCompleted"]


class TestStep:
    async def test_a_decision_that_raises_leaves_it_unclaimed_and_the_first_result_stands(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        with pytest.raises(StateRefused):
            await commit_step(ledger, AUTHOR, claim(), [], refuse)
        assert await clone.fetch(STEPS) == []
        assert await take_step(ledger) == {"held": 1}
        assert await commit_step(ledger, AUTHOR, claim(), [], changed) == {"held": 1}
        # Another input is another question.
        with pytest.raises(InputChanged):
            await commit_step(ledger, AUTHOR, claim(input_hash="other"), [], changed)
        with pytest.raises(InputChanged):
            await start_step(ledger, AUTHOR, claim(input_hash="other"), [], changed, within=WITHIN)
        assert await clone.fetch(STEPS) == [(1, "done")]

    async def test_a_second_start_finds_the_first_and_an_outcome_stands(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        first = await begin_step(ledger)
        second = await start_step(ledger, AUTHOR, claim(), [], changed, within=WITHIN)
        assert (first.again, second.again) == (False, True)
        assert first.step == second.step
        assert second.step.facts == {"seen": "nothing"}
        assert second.step.undo == claim().undo
        assert (await finish_step(ledger, AUTHOR, claim(), [], done)).state == "done"
        again = await finish_step(ledger, AUTHOR, claim(), [], refused)
        assert (again.state, again.result) == ("done", {"reference": "r-1"})
        assert await clone.fetch(STEPS) == [(2, "done")]

    async def test_of_a_saga_or_of_a_start_that_never_was_is_not_found(
        self, ledger: Database
    ) -> None:
        await register(ledger)
        with pytest.raises(NotFound):
            await take_step(ledger)
        with pytest.raises(NotFound):
            await compensate(ledger)
        await open_payment(ledger)
        with pytest.raises(NotFound):
            await finish_step(ledger, AUTHOR, claim(), [], done)


Attempt = Callable[[Database], Awaitable[object]]
TOO_LATE: dict[str, Attempt] = {
    "step": lambda ledger: take_step(ledger),
    "start": lambda ledger: begin_step(ledger),
    "outcome of a slow call": lambda ledger: finish_step(
        ledger, AUTHOR, claim("slow", ordinal=2), [], done
    ),
}


class TestFence:
    @pytest.mark.parametrize("attempt", TOO_LATE.values(), ids=TOO_LATE)
    async def test_after_compensation_began_no_forward_commit_lands_and_that_is_recorded(
        self, clone: Clone, ledger: Database, attempt: Attempt
    ) -> None:
        await open_payment(ledger)
        slow = claim("slow", ordinal=2)
        await begin_step(ledger, slow)
        await compensate(ledger)
        with pytest.raises(Fenced):
            await attempt(ledger)
        assert await clone.fetch(STEPS) == [(1, "started")]
        assert await told(clone) == ["SagaStarted", "SagaCompensating", "SagaCommitRefused"]

    async def test_refuses_an_older_run_after_a_takeover_and_after_the_end(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        await take_over(ledger, AUTHOR, SAGA, "run-1", 1, run("run-2"))
        with pytest.raises(Fenced):
            await take_step(ledger, claim(epoch=1))
        assert await take_step(ledger, claim(epoch=2)) == {"held": 1}
        assert await told(clone) == ["SagaStarted", "SagaTakenOver", "SagaCommitRefused"]
        await close_saga(ledger, AUTHOR, SAGA, 2, "completed", {})
        with pytest.raises(Fenced):
            await commit_step(ledger, AUTHOR, claim(epoch=1), [], changed)

    async def test_refuses_an_undo_of_a_saga_that_runs_or_is_completed_where_a_step_has_its_result(
        self, clone: Clone, ledger: Database
    ) -> None:
        await open_payment(ledger)
        await take_step(ledger)
        with pytest.raises(Fenced):
            await undo_step(ledger, AUTHOR, claim(), [], undone)
        assert await told(clone) == ["SagaStarted", "SagaCommitRefused"]
        await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {})
        # A run whose workflow task was lost asks again for what it did.
        assert await commit_step(ledger, AUTHOR, claim(), [], changed) == {"held": 1}
        with pytest.raises(Fenced):
            await undo_step(ledger, AUTHOR, claim(), [], changed)

    async def test_a_racing_step_is_either_in_the_list_or_refused(self, ledger: Database) -> None:
        await open_payment(ledger)
        claims = [claim(f"hold-{number}", ordinal=number) for number in range(1, 13)]
        *landed, compensation = await asyncio.gather(
            *(take_step(ledger, each) for each in claims),
            compensate(ledger),
            return_exceptions=True,
        )
        assert isinstance(compensation, Compensation)
        in_time = [f"hold-{n}" for n, result in enumerate(landed, 1) if result == {"held": 1}]
        assert len(in_time) + sum(isinstance(result, Fenced) for result in landed) == 12
        assert [step.name for step in compensation.steps] == list(reversed(in_time))


async def test_compensation_lists_what_had_an_effect_the_last_first(ledger: Database) -> None:
    await open_payment(ledger)
    await take_step(ledger, claim("a", ordinal=1))
    await begin_step(ledger, claim("b", ordinal=2))
    await begin_step(ledger, claim("c", ordinal=3))
    await finish_step(ledger, AUTHOR, claim("b", ordinal=2), [], refused)
    compensation = await compensate(ledger, cause="refused", reason="no")
    assert [step.name for step in compensation.steps] == ["c", "a"]
    again = await compensate(ledger, cause="another")
    assert (again.epoch, again.cause, again.reason) == (2, "refused", "no")
    for step in compensation.steps:
        undo = claim(step.name, epoch=2, ordinal=step.ordinal)
        assert await undo_step(ledger, AUTHOR, undo, [], undone) == RELEASED
        assert await undo_step(ledger, AUTHOR, undo, [], changed) == RELEASED
    assert (await compensate(ledger, 2)).steps == []


async def test_of_a_saga_that_is_compensated_an_undo_stays_done_and_a_new_step_is_refused(
    ledger: Database,
) -> None:
    await open_payment(ledger)
    await take_step(ledger)
    await compensate(ledger)
    await undo_step(ledger, AUTHOR, claim(epoch=2), [], undone)
    await close_saga(ledger, AUTHOR, SAGA, 2, "compensated", {})
    assert await undo_step(ledger, AUTHOR, claim(epoch=2), [], changed) == RELEASED
    # Nor is it given up any more.
    skipped = saga_step.StepSkipped(residual="a fee", tries=1)
    step = await note_step(ledger, AUTHOR, claim(epoch=2), "compensating", skipped)
    assert step.state == "undone"
    for epoch in (1, 2):
        with pytest.raises(Fenced):
            await take_step(ledger, claim("another", epoch=epoch))


STEP_EVENTS = (
    "SELECT event_type || ' ' || (payload->>'epoch') || '/' || (payload->>'tries') "
    "FROM ledger.event_log WHERE aggregate LIKE 'step/%%' AND version > 1 ORDER BY version"
)


def asked(tries: int, epoch: int = 1) -> Event:
    return saga_step.StepAttentionRequested(
        reason="unknown", epoch=epoch, tries=tries, undoing=False
    )


def retried(tries: int, epoch: int = 1) -> Event:
    return saga_step.StepRetryRequested(reason=None, epoch=epoch, tries=tries, undoing=False)


async def test_a_question_and_its_answer_that_come_again_are_written_once(
    clone: Clone, ledger: Database
) -> None:
    """Two workers had the same task, and one of them was slower than the person."""
    await open_payment(ledger)
    await begin_step(ledger)
    for event in (asked(1), asked(1), retried(1), asked(1), retried(1), asked(2), retried(1)):
        step = await note_step(ledger, AUTHOR, claim(), "running", event)
    assert (step.attention, step.tries) == ("unknown", 2)
    # Whoever takes the saga over counts his own tries.
    await take_over(ledger, AUTHOR, "payment/rent", "run-1", 1, run("run-2"))
    theirs = claim(epoch=2)
    for event in (retried(2, epoch=2), asked(1, epoch=2), asked(3, epoch=2)):
        step = await note_step(ledger, AUTHOR, theirs, "running", event)
    assert (step.attention, step.tries) == ("unknown", 3)
    assert await clone.fetch(STEP_EVENTS) == [
        ("StepAttentionRequested 1/1",),
        ("StepRetryRequested 1/1",),
        ("StepAttentionRequested 1/2",),
        ("StepRetryRequested 2/2",),
        ("StepAttentionRequested 2/3",),
    ]
