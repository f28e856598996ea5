"""`amends sweep` with a worker behind it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from starter.cli.output import moment
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
    head, *lines = done.out.splitlines()
    assert " 0 of them look orphaned, " in head
    assert head.endswith(" more are left alone until their grace time ends")
    (row,) = [
        each for each in (await command("waiting", "--json")).json if each.get("saga_id") == saga_id
    ]
    ends = datetime.fromisoformat(row["since"]) + timedelta(minutes=5)
    (line,) = [line for line in lines if line.startswith(saga_id)]
    assert line.startswith(f"{saga_id} is left alone until {moment(ends)}: the first sweep after")
    assert row["why"].endswith("; the sweep acts after its grace time")
    told = await command("sweep", "--json")
    assert told.status == 0
    assert (told.json["lost"], told.json["recovering"], told.json["alerts"]) == (0, [], [])
    assert told.json["left_alone"] == len(told.json["left_until"]) > 0
    assert datetime.fromisoformat(told.json["left_until"][saga_id]) == ends
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
