"""The SDK on real servers."""

import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

import starter
from activities.authorizations import authorization_of
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import AuthorizationDenied, authorization_name
from ledger.database import open_database
from ledger.processes import start_of
from ledger.sagas.saga_log import Opening, Run, close_saga, open_saga
from ledger.sagas.step_log import StepClaim, commit_step
from ledger.store.commit import Author, Decision, Ref
from starter import Amends
from starter.client import patience
from starter.client.errors import (
    InvalidInput,
    NotAllowed,
    NotKnown,
    NoWorker,
    OperationIdReused,
    Unreachable,
)
from tests.ledger.writing import requested
from workflows.contract.change import RollbackRequest
from workflows.contract.payment import Destination, PaymentRequest, PaymentResult

Payment = Callable[..., dict[str, Any]]


def asked(fields: dict[str, Any]) -> PaymentRequest:
    return PaymentRequest.model_validate(fields)


async def test_submit_answers_with_the_decision_and_follow_stops_where_a_person_is_awaited(
    amends: Amends, payment: Payment
) -> None:
    waits, denied = [await amends.submit(asked(payment(pesos))) for pesos in (55_000, 70_000)]
    assert (waits.decision, denied.decision) == ("pending_approval", "denied")
    told = [each async for each in amends.follow(waits.saga_id)]
    assert [each.waits_for for each in told] == ["approval"]


async def test_many_submits_at_once_are_one_payment_and_follow_tells_it_until_the_end(
    amends: Amends, payment: Payment
) -> None:
    request = asked(payment(45_000))
    answers = await asyncio.gather(*(amends.submit(request) for _ in range(8)))
    assert {answer.saga_id for answer in answers} == {f"payment/{request.operation_id}"}
    told = [each async for each in amends.follow(answers[0].saga_id)]
    assert all(each.result is None for each in told[:-1])
    result = await amends.result(answers[0].saga_id)
    assert isinstance(result, PaymentResult)
    assert result.state == "captured"
    assert told[-1].result == result.model_dump(mode="json")


async def test_a_start_beside_the_worker_is_eager_and_again_it_is_one_payment(
    amends: Amends, settings: dict[str, str], working: Client, payment: Payment
) -> None:
    beside, request = Amends(working, settings), asked(payment(45_000))
    for _ in range(2):
        saga_id = await beside.start(request)
        result = await amends.result(saga_id)
        assert isinstance(result, PaymentResult)
        assert result.state == "captured"
    history = await working.get_workflow_handle(saga_id).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    assert started.eager_execution_accepted
    other = request.model_copy(update={"description": "another"})
    with pytest.raises(OperationIdReused):
        await beside.start(other)


async def test_what_temporal_does_not_know_comes_from_the_ledger(
    amends: Amends, settings: dict[str, str], payment: Payment
) -> None:
    request = asked(payment(45_000))
    saga_id = f"payment/{request.operation_id}"
    hold = authorization_of(saga_id)
    first = PaymentResult(state="denied", reason="no_policy", authorization_id=hold)
    await recorded(settings["AMENDS_DATABASE_URL"], request, first)
    assert await amends.result(saga_id) == first
    progress = await amends.progress(saga_id)
    assert (progress.state, progress.result) == ("completed", first.model_dump(mode="json"))
    assert [each async for each in amends.follow(saga_id)][-1].result == progress.result
    assert (await amends.submit(request)).result == progress.result


async def recorded(url: str, request: PaymentRequest, result: PaymentResult) -> None:
    """A saga that ended so long ago that Temporal has forgotten it: only the ledger has it."""
    saga_id = f"payment/{request.operation_id}"
    opening = Opening(
        saga_id=saga_id,
        actor="user:u-17",
        kind="payment",
        operation_id=str(request.operation_id),
        input=request.model_dump(mode="json"),
        fingerprint=request.fingerprint(),
        run=Run("default", "namespace-1", "amends-payments", "forgotten"),
    )
    author = Author(request.actor)
    async with open_database(url, size=1) as database:
        await open_saga(database, author, opening)
        hold = authorization_name(authorization_of(saga_id))
        wanted = requested(authorization_of(saga_id), request.amount.minor, saga_id)
        asked_for: list[tuple[str, Event]] = [
            (hold, wanted.changed(agent_id=request.agent_id, destination=request.destination.cbu)),
            (hold, AuthorizationDenied(reason=result.reason or "", reasons=[result.reason or ""])),
        ]
        claim = StepClaim(saga_id, "authorize", 1, 1, "authorize", "-")
        decision = Decision[dict[str, Any]]({}, asked_for)
        await commit_step(database, author, claim, [Ref(hold)], lambda _: decision)
        ended = result.model_dump(mode="json")
        await close_saga(database, author, saga_id, 1, "completed", ended)


async def test_what_a_client_did_not_check_the_saga_refuses_by_field(
    amends: Amends, payment: Payment
) -> None:
    wrong = Destination.model_construct(cbu="2850590940090418135202")
    request = asked(payment(45_000)).model_copy(update={"destination": wrong})
    with pytest.raises(InvalidInput) as refused:
        await amends.submit(request)
    assert refused.value.field == "destination.cbu"
    assert "2850590940090418135202" not in str(refused.value)


