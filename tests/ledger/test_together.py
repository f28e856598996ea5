"""Steps in one commit write what they write one by one, or nothing."""

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from ledger.aggregates.agent import AgentRegistered, AgentRevoked, agent_name
from ledger.aggregates.authorization import AuthorizationApproved, authorization_name
from ledger.aggregates.spend_window import SpendChange, SpendLimit
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.sagas.step_log import StepClaim, commit_step
from ledger.sagas.together import PART, NotTogether, Together
from ledger.store.commit import Author, Decision, Loaded, Ref
from tests.ledger.conftest import Clone
from tests.ledger.test_fold import draw
from tests.ledger.writing import claim, opening, refuse, requested, window, write

OF_SAGA = """
    SELECT replace(aggregate, %s, ''), version, event_type,
        replace((payload - 'started_at' - 'ended_at')::text, %s, ''), user_id, step, metadata
    FROM ledger.event_log WHERE saga_id = %s ORDER BY position"""

# What a step does to one of a few agents, and who wants it.
acts = st.tuples(
    st.sampled_from(["register", "revoke"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["ana", "bob"]),
)


async def act(database: Database, step: StepClaim, saga: str, what: tuple[str, str, str]) -> Any:
    verb, agent, actor = what
    name = agent_name(f"{saga}{agent}")

    def decide(loaded: Loaded) -> Decision[dict[str, Any]]:
        known = loaded[name]
        if verb == "register":
            made = AgentRegistered(agent_id=f"{saga}{agent}", user=actor)
            return Decision({"known": known is not None}, [(name, made)])
        if known is None:
            raise StateRefused("no such agent", "unknown_agent")
        return Decision({"of": known.user}, [(name, AgentRevoked(reason=known.state))])

    author = Author(f"user:{actor}", step.saga_id, step.step, {"step": step.ordinal})
    return await commit_step(database, author, step, [Ref(name)], decide)


def claims_of(saga: str, count: int, *, opens: bool, closes: bool) -> list[StepClaim]:
    made = [
        replace(claim(f"step {n}", ordinal=n), saga_id=f"payment/{saga}")
        for n in range(1, count + 1)
    ]
    if opens:
        made[0] = replace(made[0], opening=opening(saga))
    if closes:
        made[-1] = replace(made[-1], ending={"state": "held"})
    return made


async def together(database: Database, works: list[Any]) -> list[Any]:
    joint = Together(database, len(works))

    async def one(number: int) -> Any:
        PART.set(joint.part(number))
        try:
            return await works[number]()
        except Exception as error:
            joint.leave(error)
            raise
        finally:
            joint.leave(NotTogether())

    return await asyncio.gather(*map(one, range(len(works))), return_exceptions=True)


async def test_together_is_one_by_one_in_one_commit_or_nothing(
    clone: Clone, ledger: Database
) -> None:
    drawn = draw(st.tuples(st.lists(acts, min_size=1, max_size=5), st.booleans()), 40)
    refusals = 0
    for number, (what, closes) in enumerate(drawn):
        alone, joint = f"alone-{number}.", f"joint-{number}."
        results: list[Any] = []
        for step, each in zip(
            claims_of(alone, len(what), opens=True, closes=closes), what, strict=True
        ):
            try:
                results.append(await act(ledger, step, alone, each))
            except StateRefused:
                break
        claims = claims_of(joint, len(what), opens=True, closes=closes)
        for _ in range(2):  # a repeat finds them done

            async def one(n: int, steps: list[StepClaim] = claims, of: Any = what) -> Any:
                return await act(ledger, steps[n], f"joint-{number}.", of[n])  # noqa: B023

            made = await together(ledger, [lambda n=n: one(n) for n in range(len(what))])
            written = await clone.fetch(OF_SAGA, joint, joint, f"payment/{joint}")
            if len(results) < len(what):
                assert all(isinstance(each, StateRefused) for each in made)
                assert written == []
                refusals += 1
            else:
                assert made == results
                assert written == await clone.fetch(OF_SAGA, alone, alone, f"payment/{alone}")
    assert 0 < refusals < 2 * len(drawn)
    counted = (
        "SELECT count(DISTINCT xid) FROM ledger.event_log WHERE saga_id LIKE 'payment/joint%%'"
    )
    sagas = "SELECT count(*) FROM ledger.sagas WHERE operation_id LIKE 'joint%%'"
    assert await clone.fetch(counted) == await clone.fetch(sagas)
    # Nothing else is wrong than that these payments end without a payment.
    assert {each.kind for each in (await clone.verify()).findings} == {"saga_end"}


async def test_a_limit_binds_what_all_of_them_spend(clone: Clone, ledger: Database) -> None:
    async def spend(step: StepClaim, agent: str, limit: int) -> Any:
        name = authorization_name(f"{agent}-{step.ordinal}")
        asked = requested(f"{agent}-{step.ordinal}", 100).changed(agent_id=agent)
        await write(ledger, name, asked)

        def decide(loaded: Loaded) -> Decision[dict[str, Any]]:
            of = window(agent)
            if loaded.spent(of).amount_minor + 100 > limit:
                raise StateRefused("too much", "exceeded_daily_limit")
            change = SpendChange(window=of, amount_minor=100, count=1)
            approved = AuthorizationApproved(automatic=True, spend=[change], binding="b")
            return Decision({}, [(name, approved)], {of: SpendLimit(amount_minor=limit)})

        author = Author("user:ana", step.saga_id, step.step)
        refs = [Ref(name)]
        return await commit_step(ledger, author, step, refs, decide, windows_of=[agent])

    for agent, limit in (("enough", 200), ("short", 199)):
        steps = claims_of(agent, 2, opens=True, closes=False)
        works = [lambda step=step: spend(step, agent, limit) for step in steps]  # noqa: B023
        made = await together(ledger, works)
        if agent == "enough":
            assert made == [{}, {}]
        else:
            assert all(isinstance(each, StateRefused) for each in made)
    spent = "SELECT agent_id, amount_minor, count FROM ledger.spend_windows"
    assert await clone.fetch(spent) == [("enough", 200, 2)]


async def test_nobody_waits_for_a_step_that_does_not_come(clone: Clone, ledger: Database) -> None:
    first, second = claims_of("late", 2, opens=True, closes=False)

    async def comes() -> Any:
        return await act(ledger, first, "late", ("register", "a", "ana"))

    async def refused() -> Any:
        author = Author("user:ana", second.saga_id, second.step)
        return await commit_step(ledger, author, second, [], refuse)

    async def goes() -> None:
        return None

    for other, kind in ((goes, NotTogether), (refused, StateRefused)):
        made = await together(ledger, [comes, other])
        assert isinstance(made[0], kind)
        assert await clone.fetch("SELECT count(*) FROM ledger.event_log") == [(0,)]
