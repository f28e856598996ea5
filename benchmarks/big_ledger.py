"""Fills a ledger with millions of events by COPY, past the rules, and right: no finding.

A stretch of the log (see stretch.py) is made once with the ledger's own models, `evolve` and hash,
and is then filled in as often as it takes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from multiprocessing import get_context
from typing import Any

import psycopg

from benchmarks import stretch
from ledger.aggregates.aggregate import Event, State, aggregate_id
from ledger.aggregates.core import metadata
from ledger.aggregates.names import aggregate_type_of
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.store.canonical_json import canonical_text
from ledger.store.event_log import EVENT_LOG, NO_HASH, event_id, hash_parts, instant

DAYS = 30
# Stretches in one COPY: about 15 MB of text, all that a process holds.
_AT_ONCE = 300
Lines = dict[str, list[str]]


def fill(superuser_url: str, events: int, *, processes: int = 2) -> int:
    """Add at least so many events, of the last 30 days, to an empty ledger; returns how many.

    `superuser_url` names its database: nobody else gets past the rules.
    """
    of_one = len(list(stretch.events()))
    count = -(-events // of_one)
    began = datetime.now(UTC) - timedelta(days=DAYS)
    xid = _prepare(superuser_url, began)
    share = -(-count // processes)
    shares = [range(first, min(first + share, count)) for first in range(0, count, share)]
    work = Work(superuser_url, xid, began, timedelta(days=DAYS) / count)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(_fill, repeat(work), shares))
    _settle(superuser_url)
    return count * of_one


@dataclass(frozen=True)
class Work:
    """Where all of it goes, when its first stretch happened, and how long after it the next."""

    url: str
    xid: str
    began: datetime
    every: timedelta


def _prepare(superuser_url: str, began: datetime) -> str:
    """Make the partitions; returns the transaction id that all events will carry."""
    with psycopg.connect(superuser_url) as connection:
        for day in range(DAYS + 1):
            moment = (began + timedelta(days=day)).date()
            connection.execute("SELECT ledger.create_partition(%s)", (moment,))
        [(xid,)] = connection.execute("SELECT pg_current_xact_id()::text").fetchall()
    return str(xid)


def _settle(superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(
            "SELECT setval('ledger.event_log_position_seq', max(position)) FROM ledger.event_log"
        )
        connection.execute("VACUUM (ANALYZE)")


def _fill(work: Work, numbers: range) -> None:
    form = Form()
    with psycopg.connect(work.url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        for first in range(numbers.start, numbers.stop, _AT_ONCE):
            lines: Lines = {}
            for n in range(first, min(first + _AT_ONCE, numbers.stop)):
                form.fill_in(n, work, lines)
            for name, text in lines.items():
                columns = ", ".join(f'"{column.name}"' for column in metadata.tables[name].c)
                into = f"COPY {name} ({columns}) FROM STDIN"
                with connection.cursor().copy(into.encode()) as copy:
                    copy.write("".join(text))


class Form:
    """A stretch with its blanks: lines for COPY, and the bytes that are hashed.

    Aggregate number k has the blanks `id{k}`, `hash{k}` and `at{k}` (of its last event).
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        # The number of its aggregate, its version, its line, and what is hashed.
        self.events: list[tuple[int, int, str, str]] = []
        self.rows: list[tuple[str, str]] = []
        states: dict[str, State] = {}
        versions: dict[str, int] = {}
        for name, event in stretch.events():
            if name not in states:
                self.names.append(name)
            states[name] = aggregate_type_of(name).evolve(states.get(name), event)
            versions[name] = versions.get(name, 0) + 1
            self._add_event(self.names.index(name), name, versions[name], event)
        for k, name in enumerate(self.names):
            self._add_row(k, name, versions[name], states[name])
        spent = {"amount_minor": stretch.AMOUNT_MINOR * stretch.PAYMENTS, "count": stretch.PAYMENTS}
        window = _line(SPEND_WINDOWS.names, stretch.WINDOW.fields() | spent)
        self.rows.append((SPEND_WINDOWS.table.fullname, window))

    def _add_event(self, k: int, name: str, version: int, event: Event) -> None:
        row = {
            "position": "%(position)s",
            "xid": "%(xid)s",
            "event_id": "%(event_id)s",
            "aggregate_id": f"%(id{k})s",
            "aggregate": name,
            "version": version,
            "event_type": type(event).__name__,
            "schema_version": event.schema_version,
            "timestamp": "%(at)s",
            "user_id": "agent:big",
            "saga_id": None if name.startswith("agent/") else "change/%(n)s",
            "step": "create",
            "payload": event.as_json(),
            "metadata": stretch.METADATA,
            "hash": "\\\\x%(hash)s",
        }
        texts = {name: canonical_text(row[name]) for name in ("payload", "metadata")}
        head, middle, tail = hash_parts(row | texts)
        hashed = f"{head}%(previous)s{middle}%(at)s{tail}"
        self.events.append((k, version, _line(EVENT_LOG.names, row), hashed))

    def _add_row(self, k: int, name: str, version: int, state: State) -> None:
        aggregate_type = aggregate_type_of(name)
        head = {
            "aggregate_id": f"%(id{k})s",
            "aggregate": name,
            "version": version,
            "base": version - 1,
            "head_at": f"%(at{k})s",
            "head_hash": f"\\\\x%(hash{k})s",
            "xid": "%(xid)s",
        }
        self.rows.append(
            (
                aggregate_type.table.fullname,
                _line(aggregate_type.columns.names, head | aggregate_type.row(state)),
            )
        )

    def fill_in(self, n: int, work: Work, lines: Lines) -> None:
        """Add the lines of stretch `n`, by table."""
        values: dict[str, Any] = {"n": n, "xid": work.xid}
        for k, name in enumerate(self.names):
            values[f"id{k}"] = aggregate_id(name % values)
            values[f"hash{k}"] = NO_HASH.hex()
        began, before = work.began + n * work.every, n * len(self.events)
        events = lines.setdefault(EVENT_LOG.table.fullname, [])
        for number, (k, version, line, hashed) in enumerate(self.events, 1):
            values["position"] = before + number
            values["event_id"] = event_id(values[f"id{k}"], version)
            values["at"] = values[f"at{k}"] = instant(began + timedelta(microseconds=number))
            values["previous"] = values[f"hash{k}"]
            digest = hashlib.sha256((hashed % values).encode()).hexdigest()
            values["hash"] = values[f"hash{k}"] = digest
            events.append(line % values)
        for table, line in self.rows:
            lines.setdefault(table, []).append(line % values)


def _line(columns: Sequence[str], row: Mapping[str, Any]) -> str:
    return "\t".join(_field(row[column]) for column in columns) + "\n"


def _field(value: object) -> str:
    """A value in the text of COPY. None of ours holds a backslash, tab or line feed of its own."""
    if value is None:
        return "\\N"
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
