"""A tree of 1,000 mandates, ten deep: whoever races whom, no budget is ever exceeded."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.authorization_decisions import Authorize
from activities.authorizations import AuthorizationActivities
from activities.step import Claim
from ledger.aggregates.mandate import MandateGranted, MandateRevoked, mandate_name
from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Opening, Run, open_saga
from ledger.store.commit import Author, Decision, Loaded, Ref, commit
from tests.ledger.writing import mandate_granted
from tests.sagas.conftest import NewAgent, Place
from tests.support.driver import CBU, payment, saga_of
from tests.support.probe import Probe
from worker.settings import needed

AUTHOR = Author("user:u-17")
DEPTH, MANDATES, REQUESTS, MINOR = 10, 1_000, 200, 100


@pytest.fixture
async def wide(place: Place) -> AsyncIterator[Database]:
    """As many connections as a worker has."""
    url = needed(place.settings.database_url, "the ledger")
    async with open_database(url, size=20, writes=True) as opened:
        yield opened


def tree(seed: int, agents: list[str]) -> dict[str, MandateGranted]:
    """A root, and 111 mandates on each level below it. All payments are alike, so a limit is a
    number of payments; that of a parent is often less than those below it have together."""
    draw = random.Random(seed)
    root = mandate_granted("root", agent_id=agents[0], count=REQUESTS * 3 // 4)
    levels = [[root]]
    while len(levels) < DEPTH:
        level = []
        for number in range((MANDATES - 1) // (DEPTH - 1)):
            parent = draw.choice(levels[-1])
            most = parent.count or 0
            # As a count of payments or as an amount, by turns.
            count = min(most, draw.choice((1, 2, 3, 5, 8, most)))
            level.append(
                mandate_granted(
                    f"m-{len(levels)}-{number}",
                    *parent.chain,
                    parent.mandate_id,
                    agent_id=agents[number % len(agents)],
                    count=count,
                    amount_minor=count * MINOR if number % 2 else parent.amount_minor,
                )
            )
        levels.append(level)
    return {each.mandate_id: each for level in levels for each in level}


async def write(database: Database, granted: list[MandateGranted]) -> None:
    """Grant them, the ones above first, some in one commit."""
    for first in range(0, len(granted), 50):
        batch = granted[first : first + 50]
        decision = Decision(None, [(mandate_name(each.mandate_id), each) for each in batch])
        await commit(
            database,
            AUTHOR,
            [Ref(name) for name, _ in decision.events],
            partial(_as_it_is, decision),
        )


def _as_it_is(decision: Decision[None], _: Loaded) -> Decision[None]:
    return decision


def fits(mandates: dict[str, MandateGranted], asked: list[str]) -> int:
    """How many of the requests fit in all budgets: at each mandate the lesser of its own limit, and
    of those that fit below it and are asked for under itself."""
    below: Counter[str] = Counter(asked)
    for name in sorted(mandates, key=lambda name: -len(mandates[name].chain)):
        found = min(mandates[name].count or 0, below[name])
        if not mandates[name].chain:
            return found
        below[mandates[name].chain[-1]] += found
    raise AssertionError("there is no root")


async def authorized(database: Database, request: dict[str, Any]) -> str:
    """The decision on a payment, of a saga that was opened."""
    claim = Claim(saga_id=saga_of(request), step="authorize", ordinal=1, epoch=1, actor="user:u-17")
    asked = Authorize(
        agent_id=request["agent_id"],
        amount_minor=MINOR,
        currency="ARS",
        destination=CBU,
        description=request["description"],
        approve_within=timedelta(days=1),
        mandate=request["mandate"],
    )
    authorize = AuthorizationActivities(database).authorize
    return (await ActivityEnvironment().run(authorize, claim, asked)).reason or "approved"


async def opened(database: Database, request: dict[str, Any]) -> None:
    opening = Opening(
        saga_id=saga_of(request),
        actor=f"agent:{request['agent_id']}",
        kind="payment",
        operation_id=request["operation_id"],
        input=request,
        fingerprint=Fingerprint(given=request["operation_id"]),
        run=Run("default", "n", "q", "run-1"),
    )
    await open_saga(database, AUTHOR, opening)


async def test_200_racing_requests_in_a_tree_of_1000_mandates_fill_it_and_exceed_no_budget(
    wide: Database, new_agent: NewAgent, probe: Probe
) -> None:
    agents = [await new_agent() for _ in range(5)]
    mandates = tree(37, agents)
    assert (len(mandates), max(len(each.chain) for each in mandates.values())) == (1_000, 9)
    await write(wide, list(mandates.values()))
    draw = random.Random(7)
    # Half of them in one part of the tree, at all depths.
    part = [name for name, each in mandates.items() if "m-2-5" in each.chain]
    named = [draw.choice(part) for _ in range(REQUESTS // 2)]
    named += draw.choices(list(mandates), k=REQUESTS - len(named))
    requests = [
        payment(mandates[name].agent_id, 1, mandate=name, description="race") for name in named
    ]
    await asyncio.gather(*(opened(wide, request) for request in requests))
    decided = await asyncio.gather(*(authorized(wide, request) for request in requests))
    passed = [name for name, decision in zip(named, decided, strict=True) if decision == "approved"]
    assert len(passed) == fits(mandates, named) < REQUESTS
    assert {*decided} <= {"approved", "exceeded_mandate_count", "exceeded_mandate_limit"}
    under = Counter(above for name in passed for above in (*mandates[name].chain, name))
    rows = await probe.ledger(
        "SELECT agent_id, amount_minor, count FROM ledger.spend_windows WHERE period = 'mandate'"
    )
    found = {row["agent_id"].removeprefix("mandate/"): row["count"] for row in rows}
    assert found == dict(under)
    assert all(row["amount_minor"] == row["count"] * MINOR for row in rows)
    # It was a parent that stopped most of those that were denied.
    full = {name for name, count in found.items() if count == mandates[name].count}
    stopped = [name for name, said in zip(named, decided, strict=True) if said != "approved"]
    assert sum(name not in full for name in stopped) > len(stopped) // 4
    assert (await verify(wide)).clean


async def test_of_payments_that_race_a_revocation_above_them_none_is_reserved_after_it(
    wide: Database, new_agent: NewAgent, probe: Probe
) -> None:
    agent = await new_agent()
    names = ["top", "middle", "leaf"]
    chain = [
        mandate_granted(name, *names[:depth], agent_id=agent) for depth, name in enumerate(names)
    ]
    await write(wide, chain)
    decided, has_begun = Counter[str](), asyncio.Event()

    async def pay() -> None:
        """Pay again and again, until that is denied."""
        for _ in range(40):
            await opened(wide, request := payment(agent, 1, mandate="leaf", description="race"))
            decided[said := await authorized(wide, request)] += 1
            if said != "approved":
                return
            has_begun.set()
        raise AssertionError("the revocation never came")

    async def revoke() -> None:
        await has_begun.wait()
        revoked = Decision(None, [(mandate_name("middle"), MandateRevoked())])
        await commit(wide, AUTHOR, [Ref("mandate/middle")], partial(_as_it_is, revoked))

    await asyncio.gather(revoke(), *(pay() for _ in range(8)))
    assert decided.keys() == {"approved", "mandate_revoked"}
    [late] = await probe.ledger(
        """SELECT count(*) FROM ledger.event_log paid
        JOIN ledger.event_log revoked ON revoked.aggregate = 'mandate/middle'
            AND revoked.event_type = 'MandateRevoked'
        JOIN ledger.authorizations asked ON asked.aggregate_id = paid.aggregate_id
        WHERE paid.event_type = 'AuthorizationApproved' AND asked.mandates @> '["middle"]'
            AND revoked."timestamp" < paid."timestamp"
        """
    )
    assert late["count"] == 0
