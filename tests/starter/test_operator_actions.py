"""Sagas that wait for a person, by the command line: what it says, and with which exit status."""

import shlex
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from activities import transfers
from activities.adapters.mock import Fault, MockBank
from starter.client.client import Amends
from tests.starter.conftest import Command
from tests.support.until import until
from workflows.contract.payment import PaymentRequest

Payment = Callable[..., dict[str, Any]]
Heal = Callable[[str], Awaitable[None]]
Doubtful = Callable[[], Awaitable[tuple[dict[str, Any], str]]]
STEP = "execute transfer"


@pytest.fixture(autouse=True)
def soon_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is asked after a blink, or after one try to undo."""
    monkeypatch.setattr(transfers, "TELL_WITHIN", timedelta(seconds=0.2))
    monkeypatch.setattr(transfers, "UNDO_TRIES", 1)


@pytest.fixture
def doubtful(payment: Payment, bank: MockBank) -> Doubtful:
    """`await doubtful()`: a request whose transfer lands, while the bank never says so; its id."""

    async def request() -> tuple[dict[str, Any], str]:
        asked = payment(45_000)
        key = f"payment/{asked['operation_id']}"
        await bank.inject(Fault(key, "timeout_after"))
        await bank.inject(Fault(key, "timeout_before", "find", remaining=1_000))
        return asked, key

    return request


def said(line: str, verb: str) -> list[str]:
    """The words of the command that a line advises, as a shell would take them."""
    (command,) = [part for part in line.split(", or ") if f"amends {verb} " in part]
    return shlex.split(command[command.index("amends") :])[1:]


async def test_what_nobody_can_tell_ends_with_4_and_says_what_to_say(
    command: Command, doubtful: Doubtful, heal: Heal, bank: MockBank
) -> None:
    request, saga_id = await doubtful()
    paid = await command("pay", request)
    assert (paid.status, paid.err) == (4, "")
    last = paid.out.splitlines()[-1]
    assert f"{saga_id}: {STEP} needs an operator: the bank did not answer find: " in last
    assert said(last, "retry") == ["retry", saga_id, STEP]
    await heal(saga_id)
    report = await bank.find(saga_id)
    assert report is not None
    assert report.reference is not None
    words = said(last, "resolve")
    assert words[-2:] == ["--outcome", "done|failed"]
    answer = ("--evidence", report.reference, "--outcome", "done", "--as", "ana")
    resolved = await command(*words[:3], *answer)
    assert (resolved.status, resolved.err) == (0, "")
    again = await command("pay", request, "--json")
    assert (again.status, again.json["provider_reference"]) == (0, report.reference)


async def test_the_ledger_lists_what_waits_for_a_person_while_temporal_is_away(
    command: Command,
    doubtful: Doubtful,
    heal: Heal,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request, saga_id = await doubtful()
    stuck = await command("pay", request, "--json")
    assert (stuck.status, stuck.json["state"]) == (4, "needs_attention")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    listed = await command("waiting", "--json")
    assert listed.status == 0
    (found,) = [each for each in listed.json if each["saga_id"] == saga_id]
    assert found["since"]
    assert (found["waits_for"], found["undoing"]) == (STEP, False)
    assert found["why"] == "the bank did not answer find"
    assert [said(each, shlex.split(each)[1])[0] for each in found["commands"]] == [
        "retry",
        "resolve",
    ]
    lines = (await command("waiting")).out.splitlines()
    (line,) = [line for line in lines if f"amends retry {saga_id} " in line]
    told = await command("saga", saga_id)
    assert f"{saga_id}: {STEP} needs an operator" in told.out.splitlines()[0]
    monkeypatch.setenv("TEMPORAL_ADDRESS", settings["TEMPORAL_ADDRESS"])
    await heal(saga_id)
    retried = await command(*said(line, "retry"), "--as", "ana", "--reason", "the bank is back")
    assert retried.status == 0
    assert (await command("pay", request)).status == 0
    assert saga_id not in (await command("waiting")).out


async def test_a_cancel_whose_undo_is_tried_for_long_says_so_and_does_not_wait(
    command: Command, doubtful: Doubtful, heal: Heal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "UNDO_TRIES", 1_000)
    request, saga_id = await doubtful()
    await command("pay", request)
    cancelled = await command("cancel", saga_id, "--as", "ana")
    assert cancelled.status == 4
    assert f"{saga_id}: the undo of {STEP} had no success in 3 tries" in cancelled.out
    await heal(saga_id)
    assert (await command(*said(cancelled.out, "retry"), "--as", "ana")).status == 0


async def test_a_cancel_that_can_not_be_carried_out_ends_with_4_and_a_skip_ends_it(
    command: Command, payment: Payment, bank: MockBank, amends: Amends
) -> None:
    request = payment(45_000)
    saga_id = f"payment/{request['operation_id']}"
    await bank.inject(Fault(saga_id, "slow_after", delay_ms=700))
    await bank.inject(Fault(saga_id, "timeout_before", "reverse", remaining=1_000))
    await amends.submit(PaymentRequest.model_validate(request))
    await until(lambda: bank.find(saga_id))
    cancelled = await command("cancel", saga_id, "--as", "ana")
    assert cancelled.status == 4
    words = said(cancelled.out, "skip")
    assert words == ["skip", saga_id, STEP, "--reason", "TEXT"]
    assert (await command(*words[:3], "--as", "ana")).status == 2
    skipped = await command(*words[:3], "--as", "ana", "--reason", "they keep it")
    assert skipped.status == 0
    residual = f"{STEP}: skipped by user:ana: they keep it"
    result = await amends.result(saga_id)
    assert result.model_dump()["residuals"] == [residual]
    told = (await command("saga", saga_id, "--json")).json
    report = {step["name"]: step for step in told["steps"]}[STEP]
    undo = (report["undo_outcome"], report["undo_tries"], report["residual"])
    assert (report["outcome"], *undo) == ("done", "skipped", 1, residual)
    lines = (await command("saga", saga_id)).out.splitlines()
    (row,) = [line for line in lines if f"\t{STEP}\t" in line]
    assert row.split("\t")[2:] == ["done", "1", "skipped", "1", residual]


async def test_who_mends_what_does_not_wait_is_told_so(command: Command, payment: Payment) -> None:
    request = payment(55_000)
    saga_id = f"payment/{request['operation_id']}"
    await command("pay", request)
    for words in (
        ("retry", saga_id, STEP),
        ("skip", saga_id, STEP, "--reason", "r"),
        ("resolve", saga_id, STEP, "--evidence", "e"),
    ):
        refused = await command(*words, "--as", "ana")
        assert (refused.status, refused.out) == (2, "")
        assert "it does not wait for an operator" in refused.err
    by_agent = await command("retry", saga_id, STEP, "--as", f"agent:{request['agent_id']}")
    assert (by_agent.status, "a user decides, not an agent" in by_agent.err) == (2, True)
    unknown = await command("resolve", saga_id, STEP, "--evidence", "e", "--outcome", "perhaps")
    assert (unknown.status, unknown.err.count("\n")) == (2, 1)
    await command("reject", saga_id, "--as", "ana")
    late = await command("retry", saga_id, STEP, "--as", "ana")
    assert (late.status, "comes too late" in late.err) == (2, True)
