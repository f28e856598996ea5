"""What a person reads in the Temporal Web UI as shipped, rendered by a real browser."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError

from ledger.database import Database
from ledger.read.sagas import sagas_named
from starter import Amends
from starter.client.errors import OperationIdReused
from starter.client.planned import operations_on_record
from tests.infrastructure.driver import ChangeDriver
from tests.sagas.conftest import (
    GATED,
    INFRASTRUCTURE_QUEUE,
    QUEUE,
    Inject,
    NewAgent,
    Stuck,
    start_change,
)
from tests.sagas.sweeping import GO_ON, Sweeper, lost, open_elsewhere
from tests.sagas.test_web_ui import listed
from tests.support.chromium import MISSING, chromium, program
from tests.support.driver import (
    CBU,
    Driver,
    Json,
    new_id,
    payment,
    saga_of,
    until_waits_for,
)
from tests.support.probe import Probe
from tests.support.until import until
from tests.support.web_ui import WebUi
from worker.embedded.servers import EmbeddedServers
from workflows.contract.change import RollbackRequest
from workflows.contract.payment import PaymentRequest

A_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture(scope="module")
async def web_ui(session_folder: Path, servers: EmbeddedServers) -> AsyncIterator[WebUi]:
    found = program()
    if found is None:
        pytest.skip(MISSING)
    async with chromium(found, session_folder / "chromium") as page:
        web_ui = WebUi(page, servers.temporal.web_ui_url)
        await web_ui.until_it_answers()
        yield web_ui


async def until_listed(driver: Driver, request: Json, state: str) -> None:
    query = f"WorkflowId='{saga_of(request)}' AND SagaState='{state}'"
    await until(lambda: listed(driver, query))


async def test_a_payment_that_waits_says_what_it_is_for_whom_it_waits_and_what_to_type(
    web_ui: WebUi, driver: Driver, agent: str
) -> None:
    request = payment(agent, 55_000)
    handle = await driver.until_waits(request, "approval")
    await until_listed(driver, request, "running")
    (row,) = await web_ui.rows("Waiting", request)
    # Beside the columns: what selects a row, and what starts another one like it.
    assert [*row.items()][2:-2] == [
        *(("Status", "RUNNING"), ("Workflow ID", saga_of(request))),
        *(("SagaState", "running"), ("SagaStep", "approval"), ("SagaNeedsAttention", "TRUE")),
        *(("SagaActor", f"agent:{agent}"), ("SagaSubjects", f"agent/{agent}")),
    ]
    assert [*row][-2:] == ["Start", "End"]
    shown = await web_ui.details(handle, "waits for approval")
    first, state, waits, *rest = shown.splitlines()
    assert first == f"payment of 55,000.00 ARS for agent {agent} ({saga_of(request)})"
    assert state == "running: pending approval"
    assert re.fullmatch(rf"🙋 waits for approval by any user since {A_TIME} until {A_TIME}", waits)
    commands = [f"amends {verb} {saga_of(request)}" for verb in ("approve", "reject")]
    assert rest == [*commands, "Steps:", "authorize ✅ done"]
    # What whoever answers says is shown as they said it, whatever it looks like.
    words = "<b>no</b> **never** [x](http://x.test) `a` | a_b_c $1$ --x {runId}"
    await driver.tell(request, "reject", {"actor": "user:ana", "reason": words})
    await handle.result()
    shown = await web_ui.details(handle, "ended as rejected")
    why = f"the payment was rejected by user:ana: {words} (rejected)"
    assert f"compensated, ended as rejected: {why}" in shown.splitlines()
    assert "authorize ↩️ undone: the spend is released" in shown


async def test_a_payment_whose_run_was_lost_says_so_and_so_does_its_recovery(
    web_ui: WebUi, driver: Driver, sweeper: Sweeper, agent: str
) -> None:
    request = await lost(driver, agent)
    await sweeper.recover(request)
    end = "compensated: the run of the saga was lost in Temporal"
    shown = await web_ui.details(driver.handle(request), end)
    assert shown.startswith(f"payment of 55,000.00 ARS for agent {agent} ({saga_of(request)})")
    recovery = driver.client.get_workflow_handle(f"recovery/{saga_of(request)}/1")
    assert await web_ui.details(recovery, "recovery of") == (
        f"recovery of {saga_of(request)}, whose run was lost in Temporal"
    )


async def test_a_payment_looks_the_same_whoever_started_it(
    web_ui: WebUi, driver: Driver, agent: str
) -> None:
    ours, theirs = (payment(agent, 1_000, capture="manual") for _ in range(2))
    sdk = Amends(driver.client, {"AMENDS_PAYMENTS_QUEUE": QUEUE})
    await sdk.submit(PaymentRequest.model_validate(ours))
    await driver.until_waits(theirs, "capture")
    pages = [
        await web_ui.details(driver.handle(each), f"waits for capture by agent:{agent}")
        for each in (ours, theirs)
    ]
    told = [
        re.sub(r"[\d-]+ [\d:]+ UTC", "", page.replace(each["operation_id"], ""))
        for page, each in zip(pages, (ours, theirs), strict=True)
    ]
    assert told[0] == told[1]
    assert told[0].startswith(f"payment of 1,000.00 ARS for agent {agent} (payment/)\n")
    assert not [secret for secret in (CBU, "building expenses") if secret in "".join(pages)]
    for request in (ours, theirs):
        await driver.tell(request, "capture", {"actor": f"agent:{agent}"})


async def test_every_end_of_a_payment_is_a_completed_run_whose_page_says_why(
    web_ui: WebUi, driver: Driver, agent: str, inject: Inject
) -> None:
    captured, denied, refused = (payment(agent, pesos) for pesos in (45_000, 70_000, 40_000))
    await inject(refused, "refuse")
    denial = "the amount is above the limit of the agent for one payment"
    compensated = "compensated: the bank refused it (provider_refused)"
    ends = {
        "completed, ended as captured": captured,
        f"completed, ended as denied: {denial} (exceeded_max_transaction_limit)": denied,
        compensated: refused,
    }
    for request in ends.values():
        await driver.run(request)
        await until_listed(driver, request, "compensated" if request is refused else "completed")
    for end, request in ends.items():
        shown = await web_ui.details(driver.handle(request), end)
        assert shown.splitlines()[1] == end
    rows = await web_ui.rows("Sagas", *ends.values())
    columns = ("Status", "SagaState", "SagaStep", "SagaNeedsAttention")
    assert [[row[column] for column in columns] for row in rows] == [
        ["COMPLETED", "completed", "", "FALSE"],
        ["COMPLETED", "completed", "", "FALSE"],
        ["COMPLETED", "compensated", "", "FALSE"],
    ]
    (row,) = await web_ui.rows("Undone", refused)
    assert row["SagaState"] == "compensated"


async def test_no_repeat_changes_the_page_of_a_saga(
    web_ui: WebUi, driver: Driver, agent: str
) -> None:
    request = payment(agent, 45_000)
    await driver.run(request)
    sdk = Amends(driver.client, {"AMENDS_PAYMENTS_QUEUE": QUEUE})
    other = {**request, "amount": {"minor": 1, "currency": "ARS"}}
    await sdk.submit(PaymentRequest.model_validate(request))
    with pytest.raises(OperationIdReused):
        await sdk.submit(PaymentRequest.model_validate(other))
    runs = f"SagaState='repeated' AND SagaSubjects='agent/{agent}' AND ExecutionStatus"
    (answered,) = await until(lambda: listed(driver, f"{runs}='Completed'"))
    (refused,) = await until(lambda: listed(driver, f"{runs}='Failed'"))
    (row,) = await web_ui.rows("Sagas", request)
    assert (row["Status"], row["SagaState"]) == ("COMPLETED", "completed")
    page = await web_ui.details(driver.handle(request), "ended as captured")
    _, end, reference, *_ = page.splitlines()
    assert end == "completed, ended as captured"
    assert reference.startswith("reference of the provider: TRF-")
    assert "repeat" not in page
    saga_id, nothing = saga_of(request), "this run did nothing, and shows what is on record"
    heads = {
        answered: (page.splitlines()[0], f"a repeat: {nothing}"),
        refused: (
            "refused: another request under a used operation id; "
            f"{saga_id} is untouched, see amends saga {saga_id}",
            nothing,
        ),
    }
    for repeat, head in heads.items():
        handle = driver.client.get_workflow_handle(repeat)
        shown = await web_ui.details(handle, nothing)
        assert shown.splitlines() == [*head, end, reference]


async def test_a_step_that_needs_an_operator_says_why_and_what_to_type(
    web_ui: WebUi, driver: Driver, probe: Probe, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_after")
    await until_listed(driver, request, "needs_attention")
    (row,) = await web_ui.rows("Waiting", request)
    assert (row["SagaState"], row["SagaStep"]) == ("needs_attention", "execute transfer")
    assert (row["Status"], row["SagaNeedsAttention"]) == ("RUNNING", "TRUE")
    shown = await web_ui.details(driver.handle(request), "needs an operator")
    assert shown.splitlines()[1] == "needs attention: approved"
    assert re.search("🙋 execute transfer needs an operator since .* UTC: the bank did not", shown)
    step = f"{saga_of(request)} 'execute transfer'"
    assert f"amends retry {step}" in shown.splitlines()
    outcome = f"amends resolve {step} --evidence TEXT --outcome done|failed"
    assert outcome in shown.splitlines()
    assert re.search("execute transfer 🙋 needs attention, .* tries: the bank did not", shown)
    await probe.heal(request)
    await driver.tell(request, "retry", {"actor": "user:ana", "step": "execute transfer"})
    await driver.result(request)


async def test_a_step_in_doubt_says_when_an_operator_is_asked_and_its_undo_who_must_act(
    web_ui: WebUi, driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_after")
    for operation in ("find", "reverse"):
        await inject(request, "timeout_before", operation=operation, remaining=1_000)
    await driver.start(request)
    await until(lambda: driver.is_in(request, "resolving"))
    shown = await web_ui.details(driver.handle(request), "looked up again")
    _, state, doubt, *rest = shown.splitlines()
    assert state == "resolving: approved"
    said = f"🔎 execute transfer is in doubt and looked up since {A_TIME}: the bank did not answer"
    assert re.fullmatch(rf"{said} .*; an operator is asked at {A_TIME}", doubt)
    assert rest[:2] == [f"amends {verb} {saga_of(request)}" for verb in ("saga", "cancel")]
    by = {"actor": "user:ana", "reason": "the roof can wait"}
    await driver.tell(request, "cancel", by)
    await until_waits_for(driver.handle(request), "execute transfer")
    await until_listed(driver, request, "compensating")
    shown = await web_ui.details(driver.handle(request), "has had no success")
    _, state, delayed, *rest = shown.splitlines()
    why = "the saga was cancelled by user:ana: the roof can wait (cancelled)"
    assert state == f"compensating: {why}"
    said = (
        rf"↩️ the undo of execute transfer has had no success in \d+ tries since {A_TIME}: the bank"
    )
    assert re.match(said, delayed)
    step = f"{saga_of(request)} 'execute transfer'"
    assert rest[:3] == [
        f"amends retry {step}",
        f"amends skip {step} --reason TEXT",
        f"amends resolve {step} --evidence TEXT",
    ]
    (row,) = await web_ui.rows("Waiting", request)
    assert (row["SagaState"], row["SagaStep"]) == ("compensating", "execute transfer")
    await probe.heal(request)

    async def is_undone() -> bool:
        # Refused while a try is under way, which may be the one that succeeds.
        with suppress(WorkflowUpdateFailedError, RPCError):
            await driver.tell(request, "retry", {"actor": "user:ana", "step": "execute transfer"})
        return await driver.is_in(request, "compensated")

    await until(is_undone)


async def test_a_change_and_its_rollback_show_plan_and_steps(
    web_ui: WebUi, driver: Driver, gated: Client, ledger: Database
) -> None:
    name, back = new_id("shop"), new_id("back")
    await (await start_change(gated, name)).result()
    changes = ChangeDriver(gated, f"{GATED}-changes")
    await changes.roll_back(back, to=f"before:{name}")
    steps = {"create": "abc", "delete": "cba"}
    for action, saga_id, first in (
        ("create", f"change/{name}", "change of dev: 3 present, 0 absent"),
        ("delete", f"rollback/{back}", f"rollback of dev to before:{name}"),
    ):
        names = [f"{action} {name}-{letter}" for letter in steps[action]]
        shown = await web_ui.details(gated.get_workflow_handle(saga_id), "ended as applied")
        lines = shown.splitlines()
        assert lines[:3] == [f"{first} ({saga_id})", "completed, ended as applied", "Plan:"]
        assert {*lines[3:6]} == {f"{each} (postgres.role)" for each in names}
        (saga,) = (await sagas_named(ledger, [saga_id])).values()
        on_record = await operations_on_record(ledger, {saga_id: (saga["kind"], saga["input"])})
        assert on_record == {saga_id: lines[3:6]}
        assert lines[6:8] == ["Steps:", "plan ✅ done"]
        assert {*lines[8:]} == {f"{each} ✅ done" for each in names}


async def test_a_sweep_that_needs_an_operator_says_why_and_what_to_type(
    web_ui: WebUi, driver: Driver, sweeper: Sweeper, ledger: Database, agent: str
) -> None:
    request = payment(agent, 45_000)
    await open_elsewhere(ledger, request, QUEUE)
    sweep = await sweeper.start()
    alert = (await driver.failure(sweep)).message
    shown = await web_ui.details(sweep, "sagas are open")
    head, *lines = shown.splitlines()
    assert re.fullmatch(r"\d+ sagas are open, 0 of them look orphaned", head)
    assert lines == [f"🙋 {alert}"]
    assert "amends sweep --gone an-id --reason TEXT" in alert
    await sweeper.sweep(gone=["an-id"], **GO_ON)
    await sweeper.recovery(saga_of(request)).result()


async def test_a_schedule_says_what_it_does_and_who_asked(web_ui: WebUi, driver: Driver) -> None:
    name = new_id("monthly")
    sdk = Amends(driver.client, {"AMENDS_INFRASTRUCTURE_QUEUE": INFRASTRUCTURE_QUEUE})
    request = RollbackRequest(to="before:shop-42", actor="user:ana", reason="month's end")
    at = datetime.now(UTC) + timedelta(days=1)
    await sdk.schedules.once(name, request, at)
    note = "rollback of dev to before:shop-42, asked by user:ana"
    shown = await web_ui.schedule(name, note, "RollbackSaga")
    assert f"{at:%Y}" in shown
    await sdk.schedules.delete(name)


async def test_a_run_that_is_refused_says_why_without_a_traceback(
    web_ui: WebUi, driver: Driver, agent: str
) -> None:
    request = {**payment(agent, 45_000), "amount": {"minor": -1, "currency": "ARS"}}
    handle = await driver.start(request)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    shown = await web_ui.run(
        handle, "FAILED", "amount.minor: more than 0 is needed", '"type": "InvalidInput"'
    )
    assert ".py" not in shown


# What others may write: each part would be something in a page, or steer a terminal.
HOSTILE = (
    "![canary](http://canary.test/i.png) [canary](http://canary.test) <img src=x alt=canary> "
    "<script>canary</script> http://canary.test `a` ``<img alt=canary>`` | canary | "
    "# canary <b>canary</b> _canary_ 2850590940090418135201 \u202eyranac\u2066 \x9b31m"
)
# Of these, a page of ours has none but its own, with no canary in it.
ELEMENTS = "img, a, script, table, h1, b, em, del"


async def test_no_words_of_anybody_are_an_element_of_a_page_or_an_account_number(
    web_ui: WebUi,
    driver: Driver,
    sweeper: Sweeper,
    new_agent: NewAgent,
    inject: Inject,
    can_not_be_undone: Stuck,
) -> None:
    by, words = {"actor": "user:ana"}, HOSTILE[:200]
    rest = {**by, "reason": HOSTILE[-200:]}
    others = {"description": words, "metadata": {words: words}}
    rejected = payment(await new_agent(), 55_000, **others)
    await driver.until_waits(rejected, "approval")
    await driver.tell(rejected, "reject", {**by, "reason": words})
    cancelled = payment(await new_agent(), 1_000, capture="manual", **others)
    await driver.until_waits(cancelled, "capture")
    await driver.tell(cancelled, "cancel", rest)
    refused = payment(await new_agent(), 1_000, **others)
    await inject(refused, "refuse", note=HOSTILE)
    await driver.start(refused)
    gone = await can_not_be_undone()
    await driver.tell(gone, "skip", {**by, "step": "execute transfer", "reason": words})
    orphan = await lost(driver, await new_agent())
    await sweeper.sweep(**by, reason=words)
    recovery = sweeper.recovery(saga_of(orphan))
    ends = {
        "ended as rejected": driver.handle(rejected),
        "ended as voided": driver.handle(cancelled),
        "compensated: the bank": driver.handle(refused),
        "left over": driver.handle(gone),
        "recovery of": recovery,
    }
    for end, handle in ends.items():
        await handle.result()
        shown = await web_ui.details(handle, end)
        # What the bank says is in the ledger alone.
        assert ("canary" in shown) != end.startswith("compensated: the bank")
        assert await web_ui.elements(ELEMENTS, "canary") == []
        assert [char for char in shown if not char.isprintable() and char != "\n"] == []
        assert CBU not in shown
        assert await web_ui.elements("code", "\n") == []
