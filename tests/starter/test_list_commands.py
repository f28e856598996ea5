"""`amends payments` and `amends resources` on a real ledger."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from starter import Amends, PaymentQuery
from starter.cli import lists
from tests.starter.conftest import Command
from tests.support.driver import IBAN

Payment = Callable[..., dict[str, Any]]


async def test_the_payments_of_an_agent_are_listed_the_newest_first(
    command: Command, payment: Payment, agent: str
) -> None:
    paid, denied = payment(45_000), payment(70_000)
    await command("pay", paid)
    await command("pay", denied)
    listed = await command("payments", "--agent", agent, "--from", "PT1H", "--json")
    assert [(found["saga_id"], found["state"]) for found in listed.json] == [
        (f"payment/{denied['operation_id']}", "denied"),
        (f"payment/{paid['operation_id']}", "captured"),
    ]
    captured = await command("payments", "--agent", agent, "--state", "captured")
    header, line = captured.out.splitlines()
    headers = ["saga", "agent", "amount", "to", "state", "reason", "refunded", "asked"]
    assert header.split("\t") == headers
    saga_id = f"payment/{paid['operation_id']}"
    assert line.startswith(f"{saga_id}\t{agent}\t45,000.00 ARS\t…5201\tcaptured\t")
    before = await command("payments", "--agent", agent, "--to", "PT1H")
    assert before.out == "no such payment\n"


async def test_all_payments_come_page_by_page_as_csv_and_json_lines_with_endings_of_accounts(
    command: Command, payment: Payment, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "_PAGE", 2)
    asked = [payment(70_000), payment(70_001), payment(70_002, destination={"iban": IBAN})]
    asked[0] |= {"description": '=1+1, "quoted"'}
    for request in asked:
        await command("pay", request)
    ids = [f"payment/{request['operation_id']}" for request in asked][::-1]
    words = ("payments", "--agent", agent)
    lines = (await command(*words, "--all", "--format", "jsonl")).out.splitlines()
    found = [json.loads(line) for line in lines]
    assert [(row["saga_id"], row["destination"]) for row in found] == list(
        zip(ids, ["…1332", "…5201", "…5201"], strict=True)
    )
    printed = (await command(*words, "--all", "--format", "csv")).out
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["saga_id"] for row in rows] == ids
    assert tuple(rows[0]) == lists.COLUMNS
    assert (rows[2]["description"], rows[2]["amount_minor"]) == ('\'=1+1, "quoted"', "7000000")
    assert rows[0]["requested_at"] == found[0]["requested_at"]
    # By hand: each page names the next one.
    page = await command(*words, "--limit", "2", "--json")
    assert [row["saga_id"] for row in page.json] == ids[:2]
    after = page.json[-1]["authorization_id"]
    assert page.err == f"and more: --limit 20 lists up to 20, --after {after} the next ones\n"
    rest = await command(*words, "--after", after, "--destination", "5201", "--json")
    assert [row["saga_id"] for row in rest.json] == ids[2:]
    for wrong, told in (
        (("--after", "nobody"), "no payment has this authorization_id"),
        (("--all",), "--all: needs --format"),
        (("--destination", "501"), "--destination: the last 4 characters"),
    ):
        refused = await command("payments", *wrong)
        assert (refused.status != 0, told in refused.err) == (True, True)


async def test_a_program_pages_through_the_payments(
    command: Command, payment: Payment, agent: str, amends: Amends
) -> None:
    asked = [payment(70_000), payment(70_001)]
    for request in asked:
        await command("pay", request)
    query = PaymentQuery(agent_id=agent)
    first = await amends.payments(query, limit=1)
    rest = await amends.payments(query, after=first.rows[0]["authorization_id"])
    assert (first.more, rest.more) == (True, False)
    assert [row["saga_id"] for row in (*first.rows, *rest.rows)] == [
        f"payment/{request['operation_id']}" for request in asked[::-1]
    ]


async def test_a_state_that_is_none_is_refused_and_an_environment_that_holds_nothing_says_so(
    command: Command,
) -> None:
    refused = await command("payments", "--state", "paid")
    assert refused.status == 2
    assert "--state: one of pending_approval, approved, denied" in refused.err
    empty = await command("resources", "--environment", "dev", "--kind", "postgres.role")
    assert (empty.status, empty.out) == (0, "dev holds nothing of kind postgres.role\n")
