"""What becomes of a step that can't get on alone, by its own policies: a saga of the tests' own,
against an outside that says what the test wants."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from temporalio.client import Client

from activities import errors
from activities.saga_records import SagaActivities
from activities.step_records import StepRecords
from ledger.aggregates.saga_step import StepDone
from ledger.database import Database
from ledger.sagas.step_log import StepClaim, StepOutcome, finish_step
from ledger.store.canonical_json import digest
from ledger.store.commit import Author, Decision
from tests.closing import until_the_core_has_left
from tests.sagas.books import Books, until
from tests.sagas.desk import Desk, Errand, Word
from tests.sagas.errand_saga import ErrandSaga
from tests.sagas.teller import USER, Teller, new_id, saga_of
from tests.sagas.trouble import InTrouble, errands, in_trouble, needs_person
from worker.wiring import worker

QUEUE = "sagas-errands"
SOON = "PT0.2S"


@pytest.fixture(scope="module")
async def desk(ledger: Database, client: Client) -> AsyncIterator[Desk]:
    """The desk, and a worker that runs errands at it."""
    desk = Desk(ledger)
    rooms = [SagaActivities(ledger, client), StepRecords(ledger), desk]
    async with worker(client, QUEUE, [ErrandSaga], rooms):
        yield desk
    await until_the_core_has_left()


@pytest.fixture
async def clerk(client: Client, books: Books, desk: Desk) -> AsyncIterator[Teller]:
    """Asks for errands; whatever the test did, the ledger holds together afterwards."""
    yield Teller(client, QUEUE)
    await books.check()


@pytest.fixture
def soon_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away is told of after two tries instead of a quarter of a minute."""
    monkeypatch.setattr(errors, "TRIES_AT_ONCE", 2)  # read anew by each run in its sandbox


@pytest.fixture
def to_run(clerk: Teller, desk: Desk) -> InTrouble:
    """`await to_run("away")`: a saga whose errand the desk does not run."""
    return partial(in_trouble, clerk, desk, "{}")


@pytest.fixture
def to_undo(clerk: Teller, desk: Desk) -> InTrouble:
    """`await to_undo("no", undo_tries=2)`: one whose errand the desk does not take back."""
    return partial(in_trouble, clerk, desk, "undo {}")


