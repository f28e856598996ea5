"""`amends mandate`, and the payments under one."""

from collections.abc import Callable
from typing import Any

from tests.starter.conftest import Command

Payment = Callable[..., dict[str, Any]]


async def test_a_mandate_is_granted_delegated_spent_and_revoked(
    command: Command, agent: str, payment: Payment, new_id: Callable[[str], str]
) -> None:
    root, part = new_id("travel"), new_id("flights")
    terms = ("--agent", agent, "--currency", "ARS", "--amount", "5000000", "--as", "user:ana")
    granted = await command("mandate", "grant", root, *terms, "--until", "2099-01-01T00:00:00Z")
    assert (granted.status, ": granted" in granted.out) == (0, True), granted
    below = ("--agent", agent, "--parent", root, "--as", f"agent:{agent}", "--json")
    wider = await command("mandate", "grant", part, *below, "--amount", "5000001")
    why = f"the one above it: the amount is above that of mandate {root})"
    assert (wider.status, why in wider.err) == (1, True)
    limits = ("--count", "3", "--purpose", "flight", "--purpose", "hotel")
    delegated = await command("mandate", "grant", part, *below, *limits)
    assert (delegated.status, delegated.json["mandate"]) == (0, part)
    paid = payment(10_000, mandate=part, purpose="flight")
    assert (await command("pay", paid, "--json")).json["state"] == "captured"
    denied = await command("pay", payment(45_000, mandate=part, purpose="hotel"))
    assert (denied.status, "exceeded_mandate_limit" in denied.out) == (1, True)
    listed = (await command("mandate", "list", "--agent", agent, "--json")).json
    assert [(each["mandate_id"], each["left_minor"], each["payments"]) for each in listed] == [
        (root, 4_000_000, 1),
        (part, 4_000_000, 1),
    ]
    table = (await command("mandate", "list", "--agent", agent)).out
    assert f"  {part}" in table
    assert "1 of 3" in table
    under = await command("payments", "--mandate", root, "--state", "captured", "--json")
    assert [each["saga_id"] for each in under.json] == [f"payment/{paid['operation_id']}"]
    nobody = await command("payments", "--mandate", "nobody")
    assert (nobody.status, "--mandate" in nobody.err) == (2, True)
    revoked = await command("mandate", "revoke", root, "--as", "user:ana", "--json")
    assert (revoked.status, revoked.json["state"]) == (0, "revoked")
    below_it = (await command("mandate", "list", "--agent", agent)).out
    [line] = [line for line in below_it.splitlines() if part in line]
    assert "revoked above" in line
    shown = await command("show", f"mandate/{root}", "--json")
    assert shown.json["state"]["state"] == "revoked"
    last = await command("pay", payment(1, mandate=part, purpose="flight"), "--json")
    assert last.json["reason"] == "mandate_revoked"
