"""What a saga waits for is in its row, written by the commit that makes it wait, and gone with the
commit that ends the wait: no crash can come between."""

from datetime import datetime
from typing import Any

import pytest
from psycopg import AsyncConnection
from temporalio.client import WorkflowUpdateStage

from ledger.audit.verify import verify
from ledger.database import Database
from ledger.read.waits import waiting as waits_on_record
from tests.sagas.conftest import NewAgent, Place
from tests.sagas.sweeping import Sweeper, end, lost, waiting
from tests.support.driver import USER, Driver, Json, payment, saga_of
from tests.support.probe import Probe
from tests.support.until import until

ACCEPTED = WorkflowUpdateStage.ACCEPTED
COLUMNS = ("waits_for", "waits_on", "waits_since", "waits_until")
NOTHING = dict.fromkeys(COLUMNS)


async def row(probe: Probe, request: Json) -> Json:
    saga = await probe.saga(request)
    return {name: saga[name] for name in COLUMNS}


async def commits(probe: Probe, request: Json) -> list[list[str]]:
    """The events of a saga, by the transaction that wrote them."""
    found: dict[Any, list[str]] = {}
    for event in await probe.events(request):
        found.setdefault(event["xid"], []).append(event["event_type"])
    return list(found.values())


async def test_a_wait_begins_and_ends_in_the_commits_of_its_steps(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000, capture="manual", approve_within="PT3H")
    await driver.until_waits(request, "approval")
    asked = await row(probe, request)
    assert (asked["waits_for"], asked["waits_on"]) == ("approval", "user")
    authorization = await probe.authorization(request)
    assert asked["waits_since"] == authorization["requested_at"]
    assert asked["waits_until"] == authorization["expires_at"]
    (wait,) = (await driver.progress(request))["waits"]
    assert datetime.fromisoformat(wait["since"]) == asked["waits_since"]
    assert datetime.fromisoformat(wait["until"]) == asked["waits_until"]
    approved = await driver.tell(request, "approve")
    (wait,) = approved["waits"]
    held = await row(probe, request)
    assert (held["waits_for"], held["waits_on"]) == ("capture", f"agent:{agent}")
    assert datetime.fromisoformat(wait["since"]) == held["waits_since"] > asked["waits_since"]
    assert wait["whom"] == f"agent:{agent}"
    assert held["waits_until"] == (await probe.authorization(request))["capture_until"]
    await driver.tell(request, "capture")
    await driver.result(request)
    assert await row(probe, request) == NOTHING
    authorize, approve, start, *others = await commits(probe, request)
    assert authorize == [
        *("SagaStarted", "AuthorizationRequested", "ApprovalRequested"),
        *("SagaWaitStarted", "StepCommitted"),
    ]
    assert approve == ["SagaWaitEnded", "AuthorizationApproved", "SagaWaitStarted", "StepCommitted"]
    assert start[0] == "SagaWaitEnded"
    assert set(start[1:]) == {"AuthorizationCaptureStarted", "TransferStarted", "StepStarted"}
    assert [each[-1] for each in others] == ["StepDone", "SagaCompleted"]


async def test_a_payment_that_waits_for_nobody_writes_nothing_of_a_wait_in_its_four_commits(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    await driver.run(request)
    assert len(await commits(probe, request)) == 4
    assert not [event for event in await probe.told(request) if event.startswith("SagaWait")]


@pytest.mark.parametrize("what", ["approval", "capture"])
async def test_a_run_that_takes_over_goes_on_with_the_wait_as_it_is_on_record(
    driver: Driver, probe: Probe, agent: str, what: str
) -> None:
    request = await lost(driver, agent, what)
    before = await row(probe, request)
    assert before["waits_for"] == what
    await driver.until_waits(request, what)
    assert await row(probe, request) == before
    (wait,) = (await driver.progress(request))["waits"]
    assert datetime.fromisoformat(wait["since"]) == before["waits_since"]
    await driver.tell(request, "approve" if what == "approval" else "capture")
    assert (await driver.result(request))["state"] == "captured"
    assert await row(probe, request) == NOTHING
    told = await probe.told(request)
    assert (told.count("SagaWaitStarted"), told.count("SagaWaitEnded")) == (1, 1)


@pytest.mark.parametrize("end_of_it", ["reject", "cancel"])
async def test_the_commit_that_begins_the_compensation_ends_the_wait(
    driver: Driver, probe: Probe, agent: str, end_of_it: str
) -> None:
    request = await waiting(driver, agent)
    async with probe.refusing(request, "StepUndone") as is_refused:
        told = await driver.handle(request).start_update(end_of_it, USER, wait_for_stage=ACCEPTED)
        await until(is_refused)
        assert await row(probe, request) == NOTHING
    await told.result()
    await driver.handle(request).result()


async def test_a_sweep_puts_a_lost_saga_on_the_list_until_a_run_takes_it_over(
    driver: Driver, probe: Probe, sweeper: Sweeper, agent: str, ledger: Database
) -> None:
    async def listed() -> list[str]:
        rows = await waits_on_record(ledger, limit=100)
        return [each.state for each in rows if each.saga["workflow_id"] == saga_of(request)]

    request = await waiting(driver, agent)
    assert await listed() == ["running"]
    await end(driver.handle(request))
    async with probe.refusing(request, "SagaTakenOver") as is_refused:
        await sweeper.sweep()
        await until(is_refused)
        assert await listed() == ["orphaned"]
        assert await row(probe, request) == NOTHING
    await sweeper.recovered(request)
    assert await listed() == []


async def test_a_wait_that_the_log_does_not_tell_is_found_by_verify(
    driver: Driver, place: Place, agent: str, ledger: Database
) -> None:
    request = await waiting(driver, agent)
    change = "UPDATE ledger.sagas SET waits_on = %s WHERE workflow_id = %s"
    async with await AsyncConnection.connect(place.superuser_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(change, ("agent:mallory", saga_of(request)))
        findings = (await verify(ledger)).findings
        await connection.execute(change, ("user", saga_of(request)))
    assert [(each.where, "waits_on" in each.message) for each in findings] == [
        (f"saga/{saga_of(request)}", True)
    ]
    await driver.tell(request, "cancel")


async def test_a_decision_on_a_wait_that_an_older_version_left_without_a_record_is_carried_out(
    driver: Driver, probe: Probe, place: Place, new_agent: NewAgent
) -> None:
    request = await waiting(driver, await new_agent())
    # As that version left it: neither the event nor the columns.
    forget = (
        "DELETE FROM ledger.event_log WHERE saga_id = %s AND event_type = 'SagaWaitStarted'",
        "UPDATE ledger.sagas s SET version = 1, base = 0, waits_for = NULL, waits_on = NULL,"
        " waits_since = NULL, waits_until = NULL, head_hash = (SELECT hash FROM ledger.event_log e"
        " WHERE e.aggregate_id = s.aggregate_id AND version = 1) WHERE workflow_id = %s",
    )
    async with await AsyncConnection.connect(place.superuser_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        for statement in forget:
            await connection.execute(statement, (saga_of(request),))
    assert (await driver.tell(request, "approve"))["decision"] == "approved"
    assert (await driver.result(request))["state"] == "captured"
    assert "SagaWaitEnded" not in await probe.told(request)
