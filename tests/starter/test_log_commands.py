"""`amends log` and `amends follow`: what is printed, and how to go on from it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.starter.conftest import Command
from tests.support.until import until

Payment = Callable[..., dict[str, Any]]


async def _pay(command: Command, payment: Payment) -> str:
    request = payment(10)
    assert (await command("pay", request)).status == 0
    return f"payment/{request['operation_id']}"


async def _log(command: Command, saga: str) -> list[dict[str, Any]]:
    """Once nothing older is open in the cluster, such as the server's own vacuum."""

    async def final() -> list[dict[str, Any]] | None:
        events: list[dict[str, Any]] = (await command("log", saga, "--json", "--oldest-first")).json
        return events if all(event["token"] for event in events) else None

    return await until(final)


async def test_the_log_of_a_payment_is_a_line_for_each_event_and_can_be_filtered(
    command: Command, payment: Payment
) -> None:
    saga = await _pay(command, payment)
    header, *_, last = (await command("log", saga)).out.splitlines()
    assert header.split("\t") == ["position", "time", "event", "who", "version", "aggregate"]
    _, _, event, _, *name = last.split("\t")
    assert (event, name) == ("SagaStarted", ["1", f"saga/{saga}"])
    assert (await command("log", "--user", "user:nobody")).out == "no event\n"
    everything = await _log(command, saga)
    assert everything[0]["event_type"] == "SagaStarted"
    assert set(everything[0]) == {
        *("token", "position", "event_id", "aggregate", "version", "event_type", "schema_version"),
        *("timestamp", "user_id", "saga_id", "step", "payload", "metadata"),
    }
    agent = f"agent:{everything[0]['user_id'].removeprefix('agent:')}"
    assert (await command("log", "--saga", saga, "--json")).json == everything[::-1]

    async def kept(*filters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (
            await command("log", saga, "--json", "--oldest-first", *filters)
        ).json
        assert [event for event in everything if event in found] == found
        return found

    types = ("--type", "StepDone", "--type", "SagaStarted")
    assert {event["event_type"] for event in await kept(*types)} == {"SagaStarted", "StepDone"}
    steps = await kept("--aggregate-type", "step")
    assert {event["aggregate"].partition("/")[0] for event in steps} == {"step"}
    assert await kept("--user", agent) == everything
    assert await kept("--user", "user:nobody") == []
    assert await kept("--from", "PT1H", "--to", "2999-01-01T00:00:00Z") == everything
    times = [event["timestamp"] for event in everything]
    # One commit has one time.
    second = times.index(next(time for time in times if time > times[0]))
    assert await kept("--from", times[second]) == everything[second:]
    assert await kept("--to", times[second]) == everything[:second]
    turned = await command("log", saga, "--all", "--newest-first", "--limit", "1", "--json")
    assert turned.json == everything[::-1]


async def test_pages_and_follow_give_each_event_once_and_go_on_from_a_token(
    command: Command, payment: Payment
) -> None:
    saga = await _pay(command, payment)
    everything = await _log(command, saga)
    paged: list[dict[str, Any]] = []
    more: tuple[str, ...] = ("--after", "0-0-0")
    while page := (await command("log", saga, "--json", "--limit", "4", *more)).json:
        paged += page
        more = ("--after", page[-1]["token"])
    assert paged == everything

    start, given = "0-0-0", []
    for number in (2, 3):
        done = await command("follow", saga, "--after", start, "--limit", str(number), "--json")
        assert done.status == 0
        *events, last = map(json.loads, done.out.splitlines())
        assert last == {"token": events[-1]["token"]}
        given += events
        start = last["token"]
    assert given == everything[:5]
    told = await command("follow", "--saga", saga, "--from", "PT1H", "--limit", "1")
    assert told.out.split()[2:] == ["SagaStarted", f"saga/{saga}", everything[0]["user_id"]]
    assert told.err == f"to go on: amends follow --after {everything[0]['token']}\n"


async def test_follow_ends_with_ctrl_c_and_says_where_to_go_on(
    command: Command, payment: Payment
) -> None:
    """In a process of its own, on the settings that `command` has set."""
    saga = await _pay(command, payment)
    words = [sys.executable, "-m", "starter.cli", "follow", saga, "--from", "PT1H", "--json"]
    process = await asyncio.create_subprocess_exec(
        *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        first = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert first["event_type"] == "SagaStarted"
    assert set(json.loads(out.splitlines()[-1])) == {"token"}


async def test_wrong_filters_are_refused_by_option(command: Command, payment: Payment) -> None:
    saga = await _pay(command, payment)
    agent = payment(10)["agent_id"]
    for words, told in (
        (("--aggregate-type", "invoice"), "--aggregate-type: one of saga, step, "),
        (("--from", "yesterday"), "--from: an ISO 8601 time with a zone"),
        (("--to", "2026-01-01T00:00:00"), "--to: the zone is missing"),
        (("--saga", f"agent/{agent}"), "--saga: is not a saga"),
        (("--saga", "nobody"), "no aggregate named 'nobody' in the ledger"),
        ((agent, "--after", "1-2"), "--after: a token as log and follow print it"),
        (("--after", "9-9-9"), "token 9-9-9 names a transaction"),
    ):
        for name in ("log", "follow"):
            refused = await command(name, *words)
            assert (refused.status, refused.out) == (2, ""), words
            assert told in refused.err
    other = await _pay(command, payment)
    refused = await command("log", saga, "--saga", other)
    assert "--saga: names another saga than ID" in refused.err
