"""The one order of the log: incarnation, then transaction, then position.

Positions become visible out of order: a transaction may commit after another that took a later one.
So a reader that must miss nothing goes by the id of the transaction, and stops below the oldest one
that is still open anywhere in the cluster (the horizon): below it nothing can appear any more.
Within an aggregate this is the order of versions: the database refuses a commit against it.

Transaction ids belong to a cluster. After a dump and restore into another one, the ledger begins a
new incarnation: events up to its `restored_position` are of an earlier one, and all of them are
final. A file-level copy (a replica, a base backup, recovery to a point in time) keeps the cluster's
identity and its transaction ids, and needs no new incarnation; a token that it can't know, because
it was given out after the point that was recovered, is refused while that can be seen.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.database import Connection, Database
from ledger.errors import StateRefused


@dataclass(frozen=True, order=True)
class Token:
    """A cursor: the place in the log after the event of this transaction and position. Text:
    `1-742-15`."""

    incarnation: int
    xid: int
    position: int

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.xid}-{self.position}"

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Parses the text of a cursor. Raises ValueError for any other text."""
        if not re.fullmatch(r"[0-9]{1,18}-[0-9]{1,18}-[0-9]{1,18}", text):
            raise ValueError("a token as log and follow print it, such as 1-742-15, is needed")
        return cls(*map(int, text.split("-")))


START = Token(0, 0, 0)


@dataclass(frozen=True)
class Incarnation:
    """The events of one incarnation: those at positions above `above`, up to `up_to` if it is
    over."""

    number: int
    above: int
    up_to: int | None


@dataclass(frozen=True)
class Order:
    """The incarnations, oldest first, and the horizon at the moment of reading.

    Transactions below `horizon` have all ended, those from `unborn` on have not begun. `recorded`
    is False where the ledger was restored and its new incarnation was not begun yet.
    """

    incarnations: Sequence[Incarnation]
    horizon: int
    unborn: int
    recorded: bool

    @property
    def last(self) -> Incarnation:
        """The incarnation that is written to."""
        return self.incarnations[-1]

    def is_final(self, token: Token) -> bool:
        """Whether no event can appear before this place any more."""
        if token.incarnation < self.last.number:
            return True
        return self.recorded and token.xid < self.horizon

    def require(self, token: Token) -> None:
        """Raises StateRefused for a cursor that this ledger can't have, and for a ledger whose
        restore is not recorded."""
        if not self.recorded:
            raise StateRefused(
                "this ledger was restored into another cluster and the restore is not recorded "
                "yet: run amends migrate, or start a worker",
                "restore_not_recorded",
            )
        if (token.incarnation, token.xid) > (self.last.number, self.unborn):
            raise StateRefused(
                f"token {token} names a transaction that this ledger has not seen: it is of "
                "another ledger, or from before this one was restored from an older backup; "
                "go on from a token of this ledger",
                "unknown_token",
            )


_ORDER = """
    SELECT incarnation, restored_position AS above,
        lead(restored_position) OVER (ORDER BY incarnation) AS up_to,
        pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
        pg_snapshot_xmax(pg_current_snapshot())::text AS unborn,
        system_identifier = (SELECT system_identifier FROM pg_control_system()) AS recorded
    FROM ledger.incarnations ORDER BY incarnation
"""


async def read_order(connection: Connection) -> Order:
    """The order of the log as the connection's snapshot sees it."""
    rows = await (await connection.execute(_ORDER)).fetchall()
    newest = rows[-1]
    return Order(
        [Incarnation(row["incarnation"], row["above"], row["up_to"]) for row in rows],
        horizon=int(newest["horizon"]),
        unborn=int(newest["unborn"]),
        recorded=newest["recorded"],
    )


async def reaches(database: Database, position: int) -> bool:
    """Whether the log has an event at this position or after it."""
    # The newest by the order of the log tells at once, and all but always. No index is by position.
    statement = """
        SELECT CASE WHEN (
            SELECT position FROM ledger.event_log ORDER BY xid DESC, position DESC LIMIT 1
        ) >= %(position)s THEN true
        ELSE EXISTS (SELECT FROM ledger.event_log WHERE position >= %(position)s) END AS found"""
    async with database.connection() as connection:
        row = await (await connection.execute(statement, {"position": position})).fetchone()
    return bool(row and row["found"])
