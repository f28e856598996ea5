"""Payments by the command line, on real servers: what it prints, and its exit status."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from temporalio.client import WorkflowFailureError

from activities.adapters.mock import Fault, MockBank
from starter.client.client import Amends
from tests.starter.conftest import QUEUES, Command
from tests.support.until import until
from workflows.contract.payment import PaymentRequest

Payment = Callable[..., dict[str, Any]]

# As in all tests of commands without a key.
UNSIGNED = "note: not signed, as only development allows\n"


async def test_a_payment_within_the_policy_is_captured_once_and_repeats_give_its_first_answer(
    command: Command, payment: Payment
) -> None:
    request = payment(45_000, metadata={"ip": "203.0.113.7"})
    saga_id = f"payment/{request['operation_id']}"
    paid = await command("pay", request)
    assert (paid.status, paid.err) == (0, "")
    steps, _, end = paid.out.rstrip().rpartition("\n")
    assert "authorize: done" in steps
    assert end.startswith(f"{saga_id}: captured as TRF-")
    # Who asks and why go to the metadata and change no request.
    again = await command("pay", request, "--as", "ana", "--reason", "month's end")
    note = "nothing was done now: the request was submitted before, and this is its first answer"
    assert (again.status, again.out) == (0, f"{note}\n{UNSIGNED}{end}\n")
    log = (await command("log", request["operation_id"], "--json")).json
    assert log[0]["metadata"]["context"]["ip"] == "203.0.113.7"
    other = await command("pay", request | {"description": "another one"})
    assert (other.status, other.out) == (2, "")
    assert "belongs to another request: choose a new operation id" in other.err


async def test_a_program_gets_one_document_and_a_repeat_the_same(
    command: Command, payment: Payment
) -> None:
    request = payment(45_000)
    first = await command("pay", request, "--json")
    assert (first.status, first.json["state"]) == (0, "captured")
    assert first.json["saga_id"] == f"payment/{request['operation_id']}"
    again = await command("pay", request, "--json")
    assert (again.status, again.json) == (0, {**first.json, "done_now": False})


async def test_a_denied_payment_ends_with_1_and_the_reason(
    command: Command, payment: Payment
) -> None:
    asked = payment(70_000)
    denied = await command("pay", asked, "--json")
    assert (denied.status, denied.json["reason"]) == (1, "exceeded_max_transaction_limit")
    unknown = await command("pay", payment(1) | {"agent_id": "nobody"})
    assert (unknown.status, "denied (unknown_agent)" in unknown.out) == (1, True)
    assert "amends agent register nobody" in unknown.out
    shown = await command("saga", denied.json["saga_id"])
    assert f"amends policy show {asked['agent_id']} shows the limits" in shown.out


async def test_what_the_bank_refuses_is_compensated_and_ends_with_1(
    command: Command, payment: Payment, bank: MockBank
) -> None:
    request = payment(45_000)
    await bank.inject(Fault(f"payment/{request['operation_id']}", "refuse"))
    paid = await command("pay", request)
    assert paid.status == 1
    assert "execute transfer: refused" in paid.out
    assert "compensated (provider_refused)" in paid.out


async def test_a_person_refunds_a_payment_in_part_and_what_is_left_of_it(
    command: Command, payment: Payment
) -> None:
    request, why = payment(45_000), ("--reason", "the order was cancelled")
    paid = (await command("pay", request, "--json")).json["saga_id"]
    part = await command("refund", paid, "--amount", "1500000", "--currency", "ARS", *why)
    assert (part.status, part.err) == (0, "")
    assert "refunded as RFD-" in part.out
    rest = await command("refund", request["operation_id"], *why, "--json")
    assert (rest.status, rest.json["amount_minor"]) == (0, 3_000_000)
    shown = await command("saga", rest.json["saga_id"])
    assert f"refund of {request['operation_id']} " in " ".join(shown.out.split())
    above = await command("refund", paid, *why)
    assert (above.status, "denied (exceeds_captured)" in above.out) == (1, True)
    assert "amends payments shows what was refunded: ask for less" in above.out
    assert re.search(r"refunded +45,000.00 ARS", (await command("saga", paid)).out)
    half = await command("refund", paid, "--amount", "1", *why)
    assert (half.status, "give both, or none of them" in half.err) == (2, True)
    listed = await command("payments", "--agent", request["agent_id"], "--json")
    assert [row["refunded_minor"] for row in listed.json] == [4_500_000]
    assert "45,000.00 ARS" in (await command("payments", "--agent", request["agent_id"])).out


async def test_above_the_threshold_a_person_decides(command: Command, payment: Payment) -> None:
    request = payment(55_000)
    saga_id = f"payment/{request['operation_id']}"
    waits = await command("pay", request)
    assert waits.status == 4
    assert f"amends approve {saga_id}" in waits.out
    detached = await command("pay", request, "--detach", "--json")
    assert (detached.status, detached.json["decision"]) == (4, "pending_approval")
    approved = await command("approve", request["operation_id"], "--as", "user:boss")
    assert approved.status == 0
    assert (await command("pay", request)).status == 0
    again = await command("approve", saga_id, "--as", "user:boss", "--json")
    assert (again.status, again.json["state"]) == (0, "captured")
    for late in (("approve", "user:other"), ("reject", "user:boss")):
        refused = await command(late[0], saga_id, "--as", late[1])
        assert refused.status == 2
        assert "comes too late" in refused.err


async def test_who_decides_on_a_payment_whose_run_was_lost_is_told_so(
    command: Command, payment: Payment, amends: Amends
) -> None:
    request = payment(55_000)
    saga_id = f"payment/{request['operation_id']}"
    await command("pay", request)
    await amends.client.get_workflow_handle(saga_id).terminate("an accident")
    for verb in ("approve", "cancel"):
        refused = await command(verb, saga_id, "--as", "boss")
        assert refused.status == 2
        assert f"{saga_id} is orphaned, since its run was lost" in refused.err
    assert (await command("pay", request)).status == 4
    assert (await command("cancel", saga_id, "--as", "boss")).status == 0


async def test_a_rejected_payment_ends_with_1_for_who_asked(
    command: Command, payment: Payment
) -> None:
    request = payment(55_000)
    await command("pay", request)
    boss = (request["operation_id"], "--as", "boss")
    rejected = await command("reject", *boss, "--reason", "no", "--json")
    assert (rejected.status, rejected.json["state"]) == (0, "rejected")
    again = await command("reject", *boss, "--json")
    assert (again.status, again.json) == (0, rejected.json)
    assert (await command("approve", *boss)).status == 2
    asked = await command("pay", request, "--json")
    assert (asked.status, asked.json["state"]) == (1, "rejected")


async def test_wait_goes_on_until_a_person_has_decided(
    command: Command, payment: Payment, amends: Amends
) -> None:
    request = payment(55_000)
    saga_id = f"payment/{request['operation_id']}"
    await amends.submit(PaymentRequest.model_validate(request))
    waiting = asyncio.ensure_future(command("pay", request, "--wait", "--json"))
    await amends.approve(saga_id, actor="user:boss")
    done = await waiting
    assert (done.status, done.json["state"]) == (0, "captured")


async def test_a_manual_capture_is_one_payment_however_often_it_is_asked(
    command: Command, payment: Payment
) -> None:
    request = payment(45_000, capture="manual")
    assert (await command("pay", request)).status == 4
    own = f"agent:{request['agent_id']}"
    assert (await command("approve", request["operation_id"], "--as", own)).status == 2
    first = await command("capture", request["operation_id"], "--json")
    again = await command("capture", request["operation_id"], "--json")
    assert (first.status, first.json["state"]) == (0, "captured")
    assert (again.status, again.json) == (0, first.json)


async def test_a_part_is_captured_once_under_its_name_and_the_rest_is_void(
    command: Command, payment: Payment
) -> None:
    request = payment(55_000, capture="manual")
    name, saga_id = request["operation_id"], f"payment/{request['operation_id']}"
    await command("pay", request)
    assert (await command("approve", name, "--as", "boss", "--amount-minor", "0")).status == 2
    more = await command("approve", name, "--as", "boss", "--amount-minor", "5500001")
    assert (more.status, "5500000 minor units are asked for" in more.err) == (2, True)
    assert (await command("approve", name, "--as", "boss", "--amount-minor", "4000000")).status == 0
    for _ in range(2):
        part = await command("capture", name, "--amount-minor", "1000000", "--update-id", "once")
        assert part.status == 0
        some = "(1000000 minor units are captured, 3000000 left)"
        assert part.out.endswith(f"{saga_id} waits for capture {some}: amends capture {saga_id}\n")
    waits = (await command("waiting", "--kind", "payment", "--json")).json
    [row] = [row for row in waits if row["saga_id"] == saga_id]
    amounts = {what: row["what"][what] for what in ("amount", "authorized", "captured", "left")}
    assert amounts == {
        "amount": "55,000.00 ARS",
        "authorized": "40,000.00 ARS",
        "captured": "10,000.00 ARS",
        "left": "30,000.00 ARS",
    }
    assert re.search(r"left +30,000.00 ARS", (await command("saga", name)).out)
    ended = await command("void", name, "--json")
    assert (ended.status, ended.json["state"]) == (0, "captured")
    listed = await command("payments", "--agent", request["agent_id"])
    assert "40,000.00 ARS (10,000.00 ARS captured)" in listed.out
    assert ended.json["captured_minor"] == 1_000_000
    shown = (await command("saga", name)).out
    assert re.search(r"captured +10,000.00 ARS", shown)
    assert not re.search(r"left +\d", shown)
    assert (await command("void", name)).status == 2


async def test_cancel_undoes_what_waits_and_comes_too_late_after_the_end(
    command: Command, payment: Payment
) -> None:
    request = payment(55_000)
    await command("pay", request)
    cancelled = await command("cancel", request["operation_id"])
    end = f"payment/{request['operation_id']}: voided (cancelled): the spend is released\n"
    assert (cancelled.status, cancelled.out) == (0, UNSIGNED + end)
    assert (await command("pay", request, "--json")).json["state"] == "voided"
    assert (await command("cancel", request["operation_id"])).status == 2


async def test_an_id_that_nobody_knows_is_refused_and_a_bare_one_that_means_two_sagas_with_both(
    command: Command, payment: Payment, agent: str
) -> None:
    for verb in ("approve", "cancel", "saga"):
        done = await command(verb, "nobody")
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert (await command("cancel", "no/prefix")).status == 2
    request = payment(55_000)
    name = request["operation_id"]
    await command("pay", request)
    await command("agent", "register", agent, "--user", "u-17", "--operation-id", name)
    done = await command("cancel", name)
    assert (done.status, f"payment/{name} or agent/{name}" in done.err) == (2, True)


async def test_readers_tell_a_payment(command: Command, payment: Payment, agent: str) -> None:
    request = payment(45_000)
    saga_id = f"payment/{request['operation_id']}"
    await command("pay", request)
    story = await command("saga", request["operation_id"])
    assert f"{saga_id}: captured as TRF-" in story.out
    assert "SagaCompleted" in story.out
    told = (await command("saga", saga_id, "--json")).json
    assert told["state"] == "completed"
    assert [step["state"] for step in told["steps"]] == ["done"] * len(told["steps"])
    assert saga_id in {each["saga_id"] for each in (await command("sagas", "--json")).json}
    assert saga_id not in (await command("sagas", "--open")).out
    shown = (await command("show", f"saga/{saga_id}", "--json")).json
    assert shown["state"]["state"] == "completed"
    assert (await command("show", f"agent/{agent}")).out.startswith(f"agent/{agent}, version 1")
    policy = (await command("policy", "show", agent, "--json")).json
    assert (policy["daily_limit_minor"], policy["policy_version"]) == (10_000_000, 1)
    assert agent in (await command("agent", "list")).out
    verified = await command("verify", "--json")
    assert (verified.status, verified.json["findings"]) == (0, [])


async def test_a_revoked_agent_is_denied_and_registering_it_again_says_what_it_was(
    command: Command, payment: Payment, agent: str
) -> None:
    assert (await command("agent", "revoke", agent)).status == 0
    denied = await command("pay", payment(1), "--json")
    assert (denied.status, denied.json["reason"]) == (1, "agent_revoked")
    again = await command("agent", "register", agent, "--user", "u-18")
    assert f"note: {agent} was of user:u-17" in again.out
    assert f"note: {agent} was revoked" in again.out
    same = await command("agent", "register", agent, "--user", "u-18", "--json")
    assert (same.json["state"], same.err) == ("registered", "")


async def test_a_policy_for_nobody_is_noted(command: Command, new_id: Callable[[str], str]) -> None:
    limits = ("--max-per-transaction", "1", "--daily-limit", "1", "--approval-threshold", "1")
    name = new_id("nobody")
    done = await command("policy", "set", name, *limits, "--currency", "ARS", "--json")
    assert (done.status, done.json["agent_id"]) == (0, name)
    assert f"note: no agent {name} is registered yet" in done.err


async def test_no_command_prints_a_secret(command: Command, settings: dict[str, str]) -> None:
    secrets = {urlsplit(url).password or "" for name, url in settings.items() if "URL" in name}
    for words in ("sagas", "log", "verify", "agent list", "schedule list"):
        for more in ([], ["--json"]):
            done = await command(*words.split(), *more)
            assert not [secret for secret in secrets if secret and secret in done.out + done.err]


async def test_a_saga_that_fails_is_a_document_too(
    command: Command, new_id: Callable[[str], str]
) -> None:
    unknown = ("agent", "revoke", new_id("nobody"), "--json", "--operation-id", new_id("revoke"))
    ended = await command(*unknown)
    assert (ended.status, ended.json["state"]) == (1, "failed")
    assert ended.json["reason"] == "unknown_agent"
    assert "unknown_agent" in ended.err


async def test_a_decision_on_a_payment_that_is_being_undone_says_so_and_ends_with_its_status(
    command: Command,
    payment: Payment,
    bank: MockBank,
    amends: Amends,
    heal: Callable[[str], Awaitable[None]],
) -> None:
    """The recipe of docs/operator-actions.md."""
    request = payment(55_000)
    saga_id = f"payment/{request['operation_id']}"
    await bank.inject(Fault(saga_id, "timeout_after"))
    await bank.inject(Fault(saga_id, "timeout_before", "find", remaining=1_000))
    await command("pay", request)
    assert (await command("approve", saga_id, "--as", "boss")).status == 0

    async def is_in_doubt() -> bool:
        return (await amends.progress(saga_id)).state == "resolving"

    await until(is_in_doubt)
    # The deadline, and that the number of tries may be higher by now, from the ledger alone.
    shown = (await command("waiting", "--agent", request["agent_id"])).out
    assert f"{saga_id}: resolving, execute transfer after at least 1 try: " in shown
    assert ", until 20" in shown
    in_doubt = await command("capture", saga_id)
    assert (in_doubt.status, "is in doubt" in in_doubt.out) == (4, True)
    assert (await command("cancel", saga_id)).status == 4
    again = await command("approve", saga_id, "--as", "boss")
    assert (again.status, "the undo of execute transfer had no success" in again.out) == (4, True)
    undone = "the saga is being compensated (cancelled): "
    for verb, who in (("approve", "other"), ("reject", "boss"), ("capture", "boss")):
        refused = await command(verb, saga_id, "--as", who)
        assert (refused.status, f"can't {verb}: {undone}" in refused.err) == (2, True)
        assert f"amends retry {saga_id} 'execute transfer'" in refused.err
    await heal(saga_id)
    retried = await command("retry", saga_id, "execute transfer")
    assert retried.status == 0


async def test_a_payment_in_its_start_delay_is_said_to_be_there_and_takes_a_cancel_alone(
    command: Command, payment: Payment, amends: Amends
) -> None:
    request = payment(45_000)
    name = request["operation_id"]
    handle = await amends.client.start_workflow(
        "PaymentSaga",
        request,
        id=f"payment/{name}",
        task_queue=QUEUES["AMENDS_PAYMENTS_QUEUE"],
        start_delay=timedelta(hours=1),
    )
    for verb in ("approve", "reject", "capture"):
        for known_as in (name, f"payment/{name}"):
            refused = await command(verb, known_as, "--as", "boss")
            assert (refused.status, refused.out) == (2, "")
            assert f"payment/{name} has not begun: its start delay has not passed" in refused.err
    for known_as in (name, f"payment/{name}"):
        shown = await command("saga", known_as)
        assert (shown.status, shown.out) == (2, "")
        assert "not in the ledger before its start delay has passed" in shown.err
        assert "temporal workflow describe --workflow-id" in shown.err
    cancelled = await command("cancel", name, "--as", "boss")
    assert (cancelled.status, cancelled.out) == (
        0,
        f"{UNSIGNED}payment/{name}: failed (cancelled)\n",
    )
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    told = await command("cancel", name, "--as", "boss", "--json")
    assert (told.status, told.out) == (2, "")
    assert f"payment/{name} ended as failed (cancelled), cancel comes too late" in told.err


async def test_the_first_of_two_who_approve_is_told_that_another_person_has_to(
    command: Command, payment: Payment, tmp_path: Path
) -> None:
    request = payment(55_000)
    terms = {"currency": "ARS", "max_per_transaction_minor": 6_000_000, "approvals": 2}
    terms |= {"daily_limit_minor": 10_000_000, "approval_threshold_minor": 5_000_000}
    (file := tmp_path / "policy.json").write_text(json.dumps(terms))
    set_ = await command("policy", "set", request["agent_id"], "--file", str(file))
    assert set_.status == 0, set_
    paid = (await command("pay", request, "--json")).json["saga_id"]
    first = await command("approve", paid, "--as", "user:ana")
    assert first.status == 4
    assert f"{paid}: user:ana has approved, and another person has to: amends approve" in first.out
    shown = (await command("saga", paid)).out
    assert re.search("approved by +user:ana, of 2 people", shown)
    assert (await command("approve", paid, "--as", "user:eva")).status == 0
