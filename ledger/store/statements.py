"""Builds the two statements of a commit, by shape: SQLAlchemy renders each once, psycopg runs the
text.

All values travel as text and the server reads them by their type: one prepared statement per shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Date,
    DateTime,
    ScalarSelect,
    Select,
    Text,
    any_,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from ledger.aggregates.names import aggregate_type_of
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.rendering import Statement, positional
from ledger.store.event_log import EVENT_LOG

# A window of spend that is named by a day longer ago than this can't contain now, whatever the time
# zone. That of a whole life is always recent.
RECENT_DAYS = {"daily": 3, "weekly": 9, "monthly": 33}

Lock = Literal["update", "share"] | None


@dataclass(frozen=True)
class Written:
    """An aggregate to write: how many events, and whether they are its first."""

    aggregate_type: str
    new: bool
    events: int


@dataclass(frozen=True)
class Held:
    """An aggregate that the decision is based on and does not write: unchanged as long as these
    columns of its row are."""

    aggregate_type: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Spent:
    """A change of a spend window: one that adds to it (and may begin it), or one that releases."""

    adds: bool


@dataclass(frozen=True)
class Fresh:
    """A limit on the age of the loaded states (`loaded_at`): a worker may be frozen between load
    and write, and its deadlines pass."""


Part = Written | Held | Spent | Fresh

# More than a worker has; a change with many dependencies has a shape of its own.
_MOST_SHAPES = 512


def _value(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    return bindparam(name, type_=column.type)


@lru_cache(_MOST_SHAPES)
def load_statement(heads: tuple[tuple[str, Lock], ...], windows: bool, locked: bool) -> Statement:
    """Reads the state rows of `id0`, `id1` ... as JSON, the recent windows of `holders`, the time.

    Locks are taken in this order, as the write takes them: windows, then rows as given. The clock
    is read after them.
    """
    found: list[ColumnElement[Any]] = []
    if windows:
        found.append(_recent_windows(locked).scalar_subquery().label("windows"))
    for number, (aggregate_type, lock) in enumerate(heads):
        table = aggregate_type_of(aggregate_type).table.alias("head")
        row = select(func.row_to_json(literal_column("head")))
        row = row.select_from(table).where(
            table.c.aggregate_id == _value(f"id{number}", table.c.aggregate_id)
        )
        if lock is not None:
            row = row.with_for_update(read=lock == "share")
        found.append(row.scalar_subquery().label(f"head{number}"))
    return positional(select(*found, func.clock_timestamp().label("now")))


def _recent_windows(locked: bool) -> Select[Any]:
    windows = SPEND_WINDOWS.table.c
    days = " ".join(f"WHEN '{period}' THEN {days}" for period, days in RECENT_DAYS.items())
    recent = select(SPEND_WINDOWS.table).where(
        windows.agent_id == any_(bindparam("holders", type_=ARRAY(Text()))),
        windows.starts_on
        >= literal_column(f"current_date - CASE period {days} ELSE 40000 END", Date),
    )
    found = (recent.with_for_update() if locked else recent).subquery("recent")
    rows = func.coalesce(func.json_agg(literal_column("recent")), literal_column("'[]'"))
    return select(rows).select_from(found)


@lru_cache(_MOST_SHAPES)
def write_statement(parts: tuple[Part, ...], events: tuple[tuple[str, int], ...]) -> Statement:
    """Writes rows and events, all or nothing: every row must be as it was when it was read.

    Values are named by the place of their part: `p0_version`, and of an event `p0e0_payload`.
    `events` names those (`p0e0`) in the order in which they stand in the log, each with the number
    of its author, whose values are `a0_step` and the like.
    Raises SerializationFailure when a row is not as it was, UniqueViolation when a new one exists.
    """
    locks = [_lock(f"p{number}", part) for number, part in enumerate(parts)]
    clock = _clock([lock for lock in locks if lock is not None])
    made: dict[str, dict[str, ColumnElement[Any]]] = {}
    authors = dict(events)
    found: list[ScalarSelect[Any]] = []
    for number, part in enumerate(parts):
        prefix = f"p{number}"
        match part:
            case Written():
                cte = _write(prefix, part, clock, authors, made)
            case Held():
                cte = cast(CTE, locks[number])
            case Spent():
                cte = _spend(prefix) if part.adds else _release(prefix)
            case Fresh():
                cte = _fresh(prefix, clock)
        found.append(_count(cte))
    log = insert(EVENT_LOG.table).values([made[name] for name, _ in events]).cte("log")
    total = sum(found[1:], start=found[0])
    return positional(
        select(func.ledger.require_unmoved(total, literal_column(str(len(parts))))).add_cte(log)
    )


def _count(cte: CTE) -> ScalarSelect[Any]:
    return select(func.count()).select_from(cte).scalar_subquery()


def _lock(prefix: str, part: Part) -> CTE | None:
    """Locks a row that is not new, if the row is as it was loaded."""
    match part:
        case Held():
            return (
                _rows_like(prefix, part.aggregate_type, part.columns)
                .with_for_update(read=True)
                .cte(prefix)
            )
        case Written(new=False):
            found = _rows_like(prefix, part.aggregate_type, ("version",), version="expected")
            return found.with_for_update(key_share=True).cte(f"{prefix}_lock")
        case _:
            return None


def _rows_like(
    prefix: str, aggregate_type: str, columns: Sequence[str], **names: str
) -> Select[Any]:
    table = aggregate_type_of(aggregate_type).table
    same = [
        table.c[name] == _value(f"{prefix}_{names.get(name, name)}", table.c[name])
        for name in ("aggregate_id", *columns)
    ]
    return select(literal_column("1")).select_from(table).where(*same)


def _clock(locks: Sequence[CTE]) -> CTE:
    """The time of the events: read when all rows are locked. A commit that waited for a lock held
    for share would else write a time before theirs."""
    now = select(func.clock_timestamp(type_=DateTime(timezone=True)).label("now"))
    if locks:
        counts = [_count(lock) for lock in locks]
        now = now.where(sum(counts[1:], start=counts[0]) >= literal_column("0"))
    return _once(now, "clock")


def _fresh(prefix: str, clock: CTE) -> CTE:
    limit = _value("loaded_at", EVENT_LOG.table.c.timestamp) + func.ledger.late_after()
    return select(literal_column("1")).select_from(clock).where(clock.c.now <= limit).cte(prefix)


def _write(
    prefix: str,
    part: Written,
    clock: CTE,
    authors: Mapping[str, int],
    events: dict[str, dict[str, ColumnElement[Any]]],
) -> CTE:
    """Writes the row of one aggregate; its events are added to `events`, each linked to the one
    before."""
    table = aggregate_type_of(part.aggregate_type).table
    at: ColumnElement[Any] = clock.c.now
    if not part.new:
        # Never before the last: the clock may have stepped back.
        at = func.greatest(at, _value(f"{prefix}_head_at", table.c.head_at))
    link, previous = clock, _value(f"{prefix}_head_hash", table.c.head_hash)
    for number in range(part.events):
        name = f"{prefix}e{number}"
        head, middle, tail = (
            bindparam(f"{name}_{text}", type_=Text()) for text in ("head", "middle", "tail")
        )
        made = func.ledger.event_hash(head, previous, middle, at, tail)
        link = _once(select(at.label("at"), made.label("hash")).select_from(link), name)
        at, previous = link.c.at, link.c.hash
        events[name] = _event(prefix, name, f"a{authors[name]}_", link)
    given = {
        column.name: _value(f"{prefix}_{column.name}", column)
        for column in table.c
        # The trigger stamps the first two, the last two are made here.
        if column.name not in {"base", "xid", "head_at", "head_hash"}
    }
    given |= {"head_at": _only(link.c.at), "head_hash": _only(link.c.hash)}
    if part.new:
        return insert(table).values(given).returning(literal_column("1")).cte(prefix)
    found = table.c.aggregate_id == given.pop("aggregate_id")
    unmoved = table.c.version == _value(f"{prefix}_expected", table.c.version)
    moved = update(table).where(found, unmoved).values(given)
    return moved.returning(literal_column("1")).cte(prefix)


def _event(prefix: str, name: str, author: str, link: CTE) -> dict[str, ColumnElement[Any]]:
    """The columns of an event: its own, those of its aggregate, and those of its author."""
    places = dict.fromkeys(("user_id", "saga_id", "step", "metadata"), author)
    places |= dict.fromkeys(("aggregate_id", "aggregate"), f"{prefix}_")
    columns: dict[str, ColumnElement[Any]] = {
        column.name: _value(places.get(column.name, f"{name}_") + column.name, column)
        for column in EVENT_LOG.table.c
        if column.name not in {"position", "xid", "timestamp", "hash"}
    }
    return columns | {"timestamp": _only(link.c.at), "hash": _only(link.c.hash)}


def _only(column: ColumnElement[Any]) -> ScalarSelect[Any]:
    return select(column).scalar_subquery()


def _once(made: Select[Any], name: str) -> CTE:
    """Computes the query once: a clock that is read twice gives two times."""
    return made.cte(name).prefix_with("MATERIALIZED")


def _spend(prefix: str) -> CTE:
    """Adds to a window, or begins it, if that keeps its limits: no row comes back if it would
    not."""
    windows = SPEND_WINDOWS.table.c
    given = {column.name: _value(f"{prefix}_{column.name}", column) for column in windows}
    limit = _value(f"{prefix}_limit", windows.amount_minor)
    most = _value(f"{prefix}_count_limit", windows.count)

    def within(amount: ColumnElement[Any], count: ColumnElement[Any]) -> ColumnElement[bool]:
        return (limit.is_(None) | (amount <= limit)) & (most.is_(None) | (count <= most))

    first = select(*given.values()).where(within(given["amount_minor"], given["count"]))
    new = upsert(SPEND_WINDOWS.table).from_select(list(given), first)
    total = windows.amount_minor + new.excluded.amount_minor
    payments = windows.count + new.excluded.count
    statement = new.on_conflict_do_update(
        index_elements=list(SPEND_WINDOWS.table.primary_key),
        set_={"amount_minor": total, "count": payments},
        where=within(total, payments),
    )
    return statement.returning(literal_column("1")).cte(prefix)


def _release(prefix: str) -> CTE:
    """Subtracts what was reserved in a window, which therefore exists.

    Not an upsert: the CHECK of one refuses a negative row before it finds the old.
    """
    key = [
        column == _value(f"{prefix}_{column.name}", column)
        for column in SPEND_WINDOWS.table.primary_key
    ]
    changed = {
        name: SPEND_WINDOWS.table.c[name] + _value(f"{prefix}_{name}", SPEND_WINDOWS.table.c[name])
        for name in ("amount_minor", "count")
    }
    released = update(SPEND_WINDOWS.table).where(*key).values(changed)
    return released.returning(literal_column("1")).cte(prefix)
