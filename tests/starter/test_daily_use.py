"""Lists, filters, zones, windows and decisions, as people meet them every day."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from time import tzset
from typing import Any

import pytest

from starter.client.endings import ended_as
from tests.starter.conftest import Command

Payment = Callable[..., dict[str, Any]]


@pytest.fixture
def buenos_aires(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A reader whose clock is three hours behind UTC."""
    monkeypatch.setenv("TZ", "<-03>3")
    tzset()
    yield
    monkeypatch.delenv("TZ")
    tzset()


async def test_a_list_goes_newest_first_and_says_that_there_are_more(
    command: Command, payment: Payment
) -> None:
    first, second = payment(10), payment(11)
    for request in (first, second):
        assert (await command("pay", request)).status == 0
    for words in (["payments"], ["sagas"], ["log"]):
        listed = await command(*words, "--limit", "1")
        assert listed.out.splitlines()[-1].startswith("and more: --limit 10 lists up to 10")
        assert len(listed.out.splitlines()) == 3
        document = await command(*words, "--limit", "1", "--json")
        assert len(document.json) == 1
        assert document.err.startswith("and more: --limit 10 lists up to 10")
    [newest] = (await command("payments", "--limit", "1", "--json")).json
    assert newest["saga_id"] == f"payment/{second['operation_id']}"
    everything = (await command("log", "--all", "--json")).json
    positions = [event["position"] for event in everything]
    assert positions == sorted(positions, reverse=True)
    saga_id = f"payment/{second['operation_id']}"
    of_saga = (await command("saga", saga_id, "--json")).json["events"]
    positions = [event["position"] for event in of_saga]
    assert positions == sorted(positions, reverse=True)
    told = [line.split("\t") for line in (await command("saga", saga_id)).out.splitlines()]
    steps, listed_events = (
        next(at for at, cells in enumerate(told) if cells[0] == first)
        for first in ("#", "position")
    )
    assert told[steps][-1] == "note"
    assert [int(cells[0]) for cells in told[listed_events + 1 :]] == positions
    everywhere = await command("payments", "--agent", first["agent_id"])
    assert "and more" not in everywhere.out + everywhere.err


async def test_times_are_in_the_zone_of_the_reader_and_json_is_in_utc(
    command: Command, payment: Payment, buenos_aires: None
) -> None:
    request = payment(10)
    assert (await command("pay", request)).status == 0
    agent = request["agent_id"]
    [document] = (await command("payments", "--agent", agent, "--json")).json
    asked = datetime.fromisoformat(document["requested_at"])
    assert asked.utcoffset() == timedelta()

    async def shown(*words: str) -> list[str]:
        out = (await command(*words)).out
        return re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d", out)

    for words in (
        ("payments", "--agent", agent),
        ("sagas", "--limit", "1"),
        ("saga", f"payment/{request['operation_id']}"),
        ("log", "--limit", "1"),
        ("show", f"agent/{agent}"),
        ("blame", f"agent/{agent}"),
    ):
        for zone, offset in (((), "-03:00"), (("--utc",), "+00:00")):
            times = await shown(*words, *zone)
            assert times, words
            assert {time[-6:] for time in times} == {offset}
    [local] = await shown("payments", "--agent", agent)
    assert datetime.fromisoformat(local) == asked.replace(microsecond=0)


async def test_a_mistyped_filter_is_refused_with_what_is_near(
    command: Command, payment: Payment
) -> None:
    request = payment(10)
    assert (await command("pay", request)).status == 0
    agent = request["agent_id"]
    for words, told in (
        (("log", "--type", "TransferExecutd"), "--type: is not known: did you mean TransferExec"),
        (("log", "--type", "Paid"), "--type: is not known: amends log lists events"),
        (("log", "--user", "ana"), "--user: user:NAME, agent:NAME or system:NAME is needed: did"),
        (("log", "--aggregate-type", "sagas"), "--aggregate-type: is not known: did you mean saga"),
        (("payments", "--state", "capturd"), "--state: is not known: did you mean captured"),
        (("payments", "--agent", f"{agent}x"), f"--agent: is not known: did you mean {agent}"),
        (("resources", "--environment", "prod-uction"), "--environment: is not known: "),
        (("resources", "--kind", "postgres.databse"), "did you mean postgres.database"),
        (("policy", "show", f"{agent}x"), f"AGENT: is not known: did you mean {agent}"),
    ):
        refused = await command(*words)
        assert (refused.status, refused.out) == (2, ""), words
        assert told in refused.err


async def test_a_right_filter_that_matches_nothing_is_an_empty_list(
    command: Command, agent: str
) -> None:
    for words, told in (
        (("log", "--type", "SagaLost", "--user", "system:nobody"), "no event\n"),
        (("payments", "--agent", agent), "no such payment\n"),
        (("resources", "--kind", "postgres.role"), "dev holds nothing of kind postgres.role\n"),
    ):
        empty = await command(*words)
        assert (empty.status, empty.out) == (0, told)
        assert (await command(*words, "--json")).json == []


async def test_a_policy_shows_what_is_spent_and_left_in_its_window(
    command: Command, payment: Payment
) -> None:
    request = payment(45_000)
    agent = request["agent_id"]
    before = (await command("policy", "show", agent, "--json")).json
    [window] = before["windows"]
    assert (window["spent_minor"], window["count"]) == (0, 0)
    assert window["left_minor"] == window["limit_minor"] == before["daily_limit_minor"]
    assert (await command("pay", request)).status == 0
    [window] = (await command("policy", "show", agent, "--json")).json["windows"]
    assert (window["spent_minor"], window["count"], window["period"]) == (4_500_000, 1, "daily")
    assert window["left_minor"] == before["daily_limit_minor"] - 4_500_000
    told = (await command("policy", "show", agent)).out
    assert "45,000.00 ARS spent or reserved in 1 payment, " in told


async def test_a_decision_for_another_kind_of_saga_says_what_it_is(
    command: Command, payment: Payment
) -> None:
    denied = payment(70_000)
    await command("pay", denied)
    registered = (await command("log", f"agent/{denied['agent_id']}", "--json")).json[0]["saga_id"]
    kind, _, operation_id = registered.partition("/")
    for verb in ("approve", "reject", "capture"):
        for name in (registered, operation_id):
            refused = await command(verb, name)
            assert (refused.status, refused.out) == (2, "")
            assert f"{registered} is an {kind}, and only payments take {verb}" in refused.err
        other = await command(verb, "refund/r-1")
        assert "refund/r-1 is a refund, and only payments take" in other.err
        late = await command(verb, f"payment/{denied['operation_id']}", "--as", "user:bea")
        assert "ended as denied (exceeded_max_transaction_limit)" in late.err


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, ""),
        ({}, ""),
        ({"state": None, "reason": None}, ""),
        ({"state": "captured", "reason": None}, "captured"),
        ({"state": "denied", "reason": "no_policy"}, "denied (no_policy)"),
        ({"state": "rejected", "reason": "rejected"}, "rejected"),
        ({"reason": "lost_run"}, "(lost_run)"),
    ],
)
def test_an_end_never_prints_none_or_a_leading_blank(
    result: dict[str, Any] | None, told: str
) -> None:
    assert ended_as(result) == told
    otherwise = ended_as(result, "failed")
    assert otherwise == otherwise.strip()
    assert "None" not in otherwise
    assert otherwise
