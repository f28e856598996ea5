"""Subscriptions: the log while it grows, every event once, in the one order (see
read.global_order), with no gap.

A subscription stays below the horizon: an event is yielded when no older transaction is open that
could still write before it. NOTIFY wakes a subscription, which also polls, since not every writer
notifies and a lost connection loses notifications.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from ledger.database import Connection, Database
from ledger.errors import DatabaseUnavailable
from ledger.read.global_order import Order, Token, read_order
from ledger.read.log import ALL, LoggedEvent, Wanted, logged, page, place_of
from ledger.read.open_transactions import oldest_open_transaction

_LISTEN, _NOTIFY = "LISTEN amends_events", "NOTIFY amends_events"
# NOTIFY takes one lock for the whole cluster until its commit: never in the transaction of an
# event, and not more often than a person can tell apart.
ANNOUNCE_EVERY_S = 0.05
# How often a subscription polls, and how often while events wait above the horizon.
LOOK_EVERY_S, LOOK_AGAIN_S = 1.0, 0.1
# How often it polls where nothing can wake it: a pooler may give it another session each time.
LOOK_UNTOLD_EVERY_S = 0.25
# Ordinary transactions end long before; whoever holds up the horizon for this long is named.
PATIENCE_S = 3.0
# A look and a page take milliseconds: whoever waits for longer is told.
ANSWERS_WITHIN_S = 3.0
RECONNECT_AFTER_S = 0.5
PAGE = 500

_HELD_UP = """
    SELECT EXISTS (
        SELECT FROM ledger.event_log WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())
            AND xid < pg_snapshot_xmax(pg_current_snapshot()) AND position > %s) AS held_up
"""


class Follower:
    """A subscription: yields the matching events from `after` on, or from now on, as they become
    final.

    `token` is where to go on: everything before it was given. It moves also over events that are
    not wanted, and over those that can't be read, which are given as `unreadable`. `tell` takes one
    line for a person: that a transaction holds events up, that the database does not answer, or
    that the connection was lost.
    """

    def __init__(
        self,
        database: Database,
        wanted: Wanted = ALL,
        *,
        after: Token | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.token = after
        self._database, self._wanted, self._tell = database, wanted, tell
        self._listens = database.pooling == "session"
        # The horizon that did not move while events waited above it, and since when.
        self._stuck: tuple[int, float] | None = None
        self._told: int | None = None

    async def events(self) -> AsyncGenerator[LoggedEvent, None]:
        """Yields events without end. A lost connection is made again, and no event comes twice.

        Raises DatabaseUnavailable if the first connection fails, and StateRefused for a token of
        another ledger or a ledger whose restore was not recorded.
        """
        connected = told = False
        while True:
            try:
                async with self._database.connection() as connection:
                    if self._listens:
                        await connection.execute(_LISTEN)
                    connected, told = True, False
                    try:
                        while True:
                            with self._told_when_it_hangs():
                                order = await self._look(connection)
                            while found := await self._next(connection, order):
                                for self.token, event in found:
                                    yield event
                            await self._wait(connection, order)
                    finally:
                        if self._listens:
                            with suppress(psycopg.Error):
                                await connection.execute("UNLISTEN *")
            except DatabaseUnavailable as error:
                if not connected:
                    raise
                if not told:
                    self._tell(f"the connection was lost ({error}); connecting again")
                told = True
                await asyncio.sleep(RECONNECT_AFTER_S)

    @contextmanager
    def _told_when_it_hangs(self) -> Iterator[None]:
        line = f"the database has not answered for {ANSWERS_WITHIN_S:g} s; waiting for the answer"
        timer = asyncio.get_running_loop().call_later(ANSWERS_WITHIN_S, self._tell, line)
        try:
            yield
        finally:
            timer.cancel()

    async def _look(self, connection: Connection) -> Order:
        order = await read_order(connection)
        self.token = self.token or Token(order.last.number, order.horizon, 0)
        order.require(self.token)
        return order

    async def _next(self, connection: Connection, order: Order) -> list[tuple[Token, LoggedEvent]]:
        """The next events that are final by `order`, with their places; none when all were
        yielded."""
        with self._told_when_it_hangs():
            return await self._page(connection, order)

    async def _page(self, connection: Connection, order: Order) -> list[tuple[Token, LoggedEvent]]:
        for life in order.incarnations:
            assert self.token is not None
            if life.number < self.token.incarnation:
                continue
            below = order.horizon if life is order.last else None
            if below is not None and self.token >= Token(life.number, below, 0):
                # Nothing has become final since the last look: no query of all months.
                return []
            query = page(self._wanted, life, self.token, below=below, limit=PAGE)
            rows = await (await connection.execute(query[0].encode(), query[1])).fetchall()
            if rows:
                places = [place_of(row, life) for row in rows]
                return [
                    (place, logged(row, place, order))
                    for row, place in zip(rows, places, strict=True)
                ]
            # Nothing else in there is wanted: not to be looked through again.
            end = Token(life.number + 1, 0, 0) if below is None else Token(life.number, below, 0)
            self.token = max(self.token, end)
        return []

    async def _wait(self, connection: Connection, order: Order) -> None:
        held_up = await self._is_held_up(connection, order)
        if not self._listens:
            await asyncio.sleep(LOOK_AGAIN_S if held_up else LOOK_UNTOLD_EVERY_S)
            return
        pause_s = LOOK_AGAIN_S if held_up else LOOK_EVERY_S
        # One is enough: the next look sees what all of them told of.
        async for _ in connection.notifies(timeout=pause_s, stop_after=1):
            pass

    async def _is_held_up(self, connection: Connection, order: Order) -> bool:
        if not await self._has_events_above(connection, order):
            self._stuck = None
            return False
        if self._stuck is None or self._stuck[0] != order.horizon:
            self._stuck = (order.horizon, time.monotonic())
        if self._told != order.horizon and time.monotonic() - self._stuck[1] >= PATIENCE_S:
            await self._say_who_is_open(connection, order)
        return True

    async def _has_events_above(self, connection: Connection, order: Order) -> bool:
        if order.horizon == order.unborn:
            # Nothing was open.
            return False
        row = await (await connection.execute(_HELD_UP, (order.last.above,))).fetchone()
        return bool(row and row["held_up"])

    async def _say_who_is_open(self, connection: Connection, order: Order) -> None:
        # None: it has just ended.
        if oldest := await oldest_open_transaction(connection):
            self._told = order.horizon
            self._tell(f"newer events wait for the end of an older transaction: {oldest}")


async def announce(database: Database) -> None:
    """Wakes the subscriptions after the commits of this process, until cancelled.

    A wake-up that fails is lost: subscriptions also poll.
    """
    while True:
        await database.written.wait()
        database.written.clear()
        with suppress(DatabaseUnavailable):
            async with database.connection() as connection:
                await connection.execute(_NOTIFY)
        await asyncio.sleep(ANNOUNCE_EVERY_S)
