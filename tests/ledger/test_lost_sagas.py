"""The record of a lost run: it fences that run, and before its pivot begins the compensation."""

import pytest

from ledger.aggregates.saga import SagaState
from ledger.database import Database
from ledger.errors import Fenced, NotFound
from ledger.sagas.open_sagas import find_open, open_sagas, still_open
from ledger.sagas.orphans import declare_lost
from ledger.sagas.saga_log import close_saga, take_over
from tests.ledger.conftest import Clone
from tests.ledger.writing import AUTHOR, claim, compensate, open_payment, run, take_step

SAGA = "payment/rent"


async def lose(ledger: Database, epoch: int = 1, pivot: str | None = None) -> SagaState:
    return await declare_lost(ledger, AUTHOR, SAGA, epoch, "terminated", None, pivot)


async def test_what_never_was_is_not_lost_and_before_its_pivot_it_is_compensated_in_the_same_commit(
    ledger: Database,
) -> None:
    with pytest.raises(NotFound):
        await lose(ledger)
    await open_payment(ledger)
    lost = await lose(ledger, pivot="hold")
    found = (lost.state, lost.epoch, lost.lost, lost.cause)
    assert found == ("compensating", 3, "terminated", "lost_run")


async def test_past_its_pivot_it_stays_as_it_is_for_whoever_takes_it_over(ledger: Database) -> None:
    await open_payment(ledger)
    await take_step(ledger, claim("hold"))
    lost = await lose(ledger, pivot="hold")
    assert (lost.state, lost.epoch, lost.lost) == ("running", 2, "terminated")
    taken = await take_over(ledger, AUTHOR, SAGA, "run-1", 2, run("run-2"))
    assert (taken.epoch, taken.lost, taken.run_id) == (3, None, "run-2")


async def test_the_lost_run_is_fenced_should_it_live_after_all(ledger: Database) -> None:
    await open_payment(ledger)
    await lose(ledger)
    with pytest.raises(Fenced):
        await take_step(ledger, claim("hold"))
    for epoch in (1, 2):
        with pytest.raises(Fenced):
            await compensate(ledger, epoch)
    # Even under its own name it has to take the saga over.
    assert (await open_payment(ledger)).how == "other_run"


async def test_an_undo_whose_run_was_lost_is_not_gone_on_with_by_that_run(ledger: Database) -> None:
    await open_payment(ledger)
    await compensate(ledger)
    lost = await lose(ledger, epoch=2)
    assert (lost.state, lost.epoch, lost.cause) == ("compensating", 3, "cancelled")
    with pytest.raises(Fenced):
        await compensate(ledger, 2)


@pytest.mark.parametrize("meanwhile", ["taken over", "closed", "lost"])
async def test_of_a_saga_that_moved_on_nothing_is_written(
    clone: Clone, ledger: Database, meanwhile: str
) -> None:
    await open_payment(ledger)
    if meanwhile == "taken over":
        await take_over(ledger, AUTHOR, SAGA, "run-1", 1, run("run-2"))
    elif meanwhile == "closed":
        await close_saga(ledger, AUTHOR, SAGA, 1, "completed", {})
    else:
        await lose(ledger)
    before = await clone.fetch("SELECT event_id FROM ledger.event_log")
    assert (await lose(ledger)).lost == ("terminated" if meanwhile == "lost" else None)
    assert await clone.fetch("SELECT event_id FROM ledger.event_log") == before


async def test_the_open_sagas_are_read_in_pages_until_the_last(ledger: Database) -> None:
    names = [f"rent-{number}" for number in range(5)]
    for name in names:
        await open_payment(ledger, name)
    await close_saga(ledger, AUTHOR, "payment/rent-1", 1, "completed", {})
    pages = [page async for page in open_sagas(ledger, at_most=2)]
    assert [[saga.workflow_id for saga in page] for page in pages] == [
        ["payment/rent-0", "payment/rent-2"],
        ["payment/rent-3", "payment/rent-4"],
    ]
    seen = [saga for page in pages for saga in page]
    await close_saga(ledger, AUTHOR, "payment/rent-0", 1, "completed", {})
    await take_over(ledger, AUTHOR, "payment/rent-2", "run-1", 1, run("run-2"))
    left = {saga.workflow_id for saga in await still_open(ledger, seen)}
    assert left == {"payment/rent-3", "payment/rent-4"}
    assert await find_open(ledger, "payment/rent-0") is None
    found = await find_open(ledger, "payment/rent-2")
    assert found is not None
    assert (found.epoch, found.run_id, found.namespace_id) == (2, "run-2", "namespace-1")
