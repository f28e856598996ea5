"""What becomes of a step that can't get on alone, by its own policies: a saga of the tests' own,
against an outside that says what the test wants."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from temporalio.client import Client

from activities import errors
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from activities.together import TogetherActivities
from ledger.aggregates.saga_step import StepDone
from ledger.database import Database
from ledger.sagas.step_log import StepClaim, StepOutcome, finish_step
from ledger.store.canonical_json import digest
from ledger.store.commit import Author, Decision
from tests.support.closing import until_the_core_has_left
from tests.support.driver import USER, Driver, new_id, saga_of
from tests.support.probe import Probe
from tests.support.stuck_sagas import InTrouble, needs_person, stuck_saga, trial
from tests.support.trial_saga import TrialSaga
from tests.support.trial_steps import TrialStep, TrialSteps, Word
from tests.support.until import DEADLINE_S, until
from worker.wiring import worker

QUEUE = "sagas-trial"
SOON = "PT0.2S"


@pytest.fixture(scope="module")
async def trial_steps(ledger: Database, client: Client) -> AsyncIterator[TrialSteps]:
    """The trial system, and a worker of the saga that calls it."""
    trial_steps = TrialSteps(ledger)
    together = TogetherActivities(ledger, [trial_steps])
    rooms = [SagaActivities(ledger, client), StepRecords(ledger), trial_steps, together]
    async with worker(client, QUEUE, [TrialSaga], rooms):
        yield trial_steps
    await until_the_core_has_left()


@pytest.fixture
async def trial_driver(
    client: Client, probe: Probe, trial_steps: TrialSteps
) -> AsyncIterator[Driver]:
    """Starts trial sagas; whatever the test did, the ledger holds together afterwards."""
    yield Driver(client, QUEUE)
    await probe.check()


@pytest.fixture
def soon_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away is told of after two tries instead of a quarter of a minute."""
    monkeypatch.setattr(errors, "TRIES_AT_ONCE", 2)


@pytest.fixture
def to_run(trial_driver: Driver, trial_steps: TrialSteps) -> InTrouble:
    """`await to_run("away")`: a saga whose step the trial system does not carry out."""
    return partial(stuck_saga, trial_driver, trial_steps, "{}")


@pytest.fixture
def to_undo(trial_driver: Driver, trial_steps: TrialSteps) -> InTrouble:
    """`await to_undo("no", undo_tries=2)`: one whose step the trial system does not undo."""
    return partial(stuck_saga, trial_driver, trial_steps, "undo {}")