async def test_an_undo_that_may_go_on_leaves_a_residual_after_its_tries(
    clerk: Teller, books: Books, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = new_id("first"), new_id("second")
    desk.says[f"undo {second}"] = "no"
    result = await clerk.run(errands(first, second, undo_tries=2, then="go_on"))
    residual = f"{second}: not undone after 2 tries (the desk says no)"
    assert (result["state"], result["residuals"]) == ("compensated", [residual])
    assert [(each["name"], each["outcome"], each["undo_outcome"]) for each in result["steps"]] == [
        (first, "done", "undone"),
        (second, "done", "skipped"),
    ]
    assert [each["undo_tries"] for each in result["steps"]] == [1, 2]
    assert desk.calls.count(f"undo {second}") == 2
    logged = [line for line in caplog.messages if "is not undone after" in line]
    assert [line.partition(" (")[0] for line in logged] == [
        f"{second} is not undone after {tries} tries: the desk says no" for tries in (1, 2)
    ]
    (skipped,) = await books.ledger(
        "SELECT * FROM ledger.event_log WHERE event_type = 'StepSkipped' AND step = %s", second
    )
    assert (skipped["user_id"], skipped["payload"]["tries"]) == ("system:amends", 2)


async def test_an_undo_that_asks_waits_for_a_person_after_its_tries(
    to_undo: InTrouble, books: Books
) -> None:
    errand = await to_undo("no", undo_tries=2)
    await errand.needs_person()
    step = await errand.step()
    assert (step["tries"], step["detail"]) == (2, "the desk says no")
    assert step["verbs"] == ["retry", "skip", "resolve"]
    asked = (await books.event(errand.request, "StepAttentionRequested"))["payload"]
    assert asked == {"reason": "the desk says no", "epoch": 2, "tries": 2, "undoing": True}
    errand.is_over()
    await errand.tell("retry", reason="the desk was told")
    result = await errand.result()
    assert (result["residuals"], result["steps"][0]["undo_tries"]) == ([], 3)


async def test_a_person_who_says_retry_is_asked_again_after_as_many_tries(
    to_undo: InTrouble, books: Books
) -> None:
    errand = await to_undo("no", undo_tries=2)
    await errand.needs_person()
    await errand.tell("retry")

    async def asked_twice() -> bool:
        return (await books.told(errand.request)).count("StepAttentionRequested") == 2

    await until(asked_twice)
    await errand.needs_person()
    assert errand.calls() == 4
    await errand.tell("skip", reason="let it be")
    left = f"{errand.name}: skipped by user:u-17: let it be"
    assert (await errand.result())["residuals"] == [left]


@pytest.mark.usefixtures("soon_told")
async def test_an_undo_that_is_tried_for_ever_shows_how_often_and_why_and_takes_a_person(
    to_undo: InTrouble, books: Books
) -> None:
    async def is_tried_for_ever(word: Word, why: str) -> None:
        errand = await to_undo(word)
        progress = await errand.until_told_of()
        assert progress["state"] == "compensating"
        (step,) = progress["steps"]
        assert step["tries"] >= 3
        assert step["detail"].startswith(why)
        await errand.until_it_pauses()
        await errand.tell("retry", reason="now")
        again = await books.event(errand.request, "StepRetryRequested")
        assert (again["user_id"], again["payload"]["reason"]) == ("user:u-17", "now")
        await errand.until_it_pauses()
        await errand.tell("skip", reason="let it be")
        left = f"{errand.name}: skipped by user:u-17: let it be"
        assert (await errand.result())["residuals"] == [left]
        assert "StepAttentionRequested" not in await books.told(errand.request)

    await asyncio.gather(
        is_tried_for_ever("no", "the desk says no"),
        is_tried_for_ever("unknown", "the desk did not answer"),
        is_tried_for_ever("away", "the desk is closed"),
    )


@pytest.mark.usefixtures("soon_told")
async def test_a_server_that_is_away_does_not_use_up_the_tries(
    to_undo: InTrouble, books: Books
) -> None:
    errand = await to_undo("away", undo_tries=1)

    async def tried_often() -> bool:
        return errand.calls() >= 4

    await until(tried_often)
    assert "StepAttentionRequested" not in await books.told(errand.request)
    errand.is_over()
    assert (await errand.result())["residuals"] == []


@pytest.mark.usefixtures("soon_told")
async def test_an_undo_that_fails_by_a_bug_asks_a_person_after_its_tries(
    to_undo: InTrouble,
) -> None:
    errand = await to_undo("bug", undo_tries=1)
    await errand.needs_person()
    assert (await errand.step())["detail"] == "LookupError"
    errand.is_over()
    await errand.tell("retry", reason="it is mended")
    assert (await errand.result())["residuals"] == []


@pytest.mark.usefixtures("soon_told")
async def test_a_step_that_gets_no_answer_shows_how_often_and_why_and_goes_on_by_itself(
    to_run: InTrouble, books: Books
) -> None:
    async def goes_on(word: Word, why: str) -> None:
        errand = await to_run(word)
        await errand.until_told_of()
        step = await errand.step()
        assert (step["state"], step["tries"] >= 4) == ("running", True)
        assert step["detail"].startswith(f"{why}; tried again in ")
        errand.is_over()
        assert (await errand.result())["state"] == "run"
        assert (await books.event(errand.request, "StepDone"))["payload"]["tries"] > 4

    await asyncio.gather(goes_on("away", "the desk is closed"), goes_on("bug", "LookupError"))


async def test_a_step_that_gets_no_answer_is_undone_by_a_cancel(
    to_run: InTrouble, clerk: Teller
) -> None:
    errand = await to_run("in an hour")
    handle = clerk.handle(errand.request)

    async def is_told_when() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any(
            it.next_attempt_schedule_time.seconds - it.last_attempt_complete_time.seconds > 3_500
            for it in pending
        )

    # What the provider says of when to come again is heeded, and so is a cancel meanwhile.
    await until(is_told_when)
    assert errand.calls() == 1
    await clerk.tell(errand.request, "cancel")
    assert (await errand.result())["state"] == "compensated"


@pytest.mark.usefixtures("soon_told")
async def test_an_outside_that_is_away_when_an_outcome_is_looked_up_is_one_that_can_not_tell(
    to_run: InTrouble, books: Books, desk: Desk
) -> None:
    errand = await to_run("unknown", tell_within="PT1S")
    await until(lambda: books.has_told(errand.request, "StepLeftUnknown"))
    desk.says[errand.call] = "away"
    await errand.needs_person()
    assert (await errand.step())["detail"] == "the desk is closed"
    await errand.tell("resolve", evidence="slip 10", outcome="done")
    assert (await errand.result())["state"] == "run"


async def test_a_person_who_says_how_a_step_stands_is_told_when_it_stands_otherwise(
    to_run: InTrouble, clerk: Teller, ledger: Database
) -> None:
    errand = await to_run("unknown", tell_within=SOON)
    await errand.needs_person()
    # An attempt that was thought dead comes to its end after all.
    saga_id, asked = saga_of(errand.request), Errand.model_validate(errand.request["errands"][0])
    late = StepClaim(
        saga_id=saga_id,
        step=errand.name,
        ordinal=1,
        epoch=1,
        activity="run_errand",
        input_hash=digest(asked.model_dump(mode="json", exclude_defaults=True)),
    )
    done = Decision[StepOutcome](StepDone(result={}))
    author = Author("user:u-17", saga_id, errand.name)
    await finish_step(ledger, author, late, [], lambda _: done)
    failed = {**USER, "step": errand.name, "evidence": "slip 9", "outcome": "failed"}
    refusal = await clerk.refusal(errand.request, "resolve", failed)
    assert refusal.message == "can't resolve it as failed: by now it is done"
    assert (await errand.result())["state"] == "run"


async def test_steps_that_run_at_once_wait_for_a_person_each_by_its_own_name(
    clerk: Teller, books: Books, desk: Desk
) -> None:
    names = sorted([new_id("a"), new_id("b")])
    for name in names:
        desk.says[name] = "unknown"
    request = errands(*names, at_once=True, then_undo=False, tell_within=SOON)
    handle = await clerk.start(request)
    await needs_person(clerk, request, *names)
    done = {**USER, "step": names[0], "evidence": "slip 7", "outcome": "done"}
    progress = await clerk.tell(request, "resolve", done)
    assert [(step["name"], step["state"]) for step in progress["steps"]] == [
        (names[0], "done"),
        (names[1], "needs_attention"),
    ]
    assert progress["waits_for"] == names[1]
    desk.says[names[1]] = "yes"
    await clerk.tell(request, "retry", {**USER, "step": names[1]})
    assert (await handle.result())["state"] == "run"


async def test_a_cancel_undoes_all_that_nobody_could_tell(
    clerk: Teller, books: Books, desk: Desk
) -> None:
    resolving, asking = new_id("resolving"), new_id("asking")
    desk.says[resolving] = desk.says[asking] = "unknown"
    request = errands(resolving, asking, at_once=True, then_undo=False)
    request["errands"][1]["tell_within"] = SOON
    handle = await clerk.start(request)
    await needs_person(clerk, request, asking)
    assert (await clerk.step(request, resolving))["state"] == "resolving"
    progress = await clerk.tell(request, "cancel")
    assert progress["state"] == "compensating"
    result = await handle.result()
    assert [(each["outcome"], each["undo_outcome"]) for each in result["steps"]] == [
        ("unknown", "undone"),
        ("unknown", "undone"),
    ]
    assert await books.ledger("SELECT 1 FROM ledger.saga_steps WHERE attention IS NOT NULL") == []


async def test_a_decision_and_a_cancel_at_one_moment_are_both_answered(
    to_run: InTrouble, clerk: Teller
) -> None:
    async def decide_and_cancel(verb: str) -> None:
        errand = await to_run("unknown", tell_within=SOON)
        await errand.needs_person()
        more = {"evidence": "slip 8", "outcome": "done"} if verb == "resolve" else {}
        told, cancelled = await asyncio.gather(
            errand.tell(verb, **more),
            clerk.tell(errand.request, "cancel"),
            return_exceptions=True,
        )
        # Whichever came first: nobody waits for ever, and there is one end.
        result = await errand.result()
        assert result["state"] in ("run", "compensated")
        assert isinstance(told, dict) or isinstance(cancelled, dict)
        if result["state"] == "run":
            assert isinstance(cancelled, Exception)

    async with asyncio.timeout(timedelta(seconds=30).total_seconds()):
        await asyncio.gather(*(decide_and_cancel(verb) for verb in ["retry", "resolve"] * 4))
