"""Schedules of sagas, made by us or by any client of Temporal: what was run, how each saga ended,
and what was missed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)

from activities.adapters.mock import Fault, MockBank
from starter import Amends
from starter.client import schedule_runs
from starter.client.connection import server_options
from starter.client.scheduled import Scheduled, problems
from tests.starter.conftest import QUEUES, Command
from tests.support.until import until
from worker.embedded.temporal import program
from workflows.contract.kinds import CHANGE, PAYMENT, SagaKind
from workflows.contract.payment import PaymentRequest

NewId = Callable[[str], str]
Payment = Callable[..., dict[str, Any]]
Plain = Callable[..., Any]
EVERY_SECOND, NEVER_SOON = "* * * * * * *", "0 0 1 1 *"
UNITED = (
    "day of month and day of week are both given: a Schedule runs only on days that match both "
    "(cron elsewhere: on days that match either)"
)


@pytest.fixture
async def plain(amends: Amends) -> AsyncIterator[Plain]:
    """`await plain(PAYMENT, name, request, cron, ...)`: a schedule as any client of Temporal makes
    it, without an operation id; deleted afterwards."""
    made: list[ScheduleHandle] = []

    async def make(
        kind: SagaKind, name: str, request: dict[str, Any], cron: str, **state: Any
    ) -> ScheduleHandle:
        unnamed = {k: v for k, v in request.items() if k != "operation_id"}
        queue = QUEUES[kind.queue.setting]
        action = ScheduleActionStartWorkflow(
            kind.workflow, unnamed, id=kind.saga_id(name), task_queue=queue
        )
        handle = await amends.client.create_schedule(
            name,
            Schedule(
                action=action,
                spec=ScheduleSpec(cron_expressions=[cron]),
                policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
                state=ScheduleState(**state),
            ),
        )
        made.append(handle)
        return handle

    yield make
    for handle in made:
        await handle.delete()


@pytest.fixture
def soon_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment without a run is missed after a second instead of ten."""
    monkeypatch.setattr(schedule_runs, "SETTLED", timedelta(seconds=1))


async def shown(amends: Amends, name: str) -> Scheduled | None:
    return next((each for each in await amends.schedules.list() if each.name == name), None)


async def until_shown(amends: Amends, name: str, fact: Callable[[Scheduled], object]) -> Scheduled:
    """The schedule, as soon as the list shows the fact."""

    async def found() -> Scheduled | None:
        each = await shown(amends, name)
        return each if each and fact(each) else None

    return await until(found, 0.2)


def have_ended(each: Scheduled, count: int) -> bool:
    return len(each.runs) == count and all(run.outcome.is_good is not None for run in each.runs)


def here(amends: Amends) -> list[str]:
    return server_options(amends.client).split()


