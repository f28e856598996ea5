"""The same attempts on every state table: a new table gets them by being in the world."""

from collections.abc import Iterator

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.store.event_log import EVENT_LOG
from tests.ledger.rules.attempt import Attempt
from tests.ledger.rules.world import WORLD, Known, event, moved, row

# The database sets these itself, whatever a writer says.
STAMPED = frozenset({"base", "xid"})
# Values that a CHECK refuses, by table.
BAD_VALUES = {
    "agents": {"state": "'sleeping'"},
    "authorizations": {"state": "'lost'", "amount_minor": "0"},
    "policies": {
        "max_per_transaction_minor": "-1",
        "daily_limit_minor": "-1",
        "approval_threshold_minor": "-1",
    },
    "resources": {"state": "'broken'"},
    "saga_steps": {"state": "'lost'"},
    "sagas": {"state": "'lost'", "epoch": "0"},
    "transfers": {"state": "'lost'", "amount_minor": "0"},
}


def _on_a_state_table(known: Known) -> Iterator[Attempt]:
    name, version = known.table, known.version + 1
    unsaid, stray = row(version, known=known), event(version, known.aggregate)
    yield Attempt(f"{name}: a row and no event", "ZA004", "require_events", (unsaid,))
    yield Attempt(f"{name}: an event and no row", "ZA005", "require_row", (stray,))
    unmoved = row(known.version, known=known, base=str(known.version))
    yield Attempt(f"{name}: a base that asks for no event", "ZA003", "stamp_row", (unmoved,))
    for column in AGGREGATE_TYPES[known.aggregate.split("/", 1)[0]].table.c:
        if not column.nullable and column.name not in STAMPED:
            without = moved(known, **{column.name: "NULL"})
            rule = f"NOT NULL {name}.{column.name}"
            yield Attempt(f"{name}: no {column.name}", "23502", rule, without)
    for column_name, value in BAD_VALUES[name].items():
        wrong = moved(known, **{column_name: value})
        yield Attempt(f"{name}: {column_name} {value}", "23514", "check", wrong)


def _on_the_log() -> Iterator[Attempt]:
    for column in EVENT_LOG.table.c:
        # Of these two the worker may not even say that there is none.
        if not column.nullable and column.name not in {"position", "xid"}:
            no_time = column.name == "timestamp"
            statements = (row(), event(**{'"timestamp"' if no_time else column.name: "NULL"}))
            # No partition takes an event without a time, and that is found out first.
            refused = ("23514", "partition") if no_time else ("23502", f"NOT NULL {column}")
            yield Attempt(f"event_log: no {column.name}", *refused, statements)


def _on_spend_windows() -> Iterator[Attempt]:
    for column in SPEND_WINDOWS.table.c:
        emptied = f"UPDATE ledger.spend_windows SET {column.name} = NULL"
        rule = f"NOT NULL spend_windows.{column.name}"
        yield Attempt(f"spend_windows: no {column.name}", "23502", rule, (emptied,))
    for column_name in ("amount_minor", "count"):
        below = f"UPDATE ledger.spend_windows SET {column_name} = -1"
        yield Attempt(f"spend_windows: {column_name} -1", "23514", "check", (below,))
    again = "INSERT INTO ledger.spend_windows SELECT * FROM ledger.spend_windows"
    yield Attempt("spend_windows: a window twice", "23505", "key", (again,))


def _two_rows(known: Known) -> Attempt:
    """Two rows of one id, both with all their events: what a key alone keeps out."""
    aggregate_type = known.aggregate.split("/", 1)[0]
    new = f"{aggregate_type}/twice"
    copies = (_copied(known, aggregate_type, new, number) for number in (1, 2))
    statements = (*copies, event(1, new))
    return Attempt(f"{known.table}: two rows of one id", "23505", "key", statements)


def _copied(known: Known, aggregate_type: str, new: str, number: int) -> str:
    values = {
        "aggregate_id": f"'{aggregate_id(new)}'",
        "aggregate": f"'{new}'",
        "version": "1",
        "head_at": "now()",
    }
    if known.table == "sagas":
        # Its primary key is another one: see "a second claim of the operation id".
        values["operation_id"] = f"'twice-{number}'"
    names = [column.name for column in AGGREGATE_TYPES[aggregate_type].table.c]
    # By name: a column that came with a later migration is the last one of the table.
    quoted = ", ".join(f'"{name}"' for name in names)
    columns = ", ".join(values.get(name, f'"{name}"') for name in names)
    return (
        f"INSERT INTO ledger.{known.table} ({quoted}) SELECT {columns} "
        f"FROM ledger.{known.table} WHERE aggregate_id = '{known.id}'"
    )


AGAINST_TABLES = [
    *(attempt for known in WORLD.values() for attempt in _on_a_state_table(known)),
    *(_two_rows(known) for known in WORLD.values()),
    *_on_the_log(),
    *_on_spend_windows(),
]
