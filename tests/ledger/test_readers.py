"""What people and programs read: the log, one aggregate, one saga, and the name they mean."""

import pytest

from ledger.aggregates.aggregate import UnknownEvent
from ledger.database import Database
from ledger.errors import Ambiguous, LogDamaged, NotFound
from ledger.read.names import resolve_id
from ledger.read.policies import policy
from ledger.read.queries import agents, sagas
from ledger.read.sagas import saga
from ledger.read.show import show
from ledger.sagas.saga_log import close_saga
from tests.ledger.conftest import Clone
from tests.ledger.writing import (
    AUTHOR,
    BOT,
    claim,
    open_payment,
    register,
    reserve,
    resource_begun,
    revoke,
    set_policy,
    take_step,
    write,
)


class TestShow:
    async def test_folds_the_events_and_not_the_row(self, clone: Clone, database: Database) -> None:
        await register(database)
        await revoke(database)
        await clone.damage("UPDATE ledger.agents SET state = 'active'")
        shown = await show(database, BOT)
        assert shown.state == {"agent_id": "expense-bot", "user": "u-17", "state": "revoked"}
        assert (shown.aggregate, shown.version) == (BOT, 2)
        assert [(shown.head_at,)] == await clone.fetch("SELECT head_at FROM ledger.agents")

    async def test_never_skips_an_event_it_does_not_know_and_names_no_value_of_a_damaged_one(
        self, clone: Clone, database: Database
    ) -> None:
        await register(database)
        change = "UPDATE ledger.event_log SET schema_version ="
        await clone.damage(f"{change} 2")
        with pytest.raises(UnknownEvent, match="upgrade"):
            await show(database, BOT)
        await clone.damage(f"""{change} 1, payload = '{{"agent_id": 4, "iban": "AR1"}}'""")
        damaged = "version 1 of agent/expense-bot is not a valid AgentReg"
        with pytest.raises(LogDamaged, match=damaged) as refused:
            await show(database, BOT)
        assert "AR1" not in str(refused.value)
        assert refused.value.__cause__ is None

    async def test_a_policy_carries_its_version_and_agents_are_listed_by_name(
        self, ledger: Database
    ) -> None:
        await set_policy(ledger)
        await set_policy(ledger)
        shown = await policy(ledger, "expense-bot")
        assert (shown.version, shown.state["daily_limit_minor"]) == (2, 100_000)
        with pytest.raises(NotFound):
            await policy(ledger, "nobody")
        for name in ("b", "a"):
            await register(ledger, name)
        await revoke(ledger, "a")
        listed = [(agent["agent_id"], agent["state"]) for agent in await agents(ledger)]
        assert listed == [("a", "revoked"), ("b", "active")]


class TestSagas:
    async def test_are_listed_newest_first(self, ledger: Database) -> None:
        for name in ("one", "two", "three"):
            await open_payment(ledger, name)
        await close_saga(ledger, AUTHOR, "payment/two", 1, "completed", {})
        everything = [each["operation_id"] for each in (await sagas(ledger, limit=9)).rows]
        assert everything == ["three", "two", "one"]
        still_open = await sagas(ledger, open_only=True, limit=1)
        assert [each["operation_id"] for each in still_open.rows] == ["three"]
        assert len((await sagas(ledger, open_only=True, limit=9)).rows) == 2

    async def test_a_saga_is_told_with_its_steps_and_events(self, ledger: Database) -> None:
        await open_payment(ledger)
        await take_step(ledger, claim("second", ordinal=2))
        await take_step(ledger, claim("first", ordinal=1))
        await close_saga(ledger, AUTHOR, "payment/rent", 1, "completed", {"state": "captured"})
        await register(ledger)
        story = await saga(ledger, "payment/rent")
        assert (story.row["state"], story.row["result"]) == ("completed", {"state": "captured"})
        assert [step["name"] for step in story.step_rows] == ["first", "second"]
        assert [event.event_type for event in story.events] == ["SagaStarted", "SagaCompleted"]


class TestNames:
    async def test_of_what_exists_is_found_and_no_other(self, ledger: Database) -> None:
        await register(ledger)
        await set_policy(ledger)
        await open_payment(ledger)
        await take_step(ledger, claim("hold"))
        await write(ledger, "resource/dev/shop-db", resource_begun("shop-db"))
        await reserve(ledger, "a-1", 1)
        meant = {
            "agent/expense-bot": "agent/expense-bot",
            "expense-bot": "agent/expense-bot",
            "policy/expense-bot": "policy/expense-bot",
            "saga/payment/rent": "saga/payment/rent",
            "payment/rent": "saga/payment/rent",
            "rent": "saga/payment/rent",
            "payment/rent/hold": "step/payment/rent/hold",
            "dev/shop-db": "resource/dev/shop-db",
            "shop-db": "resource/dev/shop-db",
            "a-1": "authorization/a-1",
        }
        assert {text: await resolve_id(ledger, text) for text in meant} == meant
        for text in ("nobody", "", "agent/", "%", "expense"):
            with pytest.raises(NotFound):
                await resolve_id(ledger, text)
        for name in ("agent/nobody", "nobody", "invoice/1", ""):
            with pytest.raises(NotFound):
                await show(ledger, name)
        with pytest.raises(NotFound):
            await saga(ledger, "payment/none")

    async def test_an_ambiguous_name_lists_what_it_may_mean(self, ledger: Database) -> None:
        await open_payment(ledger, "shop")
        await register(ledger, "shop")
        for place in ("dev", "live"):
            await write(ledger, f"resource/{place}/shop", resource_begun("shop", place))
        with pytest.raises(Ambiguous) as refused:
            await resolve_id(ledger, "shop")
        names = "agent/shop, resource/dev/shop, resource/live/shop, saga/payment/shop"
        assert names in str(refused.value)
