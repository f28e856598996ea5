"""`amends sweep` with a worker behind it."""

from collections.abc import Callable
from typing import Any

from starter.client.client import Amends
from tests.starter.conftest import Command

Payment = Callable[..., dict[str, Any]]


async def test_a_sweep_counts_what_is_lost_but_not_what_was_lost_a_moment_ago(
    command: Command, amends: Amends, payment: Payment
) -> None:
    asked = payment(55_000)
    saga_id = f"payment/{asked['operation_id']}"
    await command("pay", asked)
    await amends.client.get_workflow_handle(saga_id).terminate("ended by a test")
    done = await command("sweep")
    assert done.status == 0
    assert done.out.endswith("of them look orphaned\n")
    assert " 0 of them" in done.out
    told = await command("sweep", "--json")
    assert told.status == 0
    assert (told.json["lost"], told.json["recovering"], told.json["alerts"]) == (0, [], [])
    await command("pay", asked)
    await command("reject", saga_id)
    await amends.result(saga_id)


async def test_who_goes_on_says_why(command: Command) -> None:
    refused = await command("sweep", "--all")
    assert refused.status == 2
    assert refused.err.startswith("amends: --reason: is missing: --all and --gone are")
    refused = await command("sweep", "--gone", "not/an/id", "--reason", "it burned down")
    assert refused.status == 2
    assert refused.err == "amends: --gone: the id of a namespace is needed\n"
