"""`show --at`, `diff` and `blame` on the command line."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from starter.cli.run import run
from tests.starter.conftest import Command


async def test_show_diff_and_blame_tell_what_was_and_who_changed_it_and_why(
    command: Command, agent: str
) -> None:
    name = f"agent/{agent}"
    revoked = await command("agent", "revoke", agent, "--as", "user:bea", "--reason", "left us")
    assert revoked.status == 0, revoked.err
    revocation, registration = (await command("log", name, "--json")).json
    types = (registration["event_type"], revocation["event_type"])
    assert types == ("AgentRegistered", "AgentRevoked")
    first, last = (str(event["position"]) for event in (registration, revocation))

    was = await command("show", name, "--at", first, "--json")
    assert (was.status, was.json["version"], was.json["state"]["state"]) == (0, 1, "active")
    assert "  state: revoked" in (await command("show", name, "--at", last)).out

    told = await command("diff", name, first, last)
    assert told.status == 0
    assert "  state: active -> revoked" in told.out
    assert "AgentRevoked\tuser:bea" in told.out
    found = (await command("diff", name, first, last, "--json")).json
    changed = {"field": "state", "change": "changed", "old": "active", "new": "revoked"}
    assert found["fields"] == [changed]
    assert [event["version"] for event in found["events"]] == [2]
    wrong = await command("diff", name, last, first)
    assert (wrong.status, "exchange them" in wrong.err) == (2, True)

    told = await command("blame", name, "state")
    assert (told.status, "AgentRevoked\tuser:bea" in told.out) == (0, True)
    [found] = (await command("blame", name, "state", "--json")).json
    assert (found["value"], found["user_id"], found["reason"]) == ("revoked", "user:bea", "left us")
    assert found["workflow_id"] == found["saga_id"] == revocation["saga_id"]
    assert found["run_id"] == revocation["metadata"]["run_id"]
    fields = (await command("blame", name, "--json")).json
    versions = {each["field"]: each["version"] for each in fields}
    assert versions == {"agent_id": 1, "state": 2, "user": 1}
    assert (await command("blame", name, "mood")).status == 2


async def test_show_refuses_what_was_not_yet_and_what_is_to_come_and_waits_for_the_past_to_close(
    command: Command, agent: str
) -> None:
    show = ("show", f"agent/{agent}", "--at")
    now = datetime.now(UTC).isoformat()
    hasty = await command(*show, now, "--timeout", "0")
    assert (hasty.status, "closes in " in hasty.err) == (3, True)
    patient = await command(*show, now, "--timeout", "60", "--json")
    assert (patient.status, patient.json["version"]) == (0, 1)
    assert patient.err.startswith("amends: waiting: ")

    before = await command(*show, "2020-01-01T00:00:00Z")
    assert before.status == 2
    assert "did not exist at 2020-01-01T00:00:00+00:00: its first event is of" in before.err
    assert "list the names" not in before.err
    for point in ("2999-01-01T00:00:00Z", "999999999"):
        later = await command(*show, point)
        assert (later.status, "is still to come" in later.err) == (2, True)


async def test_a_rollback_to_a_time_that_is_not_past_yet_is_planned_when_it_is(
    command: Command, new_id: Callable[[str], str]
) -> None:
    now = datetime.now(UTC).isoformat()
    planned = await command("rollback", "--to", now, "--environment", new_id("env"), "--plan")
    assert (planned.status, planned.out) == (0, "nothing to do\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("show x --at yesterday", "--at: a position, or an ISO 8601 time with a zone"),
        ("show x --at 2026-11-22T09:00:00", "--at: the zone is missing"),
        ("diff x 1 yesterday", "T2: a position, or an ISO 8601 time with a zone"),
        ("diff x 1", "T2 is missing: see amends diff --help"),
        ("show x --timeout soon", "--timeout: "),
    ],
)
def test_wrong_points_are_told_by_name_and_not_by_value(
    capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    assert run(words.split()) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "yesterday" not in error
