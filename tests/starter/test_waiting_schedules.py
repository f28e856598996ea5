"""Schedules that missed a moment, or whose saga ended otherwise than asked, in `amends waiting`."""

import shlex
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from starter.cli import options
from starter.client import schedule_runs
from starter.client.schedule_runs import Outcome, ScheduledRun
from starter.client.scheduled import Scheduled
from starter.client.waiting import schedule_todos
from tests.starter.conftest import Command
from tests.support.until import until

Json = dict[str, Any]
Payment = Callable[..., Json]


async def test_a_schedule_that_missed_its_moment_is_listed_until_it_is_deleted(
    command: Command,
    new_id: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
) -> None:
    monkeypatch.setattr(schedule_runs, "SETTLED", timedelta(seconds=1))
    name = new_id("night")
    back = ("rollback", "--to", "2026-11-22T09:00:00Z", "--reason", "tidy up")
    assert (await command(*back, "--at", "PT2S", "--operation-id", name)).status == 0
    assert (await command("schedule", "pause", name)).status == 0

    async def listed() -> list[Json]:
        rows = (await command("waiting", "--kind", "schedule", "--json")).json
        return [row for row in rows if row["schedule"] == name]

    (row,) = await until(listed)
    assert (row["state"], row["waits_for"], row["whom"]) == ("schedule", "missed", "user")
    assert row["what"]["what"].endswith(": tidy up. Paused by user:" + options.person(None)[5:])
    backfill, delete = row["commands"]
    assert backfill.startswith(f"temporal schedule backfill --schedule-id {name} ")
    address = settings["TEMPORAL_ADDRESS"]
    assert backfill.endswith(f" --address {address} --namespace default")
    assert (await command(*shlex.split(delete)[1:])).status == 0
    await until(lambda: _is_empty(listed))


async def test_a_schedule_whose_run_ended_otherwise_is_a_row_with_its_run(
    command: Command, payment: Payment
) -> None:
    paid, denied = payment(45_000), payment(70_000)
    names = [request["operation_id"] for request in (paid, denied)]
    for request in (paid, denied):
        assert (await command("pay", request, "--at", "PT1S")).status == 0

    async def ended() -> list[Json]:
        listed = (await command("schedule", "list", "--json")).json
        ours = [each for each in listed if each["name"] in names]
        return ours if [each["state"] for each in ours] == ["captured", "denied"] else []

    good, bad = sorted(await until(ended), key=lambda each: each["state"])
    rows = (await command("waiting", "--kind", "schedule", "--json")).json
    (row,) = [each for each in rows if each["schedule"] in names]
    (run,) = bad["runs"]
    assert (row["schedule"], row["waits_for"], row["why"]) == (
        bad["name"],
        "ended",
        "its saga is denied (exceeded_max_transaction_limit)",
    )
    assert datetime.fromisoformat(row["since"]) == datetime.fromisoformat(run["due"])
    assert row["what"] == {"what": bad["note"], "run": run["saga_id"]}
    look, delete = row["commands"]
    assert (await command(*shlex.split(look)[1:])).status == 0
    for name in (good["name"], shlex.split(delete)[-1]):
        assert (await command("schedule", "delete", name)).status == 0


def test_moments_that_a_schedule_missed_are_one_row_and_so_are_ends_that_are_alike() -> None:
    def at(hour: int) -> datetime:
        return datetime(2026, 11, 22, hour, tzinfo=UTC)

    bad = [
        ScheduledRun(f"payment/rent-{hour}", at(hour), at(hour), Outcome("denied", is_good=False))
        for hour in (10, 12)
    ]
    missed = [at(9), at(11), at(13)]
    rent = Scheduled("rent", "pay", False, at(14), next_runs=[at(14)], runs=bad, missed=missed)
    rows = {(row.wait.waits_for, row.wait.since): row for row in schedule_todos([rent])}
    assert sorted(rows) == [("ended", at(10)), ("missed", at(9))]
    assert str(rows["ended", at(10)].wait.why).endswith("; so did 1 later run")
    why = str(rows["missed", at(9)].wait.why)
    assert why.startswith("no run at this and 2 later moments: the schedule was paused, ")
    (backfill,) = rows["missed", at(9)].wait.commands
    assert backfill.endswith("--start-time 2026-11-22T09:00:00Z --end-time 2026-11-22T09:00:00Z")


async def _is_empty(listed: Callable[[], Awaitable[list[Json]]]) -> bool:
    return await listed() == []
