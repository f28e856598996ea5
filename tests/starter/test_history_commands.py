"""`show --at`, `diff` and `blame` on the command line."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from starter.cli.run import run
from tests.starter.conftest import Command


@pytest.fixture
async def agent_log(command: Command, agent: str) -> list[Any]:
    """The events of an agent that was registered and then revoked."""
    revoked = await command("agent", "revoke", agent, "--as", "user:bea", "--reason", "left us")
    assert revoked.status == 0, revoked.err
    events: list[Any] = (await command("log", f"agent/{agent}", "--json")).json
    assert [event["event_type"] for event in events] == ["AgentRegistered", "AgentRevoked"]
    return events


async def test_show_tells_what_was_at_a_position(
    command: Command, agent: str, agent_log: list[Any]
) -> None:
    first, last = (str(event["position"]) for event in agent_log)
    was = await command("show", f"agent/{agent}", "--at", first, "--json")
    assert (was.status, was.json["version"], was.json["state"]["state"]) == (0, 1, "active")
    now = await command("show", f"agent/{agent}", "--at", last)
    assert "  state: revoked" in now.out


async def test_show_refuses_what_was_not_yet_and_what_is_to_come(
    command: Command, agent: str
) -> None:
    before = await command("show", f"agent/{agent}", "--at", "2020-01-01T00:00:00Z")
    assert before.status == 2
    assert "did not exist at 2020-01-01T00:00:00+00:00: its first event is of" in before.err
    assert "list the names" not in before.err
    for point in ("2999-01-01T00:00:00Z", "999999999"):
        later = await command("show", f"agent/{agent}", "--at", point)
        assert later.status == 2
        assert "is still to come" in later.err


async def test_show_waits_for_the_past_to_close_and_says_so_or_says_how_long_it_takes(
    command: Command, agent: str, agent_log: list[Any]
) -> None:
    now = datetime.now(UTC).isoformat()
    hasty = await command("show", f"agent/{agent}", "--at", now, "--timeout", "0")
    assert hasty.status == 3
    assert " closes in " in hasty.err
    patient = await command("show", f"agent/{agent}", "--at", now, "--timeout", "60", "--json")
    assert (patient.status, patient.json["version"]) == (0, 2)
    assert patient.err.startswith("amends: waiting: ")


async def test_diff_tells_the_fields_and_the_events_between(
    command: Command, agent: str, agent_log: list[Any]
) -> None:
    first, last = (str(event["position"]) for event in agent_log)
    told = await command("diff", f"agent/{agent}", first, last)
    assert told.status == 0
    assert "  state: active -> revoked" in told.out
    assert "AgentRevoked\tuser:bea" in told.out
    found = (await command("diff", f"agent/{agent}", first, last, "--json")).json
    assert found["fields"] == [
        {"field": "state", "change": "changed", "old": "active", "new": "revoked"}
    ]
    assert [event["version"] for event in found["events"]] == [2]
    wrong = await command("diff", f"agent/{agent}", last, first)
    assert (wrong.status, "exchange them" in wrong.err) == (2, True)


async def test_blame_tells_who_and_why(command: Command, agent: str, agent_log: list[Any]) -> None:
    told = await command("blame", f"agent/{agent}", "state")
    assert told.status == 0
    assert "AgentRevoked\tuser:bea" in told.out
    [found] = (await command("blame", f"agent/{agent}", "state", "--json")).json
    assert (found["value"], found["user_id"], found["reason"]) == ("revoked", "user:bea", "left us")
    assert found["workflow_id"] == found["saga_id"] == agent_log[1]["saga_id"]
    assert found["run_id"] == agent_log[1]["metadata"]["run_id"]
    fields = (await command("blame", f"agent/{agent}", "--json")).json
    assert {each["field"]: each["version"] for each in fields} == {
        "agent_id": 1,
        "state": 2,
        "user": 1,
    }
    assert (await command("blame", f"agent/{agent}", "mood")).status == 2


async def test_a_rollback_to_a_time_that_is_not_past_yet_is_planned_when_it_is(
    command: Command, new_id: Callable[[str], str]
) -> None:
    now = datetime.now(UTC).isoformat()
    planned = await command("rollback", "--to", now, "--environment", new_id("env"), "--plan")
    assert (planned.status, planned.out) == (0, "nothing to do\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("show x --at yesterday", "--at: a position or an ISO 8601 time with a zone is needed"),
        ("show x --at 2026-11-22T09:00:00", "--at: a position or an ISO 8601 time with a zone"),
        ("diff x 1 yesterday", "T2: a position or an ISO 8601 time with a zone is needed"),
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