async def official(*words: str) -> None:
    """The official CLI, as a person calls it."""
    process = await asyncio.create_subprocess_exec(
        *(str(program()), *words),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0


async def test_a_recurring_payment_is_a_saga_each_time_and_the_list_says_how_each_ended(
    amends: Amends, command: Command, plain: Plain, payment: Payment, new_id: NewId
) -> None:
    name, request = new_id("rent"), payment(45_000)
    await plain(PAYMENT, name, request, EVERY_SECOND, limited_actions=True, remaining_actions=3)
    ended = await until_shown(amends, name, lambda each: have_ended(each, 3))
    outcomes = sorted(str(run.outcome) for run in ended.runs)
    assert outcomes == ["captured", "captured", "denied (exceeded_daily_limit)"]
    assert [ended.missed, ended.next_run] == [[], None]
    paid = (await command("payments", "--agent", request["agent_id"], "--json")).json
    assert {each["saga_id"] for each in paid} == {run.saga_id for run in ended.runs}
    operation = (await command("saga", ended.runs[0].saga_id, "--json")).json["operation_id"]
    assert re.fullmatch(rf"{name}-\d{{4}}-\d\d-\d\dT\d\d\.\d\d\.\d\dZ", operation)
    listed = next(it for it in (await command("schedule", "list")).out.splitlines() if name in it)
    assert str(ended.runs[-1].outcome) in listed


async def test_the_list_reads_the_ledger_once_for_all_schedules(
    amends: Amends,
    plain: Plain,
    payment: Payment,
    new_id: NewId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [new_id("rent"), new_id("rent")]
    for name in names:
        once = {"limited_actions": True, "remaining_actions": 1}
        await plain(PAYMENT, name, payment(1), EVERY_SECOND, **once)
    for name in names:
        await until_shown(amends, name, lambda each: have_ended(each, 1))
    opened, really = list[str](), AsyncConnectionPool.open

    async def counted(pool: AsyncConnectionPool, *how: Any, **more: Any) -> None:
        opened.append(str(pool.conninfo))
        await really(pool, *how, **more)

    monkeypatch.setattr(AsyncConnectionPool, "open", counted)
    found = {each.name: each.runs for each in await amends.schedules.list()}
    assert [str(found[name][0].outcome) for name in names] == ["captured", "captured"]
    assert len(opened) == 1


async def test_a_nightly_apply_is_applied_and_then_unchanged_also_beside_an_official_trigger(
    amends: Amends, command: Command, new_id: NewId
) -> None:
    name = new_id("nightly")
    role = {"name": name, "kind": "postgres.role", "spec": {"login": True}}
    request = {"actor": "user:ana", "environment": name, "present": [role]}
    await official(
        *("schedule", "create", *here(amends), "--schedule-id", name, "--cron", NEVER_SOON),
        *("--type", CHANGE.workflow, "--workflow-id", CHANGE.saga_id(name)),
        *("--task-queue", QUEUES[CHANGE.queue.setting], "--input", json.dumps(request)),
    )
    await official("schedule", "trigger", *here(amends), "--schedule-id", name)
    first = await until_shown(amends, name, lambda each: have_ended(each, 1))
    await until(lambda: datetime.now(UTC) > first.runs[0].due + timedelta(seconds=1))
    await official("schedule", "trigger", *here(amends), "--schedule-id", name)
    ended = await until_shown(amends, name, lambda each: have_ended(each, 2))
    assert [str(run.outcome) for run in ended.runs] == ["applied", "unchanged"]
    assert (ended.missed, ended.saga_id) == ([], ended.runs[-1].saga_id)
    assert [moment.month for moment in ended.next_runs] == [1] * 10
    assert (await command("schedule", "delete", name)).status == 0


async def test_a_scheduled_payment_that_the_bank_refuses_is_shown_as_compensated(
    amends: Amends, command: Command, bank: MockBank, payment: Payment
) -> None:
    request = payment(45_000)
    name = request["operation_id"]
    made = (await command("pay", request, "--at", "PT2S", "--json")).json
    await bank.inject(Fault(made["saga_id"], "refuse"))
    ended = await until_shown(amends, name, lambda each: have_ended(each, 1))
    assert str(ended.runs[0].outcome) == "compensated (provider_refused)"
    (problem,) = problems([ended])
    assert (problem.what, problem.reason) == ("ended", f"its saga is {ended.runs[0].outcome}")
    assert problem.commands == [
        f"amends saga {made['saga_id']}",
        f"amends schedule delete {name}",
    ]
    listed = (await command("schedule", "list", "--json")).json
    assert [each["state"] for each in listed if each["name"] == name] == ["compensated"]
    await amends.schedules.delete(name)


async def test_a_run_that_waits_is_shown_as_waiting_and_a_trigger_that_temporal_skips_is_no_run(
    amends: Amends, command: Command, plain: Plain, payment: Payment, new_id: NewId
) -> None:
    name = new_id("large")
    await plain(PAYMENT, name, payment(55_000), NEVER_SOON)
    await official("schedule", "trigger", *here(amends), "--schedule-id", name)
    waits = "running, waits for approval"
    first = await until_shown(
        amends, name, lambda each: each.runs and str(each.runs[0].outcome) == waits
    )
    # The official CLI sends its own overlap policy, Skip, over that of the schedule.
    await official("schedule", "trigger", *here(amends), "--schedule-id", name)
    handle = amends.client.get_schedule_handle(name)

    async def is_skipped() -> bool:
        return (await handle.describe()).info.num_actions_skipped_overlap == 1

    await until(is_skipped)
    now = await shown(amends, name)
    assert now is not None
    assert (now.runs, now.missed) == (first.runs, [])
    by_operation_id = first.runs[0].saga_id.removeprefix("payment/").replace(":", ".")
    rejected = await command("reject", by_operation_id, "--as", "ana")
    assert (rejected.status, rejected.err) == (0, "")
    ended = await until_shown(amends, name, lambda each: have_ended(each, 1))
    assert str(ended.runs[0].outcome) == "rejected"


@pytest.mark.usefixtures("soon_settled")
async def test_a_moment_that_passes_while_it_is_paused_is_missed_until_it_is_made_up_for(
    amends: Amends, command: Command, plain: Plain, payment: Payment, new_id: NewId
) -> None:
    name = new_id("paused")
    handle = await plain(PAYMENT, name, payment(100), EVERY_SECOND, paused=True)
    paused = await until_shown(amends, name, lambda each: len(each.missed) >= 2)
    assert (paused.paused, paused.runs) == (True, [])
    # The server keeps what came next when it was paused.
    assert paused.missed[-1] < paused.next_runs[0]
    assert len(paused.next_runs) == 10
    done = await command("schedule", "list", "--json")
    missed = next(each["missed"] for each in done.json if each["name"] == name)
    first = paused.missed[0]
    assert missed[0] == first.isoformat()
    oldest = problems([paused], server_options(amends.client))[0]
    assert (oldest.what, oldest.due) == ("missed", first)
    await official(*oldest.commands[0].split()[1:])
    made_up = await until_shown(amends, name, lambda each: have_ended(each, 1))
    assert made_up.runs[0].due == first
    assert first not in made_up.missed
    assert made_up.runs[0].saga_id == f"payment/{name}-{first:%Y-%m-%dT%H:%M:%SZ}"
    # What was missed after a good run still is to be looked at.
    assert {problem.what for problem in problems([made_up])} == {"missed"}
    assert (await handle.describe()).info.num_actions == 1


async def test_a_run_that_was_refused_at_admission_is_shown_as_failed(
    amends: Amends, command: Command, plain: Plain, payment: Payment, new_id: NewId
) -> None:
    name = new_id("wrong")
    await plain(PAYMENT, name, {**payment(100), "amount": "much"}, NEVER_SOON)
    await amends.client.get_schedule_handle(name).trigger()
    ended = await until_shown(amends, name, lambda each: have_ended(each, 1))
    (run,) = ended.runs
    assert str(run.outcome).startswith("failed (InvalidInput: amount: ")
    assert "much" not in str(run.outcome)
    # Nothing is on record of it that amends saga could show.
    rows = (await command("waiting", "--kind", "schedule", "--json")).json
    (row,) = [each for each in rows if each["schedule"] == name]
    assert row["why"] == f"its saga is {run.outcome}"
    (show,) = row["commands"]
    assert show.startswith(f"temporal workflow show --workflow-id {run.saga_id} --address ")
    await official(*show.split()[1:])


async def test_making_a_schedule_shows_ten_runs_and_what_the_clock_skips(
    command: Command, payment: Payment, amends: Amends
) -> None:
    request = payment(100)
    name = request["operation_id"]
    options = ("--cron", "30 2 * * *", "--time-zone", "Europe/Madrid")
    made = await command("pay", request, *options)
    assert made.status == 0
    first, saga, *notes, last = made.out.splitlines()
    assert first.startswith("payment of 100.00 ARS for agent ")
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:30:00\+00:00", first)) == 10
    assert saga.startswith(f"the saga will be payment/{name}-")
    assert len([note for note in notes if "no run at 02:30" in note]) == 1
    assert len([note for note in notes if "one run at 02:30, which exists twice" in note]) == 1
    assert last == f"amends schedule pause {name} pauses the schedule"
    await amends.schedules.delete(name)


@pytest.mark.parametrize(
    ("cron", "zone", "said"),
    [
        ("0 0 13 * FRI", "UTC", [UNITED]),
        ("0 1 * * *", "America/New_York", ["two runs at 01:00, which exists twice"]),
        (
            *("0 * * * *", "Europe/Madrid"),
            ["no run at 02:00", "one run at 02:00, which exists twice"],
        ),
        (
            *("*/20 * * * *", "Europe/Madrid"),
            [
                "no run at 02:00, 02:20, 02:40",
                "no run at 02:40, 03:00, 03:20; one run at 02:00, 02:20, which exists twice",
            ],
        ),
        ("0 12 * * *", "Europe/Madrid", []),
        ("0 12 13 * *", "UTC", []),
        ("@daily", "America/New_York", []),
        ("@every 90m", "Europe/Madrid", []),
    ],
)
async def test_what_a_cron_line_does_not_do_as_elsewhere_is_named(
    amends: Amends, payment: Payment, cron: str, zone: str, said: list[str]
) -> None:
    request = PaymentRequest.model_validate(payment(100))
    unnamed = request.model_copy(update={"operation_id": None})
    name = str(request.operation_id)
    made = await amends.schedules.recurring(name, unnamed, cron, zone)
    assert sorted(re.sub(r"^[\d-]+, when clocks change: ", "", it) for it in made.unusual) == said
    assert len(made.next_runs) == 10
    await amends.schedules.delete(name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cron", "0 0 30 2 *"), "--cron: never runs"),
        (("--cron", "at noon"), "--cron: "),
        (("--cron", "0 9 * * MON#1"), "--cron: # begins a comment in a Schedule: instead of MON#1"),
        (("--cron", "0 9 15W * *"), "--cron: "),
        (("--cron", "0 9 * * 5L"), "--cron: "),
        (("--cron", "CRON_TZ=Europe/Madrid 0 9 * * *"), "--cron: names a time zone"),
        (("--cron", "0 9 * * *", "--time-zone", "Mars"), "--time-zone: not an IANA time zone"),
        (("--cron", "0 9 * * *", "--at", "PT1H"), "--at runs it once"),
        (("--time-zone", "UTC"), "--time-zone is the zone of a cron line"),
    ],
)
async def test_a_schedule_that_means_nothing_is_refused_and_leaves_nothing(
    command: Command, payment: Payment, words: tuple[str, ...], said: str
) -> None:
    request = payment(100)
    done = await command("pay", request, *words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    listed = (await command("schedule", "list", "--json")).json
    assert request["operation_id"] not in [each["name"] for each in listed]


@pytest.mark.parametrize("words", [("--at", "PT1H"), ("--cron", NEVER_SOON)])
async def test_a_payment_that_was_submitted_is_not_scheduled_again_under_its_operation_id(
    amends: Amends, command: Command, payment: Payment, words: tuple[str, ...]
) -> None:
    request = payment(100)
    assert (await command("pay", request)).status == 0
    done = await command("pay", request, *words)
    assert (done.status, done.out) == (2, "")
    name = request["operation_id"]
    assert f"payment/{name} was submitted before: choose another --operation-id" in done.err
    assert await shown(amends, name) is None
    other = f"{name}-later"
    assert (await command("pay", request, *words, "--operation-id", other)).status == 0
    await amends.schedules.delete(other)
