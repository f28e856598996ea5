"""One operation id is one saga for ever, whatever client asks and whatever id policy it uses."""

import asyncio
import json
import logging
import sys
from typing import Any

import pytest
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from ledger.database import Database
from tests.sagas.conftest import QUEUE, Inject
from tests.sagas.sweeping import open_elsewhere
from tests.sagas.test_web_ui import current_details
from tests.support.driver import (
    Driver,
    Json,
    payment,
    policy,
    refused,
    registration,
    saga_of,
    until_waits_for,
)
from tests.support.probe import Probe
from worker.embedded.servers import EmbeddedServers
from worker.embedded.temporal import program

OTHER_CBU = "0170099220000067797370"
REJECT = ("--id-reuse-policy", "RejectDuplicate", "--fail-existing")
# What a client may say about an id that is in use.
CONFLICT: dict[str, Json] = {
    policy.name: {"id_conflict_policy": policy} for policy in list(WorkflowIDConflictPolicy)[1:]
} | {"deprecated": {"id_reuse_policy": WorkflowIDReusePolicy.TERMINATE_IF_RUNNING}}


async def official_cli(servers: EmbeddedServers, verb: str, request: Json, *options: str) -> Any:
    """What `temporal workflow VERB` answers, where it starts a payment by workflow name."""
    process = await asyncio.create_subprocess_exec(
        *(str(program()), "workflow", verb, "--type", "PaymentSaga", "--task-queue", QUEUE),
        *("--workflow-id", saga_of(request), "--input", json.dumps(request), *options),
        *("--address", servers.temporal.address, "--output", "json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return json.loads(out) if out.strip() else err.decode()


async def test_an_answer_that_is_a_no_is_no_failure_in_the_log(
    driver: Driver, agent: str, inject: Inject, caplog: pytest.LogCaptureFixture
) -> None:
    paid, refused_by_the_bank = payment(agent, 45_000), payment(agent, 45_000)
    await inject(refused_by_the_bank, "refuse")
    for request in (paid, refused_by_the_bank):
        assert await driver.run(request) == await driver.run(request)
        progress = await driver.progress(request)
        assert (progress["repeated"], progress["steps"]) == (True, [])
    assert [line.message for line in caplog.records if line.levelno >= logging.WARNING] == []


async def test_the_official_cli_runs_a_payment_and_gets_the_documented_result(
    servers: EmbeddedServers, driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(
        agent, 45_000, capture="automatic", approve_within="P1D", metadata={"session": "s-1"}
    )
    first = await official_cli(servers, "execute", request)
    booked = await probe.until_booked(request)
    assert first["status"] == "COMPLETED"
    # The CLI writes an empty list as null; the run's own result is what any SDK gets.
    assert first["result"] | {"residuals": []} == await driver.result(request)
    assert await driver.result(request) == {
        "state": "captured",
        "authorization_id": first["result"]["authorization_id"],
        "transfer_id": first["result"]["transfer_id"],
        "provider_reference": booked["reference"],
        "captured_minor": 4_500_000,
        "reason": None,
        "residuals": [],
        "unsigned": True,
    }
    again = await official_cli(servers, "execute", request)
    assert again["result"] == first["result"]
    assert again["runId"] != first["runId"]
    refusal = await official_cli(servers, "start", request, *REJECT)
    assert "already" in refusal
    assert await probe.deliveries(request) == 1


async def test_the_same_request_after_the_end_also_written_otherwise_gets_the_first_answer(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    first, repeats = await driver.run(request), 0
    for reuse in WorkflowIDReusePolicy:
        try:
            handle = await driver.start(request, id_reuse_policy=reuse)
            repeats += 1
        except WorkflowAlreadyStartedError:
            assert reuse.name in ("ALLOW_DUPLICATE_FAILED_ONLY", "REJECT_DUPLICATE")
            handle = driver.handle(request)
        assert await handle.result() == first
        again = ["SagaDuplicateReceived"] * repeats
        assert await probe.told(request, "saga/%") == ["SagaStarted", "SagaCompleted", *again]
    assert repeats > 0
    more = {"capture": "automatic", "approve_within": "PT24H", "metadata": {"session": "s-2"}}
    assert await driver.run({**dict(reversed(request.items())), **more}) == first
    assert await probe.deliveries(request) == 1
    assert await probe.spent(agent) == (45_000, 1)


@pytest.mark.parametrize("conflict", CONFLICT)
@pytest.mark.parametrize("position", ["approval", "transfer"])
async def test_the_same_request_while_it_runs_has_no_second_effect(
    driver: Driver, probe: Probe, agent: str, inject: Inject, position: str, conflict: str
) -> None:
    request = payment(agent, 55_000 if position == "approval" else 45_000)
    await inject(request, "slow_after", delay_ms=300)
    first = await driver.start(request)
    if position == "approval":
        await until_waits_for(first, "approval")
    else:
        await probe.until_booked(request)
    try:
        again = await driver.start(request, **CONFLICT[conflict])
    except WorkflowAlreadyStartedError:
        assert conflict == "FAIL"
        again = driver.handle(request)
    if position == "approval":
        await until_waits_for(again, "approval")
        await driver.tell(request, "approve")
    result = await again.result()
    assert result["state"] == "captured"
    told = await probe.told(request)
    assert told.count("AuthorizationCaptured") == told.count("TransferExecuted") == 1
    assert await probe.deliveries(request) == 1
    taken = conflict in ("TERMINATE_EXISTING", "deprecated")
    assert told.count("SagaTakenOver") == (1 if taken else 0)
    assert (again.result_run_id != first.result_run_id) == (taken or conflict == "FAIL")


async def test_by_update_with_start_a_running_saga_records_the_repeat_and_answers_both(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    first = await driver.submit(request)
    again = await driver.submit(request)
    assert again == first
    assert (await probe.told(request)).count("SagaDuplicateReceived") == 1
    await driver.tell(request, "approve")
    ended = await driver.result(request)
    after = await driver.submit(request)
    assert after["result"] == ended
    assert (await probe.told(request)).count("SagaDuplicateReceived") == 2
    assert await probe.deliveries(request) == 1


async def test_fifty_equal_requests_at_once_by_five_programs_are_one_payment(
    servers: EmbeddedServers, driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    words = (servers.temporal.address, QUEUE, saga_of(request), "10")
    programs = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.asking_program", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(5)
    ]
    for each in programs:
        assert each.stdin is not None
        assert each.stdout is not None
        each.stdin.write(json.dumps(request).encode() + b"\n")
        assert await each.stdout.readline() == b"ready\n"
    ended = await asyncio.gather(*(each.communicate(b"now\n") for each in programs))
    answers = [answer for out, _ in ended for answer in json.loads(out)]
    booked = await probe.until_booked(request)
    results = [result for result, _, _ in answers]
    assert results == [results[0]] * 50
    assert results[0]["provider_reference"] == booked["reference"]
    assert booked["deliveries"] == 1
    assert await probe.spent(agent) == (45_000, 1)
    told = await probe.told(request)
    assert [told.count(it) for it in ("TransferStarted", "TransferExecuted")] == [1, 1]


CHANGES: list[Json] = [
    {"amount": {"minor": 4_500_001, "currency": "ARS"}},
    {"amount": {"minor": 4_500_000, "currency": "USD"}},
    {"agent_id": "another-bot"},
    {"destination": {"cbu": OTHER_CBU}},
    {"description": "something else"},
    {"capture": "automatic"},
    {"approve_within": "PT2H"},
]


async def test_another_request_under_the_id_fails_with_operation_id_reused(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual")
    others = [{**request, **changed} for changed in CHANGES]
    await driver.submit(request)
    for other in others:
        assert (await refused(driver.submit(other))).type == "operation_id_reused"
    assert (await driver.progress(request))["waits_for"] == "approval"
    await driver.tell(request, "reject")
    first = await driver.result(request)
    for other in others:
        run = await driver.start(other)
        assert (await driver.failure(run)).type == "operation_id_reused"
        first_line, *more = (await current_details(run)).splitlines()
        assert first_line == (
            "**refused**: another request under a used operation id; "
            f"`{saga_of(request)}` is untouched, see `amends saga {saga_of(request)}`"
        )
        assert "**compensated**, ended as **rejected**" in more
        assert (await refused(driver.submit(other))).type == "operation_id_reused"
    assert (await probe.told(request)).count("SagaReuseRefused") == 3 * len(others)
    assert await driver.run(request) == first


async def test_agents_and_policies_are_changed_once_too(
    driver: Driver, probe: Probe, agent: str
) -> None:
    for request, event in (
        (policy(agent, daily_limit_minor=1), "PolicySet"),
        (registration(agent, "revoke"), "AgentRevoked"),
    ):
        first = await driver.run(request)
        assert await driver.run(request) == first
        assert (await driver.submit(request))["result"] == first
        await probe.event(request, event)
        reused = await refused(driver.submit({**request, "actor": "user:u-18"}))
        assert (reused.type, "new operation id" in reused.message) == ("operation_id_reused", True)


async def test_a_failed_saga_fails_again_with_the_first_reason(
    driver: Driver, probe: Probe, agent: str
) -> None:
    # Nobody registered it.
    request = registration(f"{agent}-unknown", "revoke")
    first = await driver.failure(await driver.start(request))
    assert first.type == "unknown_agent"
    ends = ["SagaStarted", "SagaCompensating", "SagaFailed"]
    assert await probe.told(request) == ends
    again = await driver.failure(await driver.start(request))
    assert (again.type, again.message) == (first.type, first.message)
    assert await probe.told(request) == [*ends, "SagaDuplicateReceived"]


async def test_a_saga_that_another_namespace_carries_is_in_progress(
    driver: Driver, probe: Probe, ledger: Database, agent: str
) -> None:
    request = payment(agent, 45_000)
    await open_elsewhere(ledger, request, QUEUE)
    assert (await driver.failure(await driver.start(request))).type == "operation_in_progress"
    assert await probe.booked(request) is None


@pytest.mark.parametrize("workflow_id", ["payment", "payment/", "payment/other", "refund/{}", "{}"])
async def test_a_run_or_a_submit_under_another_workflow_id_is_invalid_input(
    driver: Driver, probe: Probe, agent: str, workflow_id: str
) -> None:
    request = payment(agent, 45_000)
    other = workflow_id.format(request["operation_id"])
    started = await driver.failure(await driver.start(request, id=other))
    for failure in (started, await refused(driver.submit(request, id=other))):
        assert failure.type == "InvalidInput"
        assert [problem["field"] for problem in failure.details] == ["workflow_id"]
        named = "must be payment/ and the operation id"
        assert workflow_id.startswith("payment/") or failure.details[0]["reason"] == named
    assert await probe.saga(request) == {}