async def test_an_undo_that_may_go_on_leaves_a_residual_after_its_tries(
    trial_driver: Driver, probe: Probe, trial_steps: TrialSteps, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = new_id("first"), new_id("second")
    trial_steps.says[f"undo {second}"] = "no"
    result = await trial_driver.run(trial(first, second, undo_tries=2, then="go_on"))
    residual = f"{second}: not undone after 2 tries (the trial system says no)"
    assert (result["state"], result["residuals"]) == ("compensated", [residual])
    assert [(each["name"], each["outcome"], each["undo_outcome"]) for each in result["steps"]] == [
        (first, "done", "undone"),
        (second, "done", "skipped"),
    ]
    assert [each["undo_tries"] for each in result["steps"]] == [1, 2]
    assert trial_steps.calls.count(f"undo {second}") == 2
    logged = [line for line in caplog.messages if "the undo of" in line]
    assert [line.partition(" (")[0] for line in logged] == [
        f"the undo of {second} had no success after {tries} tries: the trial system says no"
        for tries in (1, 2)
    ]
    (skipped,) = await probe.ledger(
        "SELECT * FROM ledger.event_log WHERE event_type = 'StepSkipped' AND step = %s", second
    )
    assert (skipped["user_id"], skipped["payload"]["tries"]) == ("system:amends", 2)


@pytest.mark.parametrize("says", ["yes", "no"])
@pytest.mark.parametrize("how", ["together", "apart"])
async def test_adjacent_steps_are_undone_as_if_each_were_alone_and_a_no_has_them_be_alone(
    trial_driver: Driver, probe: Probe, trial_steps: TrialSteps, how: str, says: Word
) -> None:
    names = [new_id(name) for name in ("a", "b", "c")]
    trial_steps.says[names[-1]] = says
    request = trial(*names) | {"adjacent": how}
    result = await trial_driver.run(request)
    done = names if says == "yes" else names[:2]
    assert result["state"] == "compensated"
    assert [call for call in trial_steps.calls if call[5:] in names] == [
        f"undo {name}" for name in done[::-1]
    ]
    rows = await probe.ledger(
        "SELECT step, event_type, xid::text, metadata->>'activity' AS activity "
        "FROM ledger.event_log WHERE saga_id = %s ORDER BY position",
        saga_of(request),
    )
    committed = [row for row in rows if row["event_type"] == "StepCommitted"]
    assert [(row["step"], row["activity"]) for row in committed] == [
        (name, "note_trial") for name in done
    ]
    assert len({row["xid"] for row in committed}) == (
        1 if (how, says) == ("together", "yes") else len(done)
    )
    assert [each["name"] for each in result["steps"]] == done


async def test_an_undo_that_asks_waits_for_a_person_after_its_tries_and_after_as_many_again(
    to_undo: InTrouble, probe: Probe
) -> None:
    trial_step = await to_undo("no", undo_tries=2)
    await trial_step.needs_person()
    step = await trial_step.step()
    assert (step["tries"], step["detail"]) == (2, "the trial system says no")
    assert step["verbs"] == ["retry", "skip", "resolve"]
    asked = (await probe.event(trial_step.request, "StepAttentionRequested"))["payload"]
    assert asked == {"reason": "the trial system says no", "epoch": 2, "tries": 2, "undoing": True}
    await trial_step.tell("retry")

    async def asked_twice() -> bool:
        return (await probe.told(trial_step.request)).count("StepAttentionRequested") == 2

    await until(asked_twice)
    await trial_step.needs_person()
    assert trial_step.calls() == 4
    trial_step.is_over()
    await trial_step.tell("retry", reason="the system is repaired")
    result = await trial_step.result()
    assert (result["residuals"], result["steps"][0]["undo_tries"]) == ([], 5)


@pytest.mark.usefixtures("soon_told")
async def test_an_undo_that_is_tried_for_ever_shows_how_often_and_why_and_takes_a_person(
    to_undo: InTrouble, probe: Probe
) -> None:
    async def is_tried_for_ever(word: Word, why: str) -> None:
        trial_step = await to_undo(word)
        progress = await trial_step.until_told_of()
        assert progress["state"] == "compensating"
        (step,) = progress["steps"]
        assert step["tries"] >= 3
        assert step["detail"].startswith(why)
        await trial_step.until_it_pauses()
        await trial_step.tell("retry", reason="now")
        again = await probe.event(trial_step.request, "StepRetryRequested")
        assert (again["user_id"], again["payload"]["reason"]) == ("user:u-17", "now")
        await trial_step.until_it_pauses()
        await trial_step.tell("skip", reason="let it be")
        left = f"{trial_step.name}: skipped by user:u-17: let it be"
        assert (await trial_step.result())["residuals"] == [left]
        assert "StepAttentionRequested" not in await probe.told(trial_step.request)

    await asyncio.gather(
        is_tried_for_ever("no", "the trial system says no"),
        is_tried_for_ever("unknown", "the trial system did not answer"),
        is_tried_for_ever("away", "the trial system is closed"),
    )


@pytest.mark.usefixtures("soon_told")
async def test_a_server_that_is_away_uses_up_no_tries(to_undo: InTrouble, probe: Probe) -> None:
    trial_step = await to_undo("away", undo_tries=1)

    async def tried_often() -> bool:
        return trial_step.calls() >= 4

    await until(tried_often)
    assert "StepAttentionRequested" not in await probe.told(trial_step.request)
    trial_step.is_over()
    assert (await trial_step.result())["residuals"] == []


@pytest.mark.usefixtures("soon_told")
async def test_an_undo_failing_by_a_bug_asks_a_person_after_its_tries(to_undo: InTrouble) -> None:
    trial_step = await to_undo("bug", undo_tries=1)
    await trial_step.needs_person()
    assert (await trial_step.step())["detail"] == "LookupError"
    trial_step.is_over()
    await trial_step.tell("retry", reason="it is mended")
    assert (await trial_step.result())["residuals"] == []


@pytest.mark.usefixtures("soon_told")
async def test_a_step_that_gets_no_answer_shows_how_often_and_why_and_goes_on_by_itself(
    to_run: InTrouble, probe: Probe
) -> None:
    async def goes_on(word: Word, why: str) -> None:
        trial_step = await to_run(word)
        await trial_step.until_told_of()
        step = await trial_step.step()
        assert (step["state"], step["tries"] >= 4) == ("running", True)
        assert step["detail"].startswith(f"{why}; tried again in ")
        trial_step.is_over()
        assert (await trial_step.result())["state"] == "run"
        assert (await probe.event(trial_step.request, "StepDone"))["payload"]["tries"] > 4

    await asyncio.gather(
        goes_on("away", "the trial system is closed"), goes_on("bug", "LookupError")
    )


async def test_a_step_that_gets_no_answer_is_undone_by_a_cancel(
    to_run: InTrouble, trial_driver: Driver
) -> None:
    trial_step = await to_run("in an hour")
    handle = trial_driver.handle(trial_step.request)

    async def is_told_when() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any(
            it.next_attempt_schedule_time.seconds - it.last_attempt_complete_time.seconds > 3_500
            for it in pending
        )

    # What the provider says of when to come again is heeded, and so is a cancel meanwhile.
    await until(is_told_when)
    assert trial_step.calls() == 1
    await trial_driver.tell(trial_step.request, "cancel")
    assert (await trial_step.result())["state"] == "compensated"


@pytest.mark.usefixtures("soon_told")
async def test_an_outside_that_is_away_when_an_outcome_is_looked_up_is_one_that_can_not_tell(
    to_run: InTrouble, probe: Probe, trial_steps: TrialSteps
) -> None:
    trial_step = await to_run("unknown", tell_within="PT1S")
    await until(lambda: probe.has_told(trial_step.request, "StepLeftUnknown"))
    trial_steps.says[trial_step.call] = "away"
    await trial_step.needs_person()
    assert (await trial_step.step())["detail"] == "the trial system is closed"
    await trial_step.tell("resolve", evidence="slip 10", outcome="done")
    assert (await trial_step.result())["state"] == "run"


async def test_a_person_who_says_how_a_step_stands_is_told_when_it_stands_otherwise(
    to_run: InTrouble, trial_driver: Driver, ledger: Database
) -> None:
    trial_step = await to_run("unknown", tell_within=SOON)
    await trial_step.needs_person()
    # An attempt that was thought dead comes to its end after all.
    saga_id = saga_of(trial_step.request)
    asked = TrialStep.model_validate(trial_step.request["trial"][0])
    late = StepClaim(
        saga_id=saga_id,
        step=trial_step.name,
        ordinal=1,
        epoch=1,
        activity="run_trial",
        input_hash=digest(asked.model_dump(mode="json", exclude_defaults=True)),
    )
    done = Decision[StepOutcome](StepDone(result={}))
    author = Author("user:u-17", saga_id, trial_step.name)
    await finish_step(ledger, author, late, [], lambda _: done)
    failed = {**USER, "step": trial_step.name, "evidence": "slip 9", "outcome": "failed"}
    refusal = await trial_driver.refusal(trial_step.request, "resolve", failed)
    assert refusal.message == "can't resolve it as failed: by now it is done"
    assert (await trial_step.result())["state"] == "run"


async def test_steps_that_run_at_once_wait_for_a_person_each_by_its_own_name(
    trial_driver: Driver, probe: Probe, trial_steps: TrialSteps
) -> None:
    names = sorted([new_id("a"), new_id("b")])
    for name in names:
        trial_steps.says[name] = "unknown"
    request = trial(*names, at_once=True, then_undo=False, tell_within=SOON)
    handle = await trial_driver.start(request)
    await needs_person(trial_driver, request, *names)
    done = {**USER, "step": names[0], "evidence": "slip 7", "outcome": "done"}
    progress = await trial_driver.tell(request, "resolve", done)
    states = {step["name"]: step["state"] for step in progress["steps"]}
    assert states == {names[0]: "done", names[1]: "needs_attention"}
    assert progress["waits_for"] == names[1]
    trial_steps.says[names[1]] = "yes"
    await trial_driver.tell(request, "retry", {**USER, "step": names[1]})
    assert (await handle.result())["state"] == "run"


async def test_a_cancel_undoes_all_that_nobody_could_tell(
    trial_driver: Driver, probe: Probe, trial_steps: TrialSteps
) -> None:
    resolving, driver = new_id("resolving"), new_id("asking")
    trial_steps.says[resolving] = trial_steps.says[driver] = "unknown"
    request = trial(resolving, driver, at_once=True, then_undo=False)
    request["trial"][1]["tell_within"] = SOON
    handle = await trial_driver.start(request)
    await needs_person(trial_driver, request, driver)
    assert (await trial_driver.step(request, resolving))["state"] == "resolving"
    assert (await trial_driver.tell(request, "cancel"))["state"] == "compensating"
    result = await handle.result()
    ends = [(each["outcome"], each["undo_outcome"]) for each in result["steps"]]
    assert ends == [("unknown", "undone")] * 2
    assert await probe.ledger("SELECT 1 FROM ledger.saga_steps WHERE attention IS NOT NULL") == []


async def test_a_decision_and_a_cancel_at_one_moment_are_both_answered(
    to_run: InTrouble, trial_driver: Driver
) -> None:
    async def decide_and_cancel(verb: str) -> None:
        trial_step = await to_run("unknown", tell_within=SOON)
        await trial_step.needs_person()
        more = {"evidence": "slip 8", "outcome": "done"} if verb == "resolve" else {}
        told, cancelled = await asyncio.gather(
            trial_step.tell(verb, **more),
            trial_driver.tell(trial_step.request, "cancel"),
            return_exceptions=True,
        )
        # Whichever came first: nobody waits for ever, and there is one end.
        result = await trial_step.result()
        assert result["state"] in ("run", "compensated")
        assert isinstance(told, dict) or isinstance(cancelled, dict)
        if result["state"] == "run":
            assert isinstance(cancelled, Exception)

    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(decide_and_cancel(verb) for verb in ["retry", "resolve"] * 4))
