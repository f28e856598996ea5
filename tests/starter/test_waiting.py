"""What somebody must do is one list: `waiting`, `sagas`, `saga`, the query `progress` and the
search attributes say it in the same words, and none says it any more when it is over."""

import asyncio
import os
import pty
import shlex
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from activities import transfers
from activities.adapters.mock import Fault, MockBank
from starter.client.client import Amends
from tests.starter.conftest import Command
from tests.starter.places import Places, Waits, id_of
from tests.support.driver import CBU
from tests.support.until import DEADLINE_S, until
from workflows.contract.payment import PaymentRequest

Json = dict[str, Any]
Payment = Callable[..., Json]
Heal = Callable[[str], Awaitable[None]]
STEP = "execute transfer"
SOON = timedelta(seconds=0.2)


@pytest.fixture
def places(command: Command, amends: Amends) -> Places:
    return Places(command, amends)


async def test_a_payment_waits_for_an_approval_and_then_for_its_capture(
    places: Places, command: Command, payment: Payment, agent: str
) -> None:
    request = payment(55_000, capture="manual", description="the roof", approve_within="PT2H")
    saga_id = id_of(request)
    await command("pay", request)
    row = await places.are(saga_id, Waits("running", "approval", "user"))
    what = {"amount": "55,000.00 ARS", "payee": CBU, "description": "the roof", "agent": agent}
    assert row["what"] == what
    since, until_ = (datetime.fromisoformat(row[name]) for name in ("since", "until"))
    assert until_ - since == timedelta(hours=2)
    assert row["commands"] == [f"amends approve {saga_id}", f"amends reject {saga_id}"]
    progress = (await places.amends.progress(saga_id)).waits[0]
    assert (progress.since, progress.until) == (since, until_)
    approved = await command(*shlex.split(row["commands"][0])[1:], "--as", "boss")
    assert approved.status == 0
    row = await places.are(saga_id, Waits("running", "capture", f"agent:{agent}"))
    assert datetime.fromisoformat(row["since"]) > since
    assert datetime.fromisoformat(row["until"]) - datetime.fromisoformat(row["since"]) == timedelta(
        days=7
    )
    assert (await command(*shlex.split(row["commands"][0])[1:])).status == 0
    await places.are_silent(saga_id)


@pytest.mark.parametrize("end", ["reject", "cancel"])
async def test_a_payment_that_is_given_up_waits_no_more(
    places: Places, command: Command, payment: Payment, end: str
) -> None:
    request = payment(55_000)
    await command("pay", request)
    await places.are(id_of(request), Waits("running", "approval", "user"))
    assert (await command(end, id_of(request))).status == 0
    await places.are_silent(id_of(request))


async def test_a_payment_whose_approval_expired_waits_no_more(
    places: Places, command: Command, payment: Payment
) -> None:
    request = payment(55_000, approve_within="PT0.1S")
    await command("pay", request, "--wait")
    await places.are_silent(id_of(request))


