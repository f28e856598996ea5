"""Holds an activity at an exact place: before it begins, in the middle of its commit, after it is
done. Who waits there has said so, so a test goes on from a fact."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg import AsyncConnection
from temporalio import activity, client, worker

from activities.step import Claim
from tests.support.triggers import take_off_the_log
from tests.support.until import DEADLINE_S

When = Literal["before", "after"]
# How it takes a cancel that finds it at the gate: it is `cancelled`, it `answers` in spite of it,
# or it is `frozen`: it hears nothing, and gives no sign of life.
Manner = Literal["cancelled", "answers", "frozen"]
BEAT_S = 0.2


@dataclass
class Held:
    """One place of one saga, closed until somebody lets it go or a cancel does."""

    manner: Manner
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    met_a_cancel: bool = False

    async def reached(self) -> None:
        await asyncio.wait_for(self.arrived.wait(), DEADLINE_S)

    async def hears(self) -> bool:
        return self.met_a_cancel

    async def let_go(self) -> None:
        self.opened.set()

    async def wait(self) -> None:
        """What an activity does at this place."""
        self.arrived.set()
        while not self.opened.is_set():
            try:
                await self._beat()
            except asyncio.CancelledError:
                if self.manner == "frozen":
                    continue
                details = activity.cancellation_details()
                if details is not None and not details.cancel_requested:
                    # Given up by a busy server or worker: the next attempt stands here again.
                    raise
                self.met_a_cancel = True
                self.opened.set()
                if self.manner == "cancelled":
                    raise

    async def _beat(self) -> None:
        if not activity.info().is_local and self.manner != "frozen":
            activity.heartbeat()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.opened.wait(), BEAT_S)


class Gates(worker.Interceptor, client.Interceptor):
    """Given to a client, it stands around every activity of the workers of that client.

    A place is an activity and its step: `authorize authorize`, `begin_compensation`.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, When], Held] = {}

    def hold(self, saga_id: str, place: str, when: When, manner: Manner = "cancelled") -> Held:
        """Close a place before anybody gets there."""
        held = Held(manner)
        self._held[saga_id, place, when] = held
        return held

    def open(self) -> None:
        """Let everything go on."""
        for held in self._held.values():
            held.opened.set()

    async def pass_by(self, saga_id: str | None, place: str, when: When) -> None:
        held = self._held.get((saga_id or "", place, when))
        if held is not None:
            await held.wait()

    def intercept_activity(
        self, next: worker.ActivityInboundInterceptor
    ) -> worker.ActivityInboundInterceptor:
        return _Gated(next, self)


class _Gated(worker.ActivityInboundInterceptor):
    def __init__(self, next: worker.ActivityInboundInterceptor, gates: Gates) -> None:
        super().__init__(next)
        self._gates = gates

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        info = activity.info()
        step = input.args[0].step if isinstance(input.args[0], Claim) else ""
        place = f"{info.activity_type} {step}".strip()
        await self._gates.pass_by(info.workflow_id, place, "before")
        answer = await super().execute_activity(input)
        await self._gates.pass_by(info.workflow_id, place, "after")
        return answer


_LOCK = "hashtextextended(%s || ' ' || %s, 0)"


class Standstill:
    """The database stops in the middle of a commit: before it writes a certain event."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection, self._one_at_a_time = connection, asyncio.Lock()

    async def hold(self, saga_id: str, event_type: str) -> None:
        await self._ask(f"SELECT pg_advisory_lock({_LOCK})", saga_id, event_type)

    async def release(self, saga_id: str, event_type: str) -> None:
        await self._ask(f"SELECT pg_advisory_unlock({_LOCK})", saga_id, event_type)

    async def is_reached(self, saga_id: str, event_type: str) -> bool:
        """Whether a commit stands there."""
        query = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            f" AND (classid::bigint << 32 | objid::bigint) = {_LOCK}"
        )
        return bool(await self._ask(query, saga_id, event_type))

    async def _ask(self, query: str, *values: str) -> Any:
        async with self._one_at_a_time:
            cursor = await self._connection.execute(query.encode(), values)
            [(answer,)] = await cursor.fetchall()
            return answer


@asynccontextmanager
async def standstill(superuser_url: str) -> AsyncIterator[Standstill]:
    """While the block runs, every event that is written passes a door of its own."""
    async with await AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        await connection.execute(_DOORS)
        try:
            yield Standstill(connection)
        finally:
            await connection.execute("SELECT pg_advisory_unlock_all()")
            await take_off_the_log(connection, "doors")


_DOORS = """
    CREATE FUNCTION public.doors() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(
            hashtextextended(NEW.saga_id || ' ' || NEW.event_type, 0));
        RETURN NEW;
    END $$;
    CREATE TRIGGER doors BEFORE INSERT ON ledger.event_log
        FOR EACH ROW EXECUTE FUNCTION public.doors()"""
