"""Spend windows: reserved and released in the commit that decides, and never beyond the limit."""

import asyncio

import pytest

from ledger.aggregates.authorization import AuthorizationApproved, authorization_name
from ledger.database import Database
from ledger.errors import TooMuchContention
from ledger.store import commit as commit_module
from ledger.store.commit import Decision, Ref, commit
from tests.ledger.conftest import Clone
from tests.ledger.writing import AUTHOR, LIMIT, release, requested, reserve, spend, window

WINDOWS = "SELECT amount_minor, count FROM ledger.spend_windows"


async def test_equal_to_the_limit_is_allowed_and_released_spend_can_be_spent_again(
    clone: Clone, ledger: Database
) -> None:
    assert await reserve(ledger, "a-1", LIMIT) == "approved"
    assert await reserve(ledger, "a-2", 1) == "denied"
    assert await clone.fetch(WINDOWS) == [(LIMIT, 1)]
    await release(ledger, "a-1", LIMIT)
    assert await clone.fetch(WINDOWS) == [(0, 0)]
    assert await reserve(ledger, "a-3", LIMIT) == "approved"


@pytest.mark.parametrize("already", [0, 60_000])
async def test_a_decision_that_forgot_to_look_can_t_pass_the_limit(
    clone: Clone, ledger: Database, monkeypatch: pytest.MonkeyPatch, already: int
) -> None:
    monkeypatch.setattr(commit_module, "MAX_TRIES", 2)
    if already:
        await reserve(ledger, "a-1", already)
    before = await clone.fetch(WINDOWS)
    aggregate = authorization_name("a-2")
    amount = LIMIT - already + 1
    approved = AuthorizationApproved(automatic=True, spend=spend(amount), binding="b")
    events = [(aggregate, requested("a-2", amount)), (aggregate, approved)]
    decision = Decision(None, events, {window(): LIMIT})
    with pytest.raises(TooMuchContention):
        await commit(ledger, AUTHOR, [Ref(aggregate)], lambda _: decision)
    assert await clone.fetch(WINDOWS) == before
    row = f"SELECT FROM ledger.authorizations WHERE aggregate = '{aggregate}'"
    assert await clone.fetch(row) == []


async def test_many_that_reserve_and_release_at_once_end_at_nothing(
    clone: Clone, ledger: Database
) -> None:
    async def there_and_back(number: int) -> None:
        if await reserve(ledger, f"a-{number}", 40_000) == "approved":
            await release(ledger, f"a-{number}", 40_000)

    await asyncio.gather(*(there_and_back(number) for number in range(16)))
    assert await clone.fetch(WINDOWS) == [(0, 0)]
