"""`amends payments` and `amends resources` on a real ledger."""

from collections.abc import Callable
from typing import Any

from tests.starter.conftest import Command

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
    assert header.split("\t") == ["saga", "agent", "amount", "state", "reason", "asked"]
    assert line.startswith(f"payment/{paid['operation_id']}\t{agent}\t45,000.00 ARS\tcaptured\t")
    before = await command("payments", "--agent", agent, "--to", "PT1H")
    assert before.out == "no such payment\n"


async def test_a_state_that_is_none_is_refused_and_an_environment_that_holds_nothing_says_so(
    command: Command,
) -> None:
    refused = await command("payments", "--state", "paid")
    assert refused.status == 2
    assert "--state: one of pending_approval, approved, denied" in refused.err
    empty = await command("resources", "--environment", "dev", "--kind", "postgres.role")
    assert (empty.status, empty.out) == (0, "dev holds nothing of kind postgres.role\n")