async def test_a_decision_that_nobody_waits_for_is_not_allowed(
    amends: Amends, payment: Payment
) -> None:
    saga_id = (await amends.submit(asked(payment(45_000, capture="manual")))).saga_id
    with pytest.raises(NotAllowed, match="can't approve"):
        await amends.approve(saga_id, actor="user:boss")
    with pytest.raises(InvalidInput, match="actor"):
        await amends.approve(saga_id, actor="boss")


async def test_whoever_decides_while_the_saga_ends_is_told_that_it_has_ended(
    amends: Amends, payment: Payment
) -> None:
    # Decisions that arrive one after the other, until some are on their way when the run ends.
    for _ in range(5):
        saga_id = (await amends.submit(asked(payment(55_000)))).saga_id

        async def rejects(number: int, saga_id: str = saga_id) -> BaseException | None:
            await asyncio.sleep(0.01 * number)
            try:
                await amends.reject(saga_id, actor=f"user:u-{number}")
            except NotAllowed as refusal:
                return refusal
            return None

        answers = await asyncio.gather(*(rejects(number) for number in range(8)))
        assert answers.count(None) == 1


async def test_a_saga_that_nobody_knows_is_told(amends: Amends) -> None:
    for ask in (amends.result, amends.progress):
        with pytest.raises(NotKnown):
            await ask("payment/nobody")
    with pytest.raises(NotKnown):
        _ = [each async for each in amends.follow("payment/nobody")]
    with pytest.raises(InvalidInput, match="saga_id"):
        await amends.result("nobody")


async def test_without_a_worker_nobody_waits_for_ever(
    amends: Amends, settings: dict[str, str], payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_PATIENCE_S", 0.2)
    request = asked(payment(45_000))
    unheard: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(context["message"]))
    submitted = f"no worker listens on deserted: .*/{request.operation_id} is submitted and goes on"
    async with Amends.connect({**settings, "AMENDS_PAYMENTS_QUEUE": "deserted"}) as lonely:
        with pytest.raises(NoWorker, match=submitted):
            await lonely.submit(request)
        with pytest.raises(NoWorker):
            _ = [each async for each in lonely.follow(f"payment/{request.operation_id}")]
        with pytest.raises(NoWorker, match="payment/never was not submitted"):
            await patience.require_worker(lonely.client, "payment/never", "deserted")
    # A failure that nobody looked at is told of when it is collected.
    gc.collect()
    loop.set_exception_handler(None)
    assert unheard == []
    await amends.client.get_workflow_handle(f"payment/{request.operation_id}").terminate()


async def test_a_process_that_used_temporal_ends_with_its_own_status(
    amends: Amends, settings: dict[str, str]
) -> None:
    words = [sys.executable, "-m", "starter.cli", "approve", "payment/nobody"]
    here = {**os.environ, **settings, "PYTHONPATH": str(Path(__file__).parents[2])}
    together = [
        await asyncio.create_subprocess_exec(*words, env=here, stderr=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    for process in together:
        _, err = await process.communicate()
        assert (process.returncode, err.count(b"\n")) == (2, 1)


async def test_without_an_environment_the_up_of_this_folder_is_found(
    amends: Amends, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / ".amends"
    folder.mkdir()
    (folder / "env").write_text("".join(f"export {name}='{settings[name]}'\n" for name in settings))
    holder = {"pid": os.getpid(), "start": start_of(os.getpid())}
    (folder / "up.json").write_text(json.dumps({"supervisor": holder}))
    for name in settings:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    async with Amends.connect() as found:
        with pytest.raises(NotKnown):
            await found.progress("payment/nobody")


def test_requests_are_made_with_what_the_package_gives() -> None:
    request = starter.PaymentRequest(
        operation_id="x",
        agent_id="bot",
        amount=starter.Money(minor=1, currency="ARS"),
        destination=starter.Destination(cbu="2850590940090418135201"),
    )
    assert request == PaymentRequest.model_validate(request.model_dump())
    assert all(getattr(starter, name).__name__ == name for name in starter.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Surprise'"):
        _ = starter.Surprise


async def test_a_request_without_an_operation_id_is_refused(amends: Amends) -> None:
    with pytest.raises(InvalidInput, match="operation_id: is needed"):
        await amends.submit(RollbackRequest(to="before:x", actor="user:u"))


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("TEMPORAL_ADDRESS", "127.0.0.1:1", "127.0.0.1:1 can't be reached"),
        ("TEMPORAL_NAMESPACE", "nowhere", "correct TEMPORAL_NAMESPACE"),
        ("TEMPORAL_CONFIG_FILE", "", "settings are wrong"),
    ],
)
async def test_what_can_not_be_reached_is_named(
    settings: dict[str, str], setting: str, value: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text("[profile.default\n")

    async def ask() -> None:
        async with Amends.connect({**settings, setting: value or str(file)}) as client:
            await client.progress("payment/x")

    with pytest.raises(Unreachable, match=told):
        await ask()
