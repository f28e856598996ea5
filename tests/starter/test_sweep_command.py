"""`amends sweep` with a worker behind it."""

from collections.abc import Callable
from typing import Any

from starter.client.client import Amends
from tests.starter.conftest import Command
from tests.support.until import until

Payment = Callable[..., dict[str, Any]]


async def test_a_sweep_says_how_many_are_open_and_that_none_is_lost(command: Command) -> None:
    done = await command("sweep", "--json")
    assert done.status == 0
    assert (done.json["lost"], done.json["recovering"], done.json["alerts"]) == (0, [], [])


async def test_what_was_lost_a_moment_ago_is_not_lost_yet(
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
    await command("pay", asked)
    await command("reject", saga_id)

    async def has_ended() -> bool:
        return (await amends.progress(saga_id)).result is not None

    await until(has_ended)


async def test_who_goes_on_says_why(command: Command) -> None:
    refused = await command("sweep", "--all")
    assert refused.status == 2
    assert refused.err.startswith("amends: --reason: is missing: --all and --gone are")
    refused = await command("sweep", "--gone", "not/an/id", "--reason", "it burned down")
    assert refused.status == 2
    assert refused.err == "amends: --gone: the id of a namespace is needed\n"
