"""Holds commits open: at the end, with their transaction id and their positions taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

from tests.ledger.conftest import Clone
from tests.support.triggers import take_off_the_log

# As late as can be, since the rules of the ledger come before it by name.
_GATE = """
    CREATE FUNCTION public.pass_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(hashtext(NEW.aggregate));
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER the_gate AFTER INSERT OR UPDATE ON ledger.agents
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.pass_the_gate();
"""
_WAITING = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Gate:
    """A gate for each agent's aggregate, open until it is closed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def close(self, aggregate: str) -> None:
        """From now on commits that write this aggregate wait."""
        await self._connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (aggregate,))

    async def open(self, aggregate: str) -> None:
        """Those that wait commit."""
        await self._connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", (aggregate,))

    async def waited_at_by(self, number: int) -> None:
        """Return as soon as so many commits wait at closed gates."""
        async with asyncio.timeout(30):
            while True:
                row = await (await self._connection.execute(_WAITING)).fetchone()
                if row == (number,):
                    return
                await asyncio.sleep(0.005)


@asynccontextmanager
async def commit_gate(clone: Clone) -> AsyncIterator[Gate]:
    """The gate of one ledger; at the end it is taken down, since verify would find it."""
    async with await AsyncConnection.connect(clone.superuser, autocommit=True) as connection:
        await connection.execute(_GATE)
        try:
            yield Gate(connection)
        finally:
            await connection.execute("SELECT pg_advisory_unlock_all()")
            await take_off_the_log(connection, "pass_the_gate")
