"""The first step opens the saga in its own commit, the last one closes it."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from ledger.database import Database
from ledger.errors import Fenced, StateRefused
from ledger.sagas.saga_log import take_over
from ledger.sagas.step_log import commit_step
from tests.ledger.conftest import Clone
from tests.ledger.writing import (
    AUTHOR,
    claim,
    compensate,
    open_payment,
    opening,
    refuse,
    run,
    take_step,
)

FIRST = replace(claim(), opening=opening("rent"))
LAST = replace(claim(), ending={"state": "held"})
OF_SAGA = """SELECT array_agg(event_type ORDER BY position) FROM ledger.event_log
    WHERE aggregate = 'saga/payment/rent'"""


async def test_all_or_nothing_of_it_is_one_commit_and_of_many_attempts_one_is_carried_out(
    clone: Clone, ledger: Database
) -> None:
    with pytest.raises(StateRefused, match="agent revoked"):
        await commit_step(ledger, AUTHOR, FIRST, [], refuse)
    assert await clone.fetch("SELECT count(*) FROM ledger.event_log") == [(0,)]
    only = replace(FIRST, ending={"state": "held"})
    asked = (take_step(ledger, only) for _ in range(12))
    assert await asyncio.gather(*asked) == [{"held": 1}] * 12
    assert await clone.fetch(OF_SAGA) == [(["SagaStarted", "SagaCompleted"],)]
    assert await clone.fetch("SELECT count(DISTINCT xid) FROM ledger.event_log") == [(1,)]
    assert await clone.fetch("SELECT result FROM ledger.sagas") == [({"state": "held"},)]


async def test_of_runs_at_once_one_opens_it_and_its_operation_id_is_not_taken_by_another_saga(
    clone: Clone, ledger: Database
) -> None:
    first = [replace(claim(), opening=opening("rent", f"run-{n}")) for n in range(8)]
    asked = (take_step(ledger, each) for each in first)
    made = await asyncio.gather(*asked, return_exceptions=True)
    reasons = Counter(getattr(each, "reason", "done") for each in made)
    assert reasons == {"done": 1, "saga_known": 7}
    assert await clone.fetch(OF_SAGA) == [(["SagaStarted"],)]
    # Nor does a saga of another name take the operation id.
    await open_payment(ledger, "rent.9")
    other = opening("rent.9").model_copy(update={"saga_id": "payment/rent:9"})
    with pytest.raises(StateRefused) as refused:
        await take_step(ledger, replace(claim(), saga_id=other.saga_id, opening=other))
    assert refused.value.reason == "saga_known"
    assert await clone.fetch("SELECT count(*) FROM ledger.saga_steps") == [(1,)]


async def test_one_that_was_taken_over_is_known(ledger: Database) -> None:
    await take_step(ledger, FIRST)
    await take_over(ledger, AUTHOR, "payment/rent", "run-1", 1, run("run-2"))
    with pytest.raises(StateRefused, match="was opened before"):
        await take_step(ledger, FIRST)


async def test_what_compensates_is_not_closed_by_a_step_nor_opened_by_a_late_attempt(
    clone: Clone, ledger: Database
) -> None:
    await open_payment(ledger)
    await compensate(ledger)
    with pytest.raises(Fenced):
        await take_step(ledger, FIRST)
    told = ["SagaStarted", "SagaCompensating", "SagaCommitRefused"]
    assert await clone.fetch(OF_SAGA) == [(told,)]
    with pytest.raises(Fenced):
        await take_step(ledger, LAST)
    assert await clone.fetch("SELECT state, epoch FROM ledger.sagas") == [("compensating", 2)]


async def test_one_that_another_step_closed_takes_no_more(ledger: Database) -> None:
    await open_payment(ledger)
    await take_step(ledger, LAST)
    for late in ({"state": "held"}, {"state": "other"}):
        another = replace(claim("pay", ordinal=2), ending=late)
        with pytest.raises(Fenced):
            await take_step(ledger, another)