async def test_a_transfer_in_doubt_waits_for_nobody_yet_and_then_for_an_operator(
    places: Places,
    command: Command,
    payment: Payment,
    bank: MockBank,
    heal: Heal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = payment(45_000)
    saga_id = id_of(request)
    await bank.inject(Fault(saga_id, "timeout_after"))
    await bank.inject(Fault(saga_id, "timeout_before", "find", remaining=1_000))
    await places.amends.submit(PaymentRequest.model_validate(request))
    await until(lambda: _is_in(places.amends, saga_id, "resolving"))
    row = await places.are(saga_id, Waits("resolving", STEP, "", needs_somebody=False))
    assert row["commands"] == [f"amends saga {saga_id}", f"amends cancel {saga_id}"]
    assert (await command("cancel", saga_id)).status == 4
    row = await places.are(saga_id, Waits("compensating", STEP, "user"))
    assert (row["undoing"], row["tries"] >= 3) == (True, True)
    assert [shlex.split(each)[1] for each in row["commands"]] == ["retry", "skip", "resolve"]
    await heal(saga_id)
    retried = await command(*shlex.split(row["commands"][0])[1:])
    assert retried.status == 0
    await places.are_silent(saga_id)
    monkeypatch.setattr(transfers, "TELL_WITHIN", SOON)
    second = payment(45_000)
    saga_id = id_of(second)
    await bank.inject(Fault(saga_id, "timeout_after"))
    await bank.inject(Fault(saga_id, "timeout_before", "find", remaining=1_000))
    assert (await command("pay", second)).status == 4
    row = await places.are(saga_id, Waits("needs_attention", STEP, "user"))
    assert [shlex.split(each)[1] for each in row["commands"]] == ["retry", "resolve"]
    await heal(saga_id)
    await command(*shlex.split(row["commands"][0])[1:])
    await places.are_silent(saga_id)


async def test_an_undo_that_asks_waits_for_an_operator(
    places: Places,
    command: Command,
    payment: Payment,
    bank: MockBank,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfers, "UNDO_TRIES", 1)
    request = payment(45_000)
    saga_id = id_of(request)
    await bank.inject(Fault(saga_id, "slow_after", delay_ms=700))
    await bank.inject(Fault(saga_id, "timeout_before", "reverse", remaining=1_000))
    await places.amends.submit(PaymentRequest.model_validate(request))
    await until(lambda: bank.find(saga_id))
    assert (await command("cancel", saga_id)).status == 4
    row = await places.are(saga_id, Waits("needs_attention", STEP, "user"))
    assert row["undoing"]
    skipped = await command("skip", saga_id, STEP, "--reason", "they keep it")
    assert skipped.status == 0
    await places.are_silent(saga_id)


async def test_without_temporal_the_list_is_that_of_the_ledger_and_says_what_it_lacks(
    places: Places, command: Command, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = payment(55_000)
    await command("pay", request)
    with monkeypatch.context() as patched:
        patched.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
        listed = await command("waiting")
    assert listed.status == 0
    assert f"{id_of(request)}: waits for approval" in listed.out.splitlines()
    assert listed.err.startswith("amends: the list lacks runs that were terminated or paused")
    assert "Temporal at 127.0.0.1:9 can't be reached" in listed.err
    assert (await command("cancel", id_of(request))).status == 0


async def test_filters_show_a_part_and_one_that_can_match_nothing_is_refused(
    command: Command, payment: Payment, agent: str
) -> None:
    approval, capture = payment(55_000), payment(1_000, capture="manual")
    for request in (approval, capture):
        await command("pay", request)

    async def listed(*words: str) -> set[str]:
        rows = (await command("waiting", "--json", "--agent", agent, *words)).json
        return {row["saga_id"] for row in rows}

    assert await listed() == {id_of(approval), id_of(capture)}
    # A capture is expected from the agent, and taken from a user.
    assert await listed("--for", "user") == {id_of(approval), id_of(capture)}
    assert await listed("--for", f"agent:{agent}") == {id_of(capture)}
    told = (await command("waiting", "--agent", agent)).out.splitlines()
    assert [line.partition(", for ")[2] for line in told if ", for " in line] == [
        "any user",
        f"agent:{agent} or any user",
    ]
    assert await listed("--kind", "change") == set()
    assert await listed("--limit", "1") == {id_of(approval)}
    more = await command("waiting", "--agent", agent, "--limit", "1")
    assert more.out.splitlines()[-1] == "and 1 more: --limit 2 lists them"
    for words, why in (
        (("--kind", "payments"), "--kind: one of payment, "),
        (("--agent", "nobody"), "--agent: no such agent"),
        (("--for", "agent:nobody"), "--for: no such agent"),
        (("--for", "boss"), "--for: user or agent:NAME is needed"),
    ):
        refused = await command("waiting", *words)
        assert (refused.status, refused.err.startswith(f"amends: {why}")) == (2, True)
    for request in (approval, capture):
        await command("cancel", id_of(request))


@pytest.mark.parametrize("verb", ["approve", "reject", "capture"])
async def test_whoever_decides_sees_amount_payee_description_and_agent(
    command: Command, payment: Payment, agent: str, verb: str
) -> None:
    amount, more = (1_000, {"capture": "manual"}) if verb == "capture" else (55_000, {})
    told = f"{amount:,}.00 ARS"
    facts = {"amount": told, "payee": CBU, "description": "the roof", "agent": agent}
    request = payment(amount, description="the roof", **more)
    await command("pay", request)
    for seen in (await command("waiting", "--agent", agent), await command("saga", id_of(request))):
        assert [fact for fact in facts.values() if fact not in seen.out] == []
    decided = await command(verb, request["operation_id"], "--as", "boss")
    assert decided.status == 0
    lines = decided.out.splitlines()
    assert [" ".join(line.split()) for line in lines[:4]] == [
        f"{name} {fact}" for name, fact in facts.items()
    ]
    program = await command(verb, id_of(request), "--as", "boss", "--json")
    assert program.json["payment"] == facts


@pytest.mark.parametrize(("answer", "status"), [("n", 4), ("y", 0)])
async def test_on_a_terminal_a_decision_is_confirmed_below_the_facts(
    command: Command, payment: Payment, settings: dict[str, str], answer: str, status: int
) -> None:
    request = payment(55_000, description="the roof")
    await command("pay", request)
    terminal, inside = pty.openpty()
    words = [sys.executable, "-m", "starter.cli", "approve", id_of(request), "--as", "boss"]
    process = await asyncio.create_subprocess_exec(
        *words, stdin=inside, stdout=inside, stderr=inside, env={**os.environ, **settings}
    )
    os.close(inside)
    # Whatever it waits for, it ends.
    ended = asyncio.get_running_loop().call_later(DEADLINE_S, process.kill)
    seen = ""
    while "[y/N]" not in seen:
        seen += (await asyncio.to_thread(os.read, terminal, 4096)).decode()
    assert [fact for fact in ("55,000.00 ARS", CBU, "the roof") if fact not in seen] == []
    assert "approve this payment as user:boss?" in seen
    os.write(terminal, f"{answer}\n".encode())
    assert await process.wait() == status
    ended.cancel()
    os.close(terminal)
    if answer == "n":
        assert (await command("waiting", "--agent", request["agent_id"], "--json")).json != []
        await command("cancel", id_of(request))


async def test_nobody_decides_where_the_facts_can_not_be_shown(
    command: Command, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = payment(55_000)
    await command("pay", request)
    with monkeypatch.context() as patched:
        patched.delenv("AMENDS_AUDIT_URL")
        for verb in ("approve", "reject"):
            refused = await command(verb, id_of(request), "--as", "boss", "--yes")
            assert (refused.status, refused.out) == (3, "")
            assert "can't be shown, so nothing was decided" in refused.err
    assert (await command("cancel", id_of(request))).status == 0


async def _is_in(amends: Amends, saga_id: str, state: str) -> bool:
    return (await amends.progress(saga_id)).state == state
