"""The benchmarks run to their end, and their ledgers verify. How fast is not asked here."""

import os
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import product

import pytest

from benchmarks import beside_program, ledger, reconcile, sagas, start
from worker.embedded.servers import EmbeddedServers


@pytest.fixture(autouse=True)
def environment_of_its_own() -> Iterator[None]:
    """A benchmark is a program, and completes the environment of its process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_the_program_of_a_build_finds_the_modules_of_this_one() -> None:
    # It looks names up that another build has elsewhere: no type checker sees one that is gone.
    assert beside_program.IS_OLD is False
    assert beside_program.PolicyRequest.model_fields["daily_limit_minor"]


@pytest.mark.timeout(600)
async def test_a_small_run_fills_every_row_and_its_ledgers_verify(servers: EmbeddedServers) -> None:
    async with aclosing(ledger.measure(servers, ledger.SMALL)) as parts:
        commits, past, reading, full = [part async for part in parts]

    scenarios = ("single statement", "load, decide, write")
    assert [row[:3] for row in commits.table.rows] == [*product(("1", "6"), scenarios, ("1", "16"))]
    assert [row[:2] for row in full.table.rows] == [*product(("1", "6"), scenarios)]
    assert [row[0] for row in reading.table.rows] == [
        "verify, 1 process",
        "verify, 2 processes",
        "log, all of it",
    ]
    assert [row[0] for row in past.table.rows] == ["100 events", "10,000 events"]
    for part in (commits, past, reading, full):
        assert all(cell for row in part.table.rows for cell in row)
        assert part.findings == []


@pytest.mark.timeout(300)
async def test_sagas_are_set_beside_plain_workflows_and_their_ledger_verifies(
    servers: EmbeddedServers,
) -> None:
    # What is installed for the others comes from the network.
    async with aclosing(sagas.measure(servers, replace(sagas.SMALL, rivals={}))) as parts:
        measured, ratios = [part async for part in parts]

    assert [row[0] for row in measured.table.rows] == [
        f"{what}, sandbox {sandbox}"
        for sandbox in ("on", "off")
        for what in (
            *("ours", "ours, five commits in one activity"),
            *("ours, one commit", "ours, one commit, eager start"),
            *("plain, local activities", "plain, ordinary activities"),
        )
    ]
    assert len(ratios.table.rows) == 8
    assert measured.findings == []


@pytest.mark.timeout(300)
async def test_every_command_of_the_cold_start_has_its_row(servers: EmbeddedServers) -> None:
    async with aclosing(start.measure(servers, start.SMALL)) as parts:
        [part] = [part async for part in parts]
    assert len(part.table.rows) == len(start.COMMANDS)
    assert all(int(modules) > 100 for _, _, modules, _, _ in part.table.rows)


@pytest.mark.timeout(300)
async def test_both_formats_of_a_file_reconcile_to_the_differences_that_it_has(
    servers: EmbeddedServers,
) -> None:
    async with aclosing(reconcile.measure(servers, reconcile.SMALL)) as parts:
        [part] = [part async for part in parts]
    assert [row[0] for row in part.table.rows] == ["camt.053", "MT940"]
    assert part.findings == []
