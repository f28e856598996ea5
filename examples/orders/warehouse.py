"""An external system: a warehouse that reserves goods under a key of the caller.

A file of SQLite stands for its server. A real one must offer the same: a call under a key is
carried out once, and a key that was cancelled is refused from then on.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

Answer = Literal["reserved", "out_of_stock", "cancelled"]

_TABLES = """
    CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, count INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS reservations (
        key TEXT PRIMARY KEY, item TEXT, count INTEGER NOT NULL, answer TEXT NOT NULL);
"""


class Warehouse:
    """The adapter. Every call may be repeated; each is one transaction of the warehouse."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with closing(self._open()) as connection:
            connection.executescript(_TABLES)

    def reserve(self, key: str, item: str, count: int) -> Answer:
        """Reserve `count` pieces under the key, once; the first answer of a key stands."""
        with closing(self._open()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            if (known := self._answer(connection, key)) is not None:
                return known
            taken = connection.execute(
                "UPDATE stock SET count = count - ? WHERE item = ? AND count >= ?",
                (count, item, count),
            )
            answer: Answer = "reserved" if taken.rowcount else "out_of_stock"
            connection.execute(
                "INSERT INTO reservations VALUES (?, ?, ?, ?)", (key, item, count, answer)
            )
            return answer

    def cancel(self, key: str) -> None:
        """Give back what the key reserved; a call under this key that comes later is refused."""
        with closing(self._open()) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            known = self._answer(connection, key)
            if known is None:
                connection.execute(
                    "INSERT INTO reservations VALUES (?, NULL, 0, 'cancelled')", (key,)
                )
            elif known == "reserved":
                connection.execute(
                    "UPDATE stock SET count = count + "
                    "(SELECT r.count FROM reservations AS r WHERE r.key = :key) "
                    "WHERE item = (SELECT r.item FROM reservations AS r WHERE r.key = :key)",
                    {"key": key},
                )
                connection.execute(
                    "UPDATE reservations SET answer = 'cancelled' WHERE key = ?", (key,)
                )

    def put(self, item: str, count: int) -> None:
        """Take `count` more pieces into stock."""
        with closing(self._open()) as connection, connection:
            connection.execute(
                "INSERT INTO stock VALUES (?, ?) "
                "ON CONFLICT (item) DO UPDATE SET count = stock.count + excluded.count",
                (item, count),
            )

    def left(self, item: str) -> int:
        """The pieces in stock that nobody reserved."""
        with closing(self._open()) as connection:
            row = connection.execute("SELECT count FROM stock WHERE item = ?", (item,)).fetchone()
        return int(row[0]) if row else 0

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=5, isolation_level=None)

    @staticmethod
    def _answer(connection: sqlite3.Connection, key: str) -> Answer | None:
        row = connection.execute("SELECT answer FROM reservations WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None
