"""Reads what is on record: the ledger as its auditor, and the tables of the mock bank."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from ledger.audit.verify import verify
from ledger.database import open_database
from tests.support.driver import Json, saga_of
from tests.support.triggers import take_off_the_log
from tests.support.until import until


@dataclass
class Probe:
    """Read by SQL, past all of our readers."""

    ledger_url: str = field(repr=False)
    bank_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    _checked_size: int = 0

    async def ledger(self, query: LiteralString, *values: Any) -> list[Json]:
        return await _fetch(self.ledger_url, query, values)

    async def bank(self, query: LiteralString, *values: Any) -> list[Json]:
        return await _fetch(self.bank_url, query, values)

    async def booked(self, request: Json) -> Json | None:
        """The bank's row of a payment's transfer."""
        rows = await self.bank("SELECT * FROM mock_bank.transfers WHERE key = %s", saga_of(request))
        return rows[0] if rows else None

    async def until_booked(self, request: Json) -> Json:
        """The bank's row, as soon as the bank has done the work."""
        return await until(lambda: self.booked(request))

    async def is_booked_as(self, request: Json, status: str) -> bool:
        row = await self.booked(request)
        return row is not None and row["status"] == status

    async def is_delivered(self, request: Json, times: int) -> bool:
        return await self.deliveries(request) == times

    async def is_overdue(self, request: Json) -> bool:
        """Whether the time to approve has passed, by the clock that decides."""
        query: LiteralString = "ledger.authorizations WHERE clock_timestamp() > expires_at"
        return bool(await self._row(query + " AND saga_id = %s", saga_of(request)))

    async def deliveries(self, request: Json) -> int:
        """How often an order with the payment's key arrived at the bank."""
        row = await self.booked(request)
        return row["deliveries"] if row else 0

    async def saga(self, request: Json) -> Json:
        """The saga's row; empty while there is none, as are the next three."""
        return await self._row("ledger.sagas WHERE workflow_id = %s", saga_of(request))

    async def authorization(self, request: Json) -> Json:
        return await self._row("ledger.authorizations WHERE saga_id = %s", saga_of(request))

    async def transfer(self, request: Json) -> Json:
        return await self._row("ledger.transfers WHERE saga_id = %s", saga_of(request))

    async def refund(self, request: Json) -> Json:
        return await self._row("ledger.refunds WHERE saga_id = %s", saga_of(request))

    async def step(self, request: Json, name: str) -> Json:
        query: LiteralString = "ledger.saga_steps WHERE saga_id = %s AND name = %s"
        return await self._row(query, saga_of(request), name)

    async def _row(self, query: LiteralString, *values: str) -> Json:
        rows = await self.ledger("SELECT * FROM " + query, *values)
        return rows[0] if rows else {}

    async def events(self, request: Json, aggregate: str = "%") -> list[Json]:
        """What a saga wrote, in order, of the aggregates that are LIKE `aggregate`."""
        return await self.ledger(
            "SELECT * FROM ledger.event_log WHERE saga_id = %s AND aggregate LIKE %s"
            " ORDER BY position",
            *(saga_of(request), aggregate),
        )

    async def told(self, request: Json, aggregate: str = "%") -> list[str]:
        return [event["event_type"] for event in await self.events(request, aggregate)]

    async def told_once(self, request: Json, *event_types: str) -> None:
        """Each of these stands exactly once in the log."""
        told = await self.told(request)
        assert [event_type for event_type in event_types if told.count(event_type) != 1] == [], told

    async def has_told(self, request: Json, event_type: str) -> bool:
        return event_type in await self.told(request)

    async def event(self, request: Json, event_type: str) -> Json:
        (event,) = [e for e in await self.events(request) if e["event_type"] == event_type]
        return event

    async def told_by(self, request: Json, event_type: str) -> str:
        """Who is on record for the one event of a type."""
        return str((await self.event(request, event_type))["user_id"])

    async def spent(self, agent: str) -> tuple[int, int]:
        """Reserved or spent today, in pesos, and by how many payments."""
        rows = await self.ledger(
            "SELECT * FROM ledger.spend_windows WHERE agent_id = %s AND period = 'daily'", agent
        )
        assert len(rows) <= 1, "the test ran over midnight"
        return (rows[0]["amount_minor"] // 100, rows[0]["count"]) if rows else (0, 0)

    async def size(self) -> int:
        return int((await self.ledger("SELECT count(*) AS n FROM ledger.event_log"))[0]["n"])

    async def someone_waits(self) -> bool:
        """Whether a session of the worker waits for a lock in the ledger."""
        waiting: LiteralString = "SELECT 1" + _SESSIONS + " AND wait_event_type = 'Lock'"
        return bool(await _fetch(self.superuser_url, waiting, ()))

    async def cut_connections(self) -> None:
        """End every session of the worker in the ledger, as a failover would."""
        cut: LiteralString = "SELECT pg_terminate_backend(pid)" + _SESSIONS
        await _fetch(self.superuser_url, cut, ())

    @asynccontextmanager
    async def foreign_transfer(
        self, request: Json, amount_minor: int, destination: str
    ) -> AsyncIterator[None]:
        """Another client of the bank has used the key of this payment, while the block runs."""
        key = saga_of(request)
        async with await AsyncConnection.connect(self.bank_url, autocommit=True) as connection:
            await connection.execute(_FOREIGN, (key, amount_minor, destination))
            yield
            # From here on the bank of these tests says of our key what the ledger says of it.
            ours = await self.transfer(request)
            await connection.execute(_FORGET, (ours["amount_minor"], ours["destination"], key))

    @asynccontextmanager
    async def refusing(
        self, request: Json, event_type: str, sqlstate: str = "58000"
    ) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        """The database fails to write such an event of this saga, while the block runs: with
        58000 as a server in trouble, with 22023 for good.

        Gives a question: has it done so yet?
        """
        saga_id = saga_of(request)
        name = f"refuse {event_type} {saga_id}"[:60]
        called = sql.Identifier(name)
        literals = map(sql.Literal, (saga_id, event_type, called.as_string(), sqlstate))
        query = sql.SQL("SELECT is_called FROM public.{}").format(called)

        async def has_refused() -> bool:
            async with await AsyncConnection.connect(self.superuser_url) as connection:
                return (await (await connection.execute(query)).fetchone()) == (True,)

        async with await AsyncConnection.connect(self.superuser_url) as connection:
            await connection.execute(_REFUSE.format(*literals, name=called))
        try:
            yield has_refused
        finally:
            async with await AsyncConnection.connect(self.superuser_url) as connection:
                await take_off_the_log(connection, name)

    async def heal(self, request: Json) -> None:
        heal: LiteralString = "UPDATE mock_bank.faults SET remaining = 0 WHERE key = %s RETURNING 1"
        await self.bank(heal, saga_of(request))

    @asynccontextmanager
    async def bank_stands_still(self) -> AsyncIterator[None]:
        """No order is booked while the block runs; those that arrived are booked afterwards."""
        async with await AsyncConnection.connect(self.bank_url) as connection:
            await connection.execute("LOCK TABLE mock_bank.transfers IN SHARE MODE")
            yield

    async def an_order_waits(self) -> bool:
        """Whether an order has arrived at a bank that stands still."""
        waiting: LiteralString = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(await self.bank(waiting + " AND datname = current_database()"))

    @asynccontextmanager
    async def locking(self, query: LiteralString, *values: Any) -> AsyncIterator[None]:
        """Hold the row locks that a query takes, while the block runs."""
        async with await AsyncConnection.connect(self.superuser_url) as connection:
            cursor = await connection.execute(query, values)
            assert cursor.rowcount == 1
            yield

    async def check(self) -> None:
        """The ledger holds together, and the bank agrees with it about all money."""
        if await self.size() == self._checked_size:
            return
        async with open_database(self.ledger_url, size=1) as database:
            verified = await verify(database)
        assert verified.findings == []
        self._checked_size = verified.events
        ours = {row["key"]: row for row in await self.ledger(_TRANSFERS)}
        booked = await self.bank("SELECT * FROM mock_bank.transfers")
        theirs = {row["key"]: row for row in booked if not row["key"].startswith("refund/")}
        told = {key: _AT_THE_BANK.get(row["state"], row["state"]) for key, row in ours.items()}
        assert {key: (told[key], row["reference"]) for key, row in ours.items()} == {
            key: (row["status"], row["reference"]) for key, row in theirs.items()
        }
        for key, transfer in ours.items():
            order = ("amount_minor", "currency", "destination")
            if theirs[key]["amount_minor"] is not None:  # the order did arrive
                assert [transfer[it] for it in order] == [theirs[key][it] for it in order]
            # Money whose reversal was given up stays where it is, and spent.
            left = transfer["authorization"] == "compensated" and transfer["reserved"] != []
            parts = {part["transfer_id"]: part["state"] for part in transfer["parts"]}
            captured = transfer["authorization"] == "captured"
            if parts:
                captured = parts[transfer["transfer_id"]] == "settled"
            assert (captured or left) == (transfer["state"] == "executed")
            assert transfer["refunded_minor"] == theirs[key]["refunded_minor"]
        back = await self.ledger("SELECT * FROM ledger.refunds WHERE state = 'executed'")
        assert {(row["key"], row["amount_minor"], row["reference"]) for row in back} == {
            (row["key"], row["amount_minor"], row["reference"])
            for row in booked
            if row["refund_of"] in theirs and row["status"] == "executed"
        }


# What a sequence counts stays counted when the transaction fails.
_REFUSE = sql.SQL("""
    CREATE SEQUENCE public.{name} MINVALUE 0;
    CREATE FUNCTION public.{name}() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.saga_id = {} AND NEW.event_type = {} THEN
            PERFORM nextval('public.' || {});
            RAISE EXCEPTION 'refused by a test' USING ERRCODE = {};
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER {name} BEFORE INSERT ON ledger.event_log
        FOR EACH ROW EXECUTE FUNCTION public.{name}()""")

_SESSIONS: LiteralString = """
    FROM pg_stat_activity WHERE datname = current_database() AND usename = 'amends_worker'"""

_FOREIGN = """
    INSERT INTO mock_bank.transfers
        (key, status, reference, amount_minor, currency, destination, description)
    VALUES (%s, 'executed', 'TRF-FOREIGN', %s, 'ARS', %s, '')"""
_FORGET = """
    UPDATE mock_bank.transfers
    SET status = 'refused', reference = NULL, amount_minor = %s, destination = %s
    WHERE key = %s"""

_TRANSFERS: LiteralString = """
    SELECT t.*, a.state AS authorization, a.reserved, a.parts
    FROM ledger.transfers t JOIN ledger.authorizations a USING (authorization_id)
    WHERE t.adapter = 'mock'"""
# Money that arrived after its payment was undone has left the account all the same.
_AT_THE_BANK = {"arrived": "executed"}


async def _fetch(url: str, query: LiteralString, values: tuple[Any, ...]) -> list[Json]:
    async with await AsyncConnection.connect(url, row_factory=dict_row) as connection:
        cursor = await connection.execute(query, values)
        return await cursor.fetchall()
