"""Changes, rollbacks and schedules by the command line, on real servers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.starter.conftest import Command
from tests.support.until import until

NewId = Callable[[str], str]
Change = dict[str, Any]


@pytest.fixture
def change(new_id: NewId) -> Change:
    """A role and a database of its own, in an environment of its own."""
    name = new_id("shop")
    return {
        "operation_id": name,
        "environment": name,
        "actor": "user:ana",
        "present": [
            {"name": f"{name}-db", "kind": "postgres.database", "spec": {"owner": f"{name}-app"}},
            {"name": f"{name}-app", "kind": "postgres.role", "spec": {"login": True}},
        ],
    }


def _actions(plan: Any) -> list[tuple[str, str]]:
    return [(each["action"], each["name"]) for each in plan["operations"]]


async def test_what_a_plan_shows_is_what_apply_does_once_and_rollback_takes_back(
    command: Command, change: Change
) -> None:
    name = change["operation_id"]
    app, db = f"{name}-app", f"{name}-db"
    planned = await command("plan", change, "--json")
    assert planned.status == 0
    assert _actions(planned.json) == [("create", app), ("create", db)]

    applied = await command("apply", change, "--json")
    assert (applied.status, applied.json["state"]) == (0, "applied")
    again = await command("apply", change, "--json")
    assert again.status == 0
    now = again.json["now"]
    assert again.json == {"done_now": False, **applied.json, "now": now}
    assert _actions(now) == [("none", app), ("none", db)]
    assert (await command("apply", change | {"absent": ["nothing"]})).status == 2
    assert _actions((await command("plan", change, "--json")).json) == [("none", app), ("none", db)]
    held = await command("resources", "--environment", name, "--kind", "postgres.role", "--json")
    assert [(it["name"], it["changed_by"]) for it in held.json] == [(app, f"change/{name}")]

    back = ("rollback", "--to", f"before:{name}", "--environment", name)
    shown = await command(*back, "--plan")
    assert shown.status == 0
    assert shown.out.index(f"delete\t{db}") < shown.out.index(f"delete\t{app}")
    assert "irreversible: " in shown.out
    rolled = await command(*back, "--json")
    assert (rolled.status, rolled.json["state"]) == (0, "applied")
    assert rolled.json["saga_id"].startswith("rollback/")
    told = (await command("saga", rolled.json["saga_id"])).out.splitlines()
    (plan,) = [line for line in told if line.startswith("plan ")]
    assert plan.split()[1] == "delete"
    assert _actions((await command("plan", change, "--json")).json)[0][0] == "create"


async def test_a_file_without_an_operation_id_is_applied_anew_each_time(
    command: Command, change: Change
) -> None:
    name, app = change["operation_id"], f"{change['operation_id']}-app"
    file = {field: value for field, value in change.items() if field != "operation_id"}
    first = await command("apply", file, "--json")
    assert (first.status, first.json["state"]) == (0, "applied")
    same = await command("apply", file)
    assert same.status == 0
    assert same.out.startswith(f"nothing was done now: {name} is as the file says")
    made = first.json["saga_id"].removeprefix("change/")
    assert (await command("rollback", "--to", f"before:{made}", "--environment", name)).status == 0
    again = await command("apply", file, "--json")
    assert (again.status, again.json["state"]) == (0, "applied")
    assert again.json["saga_id"] != first.json["saga_id"]
    held = await command("resources", "--environment", name, "--kind", "postgres.role", "--json")
    assert [it["name"] for it in held.json] == [app]


async def test_a_change_that_was_applied_and_rolled_back_is_told_to_be_undone_and_ends_with_1(
    command: Command, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = change["operation_id"]
    file = {field: value for field, value in change.items() if field != "operation_id"}
    by_option = ("--operation-id", name)
    assert (await command("apply", file, *by_option)).status == 0
    back = ("rollback", "--to", f"before:{name}", "--environment", name)
    undone = (*back, "--operation-id", f"{name}-back")
    assert (await command(*undone)).status == 0
    for asked in ((change,), (file, *by_option)):
        again = await command("apply", *asked)
        assert again.status == 1
        told = again.out.splitlines()
        assert told[0] == (
            f"nothing was done now: change/{name} was applied before, and {name} is not as the "
            f"file says"
        )
        assert f"create\t{name}-app\tpostgres.role" in again.out
        assert told[-1].endswith("apply the file under another operation id, or under none")
    rolled = await command(*undone)
    assert (rolled.status, rolled.out.splitlines()[0]) == (
        0,
        f"nothing was done now: rollback/{name}-back was applied before, and {name} is as at "
        f"before:{name}",
    )
    assert (await command("apply", file)).status == 0
    rolled = await command(*undone, "--json")
    assert (rolled.status, rolled.json["done_now"]) == (1, False)
    assert ("delete", f"{name}-app") in _actions(rolled.json["now"])
    monkeypatch.delenv("AMENDS_AUDIT_URL")
    unread = await command("apply", change)
    assert (unread.status, "set AMENDS_AUDIT_URL" in unread.out) == (1, True)


async def test_a_repeat_of_a_refused_change_says_that_nothing_was_done(
    command: Command, change: Change
) -> None:
    refused = ("rollback", "--to", "before:nothing", "--operation-id", change["operation_id"])
    assert (await command(*refused)).status == 1
    again = await command(*refused)
    assert again.status == 1
    assert again.out.startswith("nothing was done now: ")


async def test_a_plan_shows_what_an_update_changes_as_the_file_has_it(
    command: Command, change: Change
) -> None:
    role = change["present"][1]
    created = await command("plan", change | {"present": [role]})
    assert "login=true" in created.out
    await command("apply", change | {"present": [role]})
    closed = {**role, "spec": {"login": False}}
    updated = await command("plan", change | {"present": [closed]})
    assert "login=true -> false" in updated.out


async def test_a_change_that_fails_half_way_is_undone_and_ends_with_1(
    command: Command, change: Change
) -> None:
    name = change["operation_id"]
    schema = {
        "name": f"{name}-schema",
        "kind": "postgres.schema",
        "spec": {"database": f"{name}-db", "owner": "no-such-role"},
        "depends_on": [f"{name}-db"],
    }
    done = await command("apply", change | {"present": [*change["present"], schema]}, "--json")
    assert (done.status, done.json["state"]) == (1, "compensated")
    assert _actions((await command("plan", change, "--json")).json)[0][0] == "create"


async def test_an_absent_name_that_nobody_knows_is_told(command: Command, change: Change) -> None:
    done = await command("apply", change | {"present": [], "absent": ["nothing"]})
    assert done.status == 0
    assert "note: nothing is not known" in done.out


async def test_a_rollback_to_what_never_was_is_refused(command: Command) -> None:
    unknown, beyond = "no change/nothing in environment", "--to: lies beyond the end of the log"
    for told, to, *more in (
        (unknown, "before:nothing", "--plan"),
        (unknown, "before:nothing", "--at", "PT1H"),
        (beyond, "999999999"),
        (beyond, "999999999", "--plan"),
        (beyond, "999999999", "--at", "PT1H"),
    ):
        done = await command("rollback", "--to", to, *more)
        assert (done.status, done.out) == (2, "")
        assert told in done.err
    assert (await command("rollback", "--to", "before:nothing")).status == 1


async def test_a_scheduled_rollback_runs_without_a_client(
    command: Command, change: Change, new_id: NewId
) -> None:
    name, schedule = change["operation_id"], new_id("night")
    await command("apply", change)
    back = ("rollback", "--to", f"before:{name}", "--environment", name, "--reason", "tidy up")
    scheduled = await command(*back, "--at", "PT2S", "--operation-id", schedule, "--json")
    assert scheduled.status == 0
    assert scheduled.json["name"] == schedule
    assert scheduled.json["note"].endswith(": tidy up")
    found = await until(lambda: _rollbacks_of(command, schedule))
    assert found[0]["operation_id"].startswith(f"{schedule}-2")
    assert found[0]["result"]["state"] == "applied"
    assert found[0]["saga_id"] == scheduled.json["saga_id"]
    assert (await command("saga", schedule, "--json")).json["saga_id"] == found[0]["saga_id"]
    assert "SagaCompleted" in (await command("log", schedule)).out
    ran = await _listed(command, schedule, lambda each: each["last_run"])
    assert (ran["saga_id"], ran["state"]) == (found[0]["saga_id"], "applied")


async def _rollbacks_of(command: Command, schedule: str) -> list[Any]:
    sagas = (await command("sagas", "--json")).json
    return [
        saga
        for saga in sagas
        if saga["saga_id"].startswith(f"rollback/{schedule}-") and saga["state"] == "completed"
    ]


async def test_a_schedule_is_seen_paused_resumed_and_deleted(
    command: Command, change: Change, new_id: NewId
) -> None:
    name, shop = new_id("night"), change["operation_id"]
    await command("apply", change)
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    to = ("--to", f"before:{shop}", "--environment", shop)
    plan = ("rollback", *to, "--at", at, "--operation-id", name)
    assert (await command(*plan, "--as", "user:ana")).status == 0
    taken = await command(*plan)
    assert (taken.status, "exists already" in taken.err) == (2, True)

    assert (await command("schedule", "pause", name, "--reason", "wait")).status == 0
    paused = await _listed(command, name, lambda each: each["paused"])
    assert f"before:{shop}" in paused["note"]
    assert "wait" in paused["note"]
    assert (await command("schedule", "resume", name)).status == 0
    resumed = await _listed(command, name, lambda each: not each["paused"])
    assert resumed["note"] == f"rollback of {shop} to before:{shop}, asked by user:ana"
    assert resumed["next_run"] is not None
    assert (await command("schedule", "delete", name)).status == 0
    gone = await command("schedule", "delete", name)
    assert (gone.status, "amends schedule list" in gone.err) == (2, True)


async def _listed(command: Command, name: str, fact: Callable[[Any], bool]) -> Any:
    """The schedule, as soon as the list, which lags a little, shows the fact."""

    async def shown() -> Any:
        found = (await command("schedule", "list", "--json")).json
        return next((each for each in found if each["name"] == name and fact(each)), None)

    return await until(shown)
