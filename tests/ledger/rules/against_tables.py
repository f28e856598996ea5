"""The same attempts on every state table: a new table gets them by being in the world."""

from collections.abc import Iterator, Mapping

from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.spend_window import SPEND_WINDOWS
from ledger.store.event_log import EVENT_LOG
from tests.ledger.rules.against_events import DEEP, HUGE
from tests.ledger.rules.attempt import Attempt
from tests.ledger.rules.world import WORLD, Known, event, moved, row

# The database sets these itself, whatever a writer says.
STAMPED = frozenset({"base", "xid"})
# Values that a CHECK refuses, by table.
BAD_VALUES = {
    "agents": {"state": "'sleeping'"},
    "authorizations": {
        "state": "'lost'",
        "amount_minor": "0",
        "currency": "'pesos'",
    },
    # Closed by nobody, and a difference of no kind.
    "cases": {"state": "'closed'", "closed_by": "'user:ana'", "kind": "'odd'", "entry": "-1"},
    "mandates": {"state": "'lost'", "currency": "'pesos'", "chain": "'{}'"},
    "keys": {"state": "'lost'"},
    "policies": {
        "time_zone": "'[bold]x'",
        "max_per_transaction_minor": "-1",
        "daily_limit_minor": "-1",
        "approval_threshold_minor": "-1",
    },
    # Sent by nobody, and of no transfer.
    "refunds": {
        "state": "'lost', transfer_id = 't-1', adapter = 'mock', key = 'k'",
        "amount_minor": "0",
        "currency": "'pesos'",
        "transfer_id": "'t-1', state = 'started'",
        "key": "'k', state = 'reserved'",
    },
    "resources": {"state": "'broken'"},
    "saga_steps": {"state": "'lost'"},
    "sagas": {"state": "'lost'", "epoch": "0"},
    "statements": {"matched": "-1", "sums": "'{}'"},
    # Nothing goes back of a transfer that is not executed.
    "transfers": {"state": "'lost'", "amount_minor": "0", "refunding_minor": "1"},
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
    for column_name, value in (("starts_on", "'infinity'"), ("currency", "repeat('x', 1001)")):
        wrong = f"UPDATE ledger.spend_windows SET {column_name} = {value}"
        yield Attempt(f"spend_windows: {column_name} {value}", "23514", "check", (wrong,))
    again = "INSERT INTO ledger.spend_windows SELECT * FROM ledger.spend_windows"
    yield Attempt("spend_windows: a window twice", "23505", "key", (again,))


def _two_rows(known: Known) -> Attempt:
    """Two rows of one id, both with all their events: what a key alone keeps out."""
    aggregate_type = known.aggregate.split("/", 1)[0]
    # The primary key of sagas is another one: see "a second claim of the operation id".
    names = ("twice", "twice-2" if known.table == "sagas" else "twice")
    first, second = (_named(known, name) for name in names)
    second["aggregate_id"] = first["aggregate_id"]
    if known.table == "authorizations":
        # Else its request has one already.
        second["saga_id"] = "'payment/other'"
    statements = (
        _copied(known, aggregate_type, first),
        event(1, first["aggregate"].strip("'")),
        # The event has found its row, and won't look for it again.
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET CONSTRAINTS ALL DEFERRED",
        _copied(known, aggregate_type, second),
    )
    return Attempt(f"{known.table}: two rows of one id", "23505", "key", statements)


def _redeemed_twice() -> Attempt:
    """A second authorization for the request of the first: its budget would be spent twice."""
    known = WORLD["authorizations"]
    again = _named(known, "again")
    del again["saga_id"]
    statements = (_copied(known, "authorization", again), event(1, "authorization/again"))
    return Attempt("authorizations: a request redeemed twice", "23505", "key", statements)


# What a state says of its own name.
IDENTITY = {
    "agents": ("agent_id",),
    "authorizations": ("authorization_id",),
    "cases": ("case_id",),
    "policies": ("agent_id",),
    "mandates": ("mandate_id",),
    "keys": ("key_id",),
    "refunds": ("refund_id",),
    "resources": ("environment", "name"),
    "saga_steps": ("saga_id", "name"),
    "sagas": ("workflow_id",),
    "statements": ("statement_id",),
    "transfers": ("transfer_id",),
}


def _named(known: Known, name: str) -> dict[str, str]:
    """The columns of a new row like the known one, but for the last part of its name."""
    *before, _ = known.aggregate.split("/")
    aggregate = "/".join((*before, name))
    values = {"aggregate_id": str(aggregate_id(aggregate)), "aggregate": aggregate}
    values[IDENTITY[known.table][-1]] = name
    if known.table == "sagas":
        values |= {"workflow_id": f"payment/{name}", "operation_id": name}
    if known.table == "authorizations":
        values["saga_id"] = f"payment/{name}"
    return {column: f"'{value}'" for column, value in values.items()}


def _split_otherwise(
    known: Known, /, _what: str = "a slash in a part of its name", **values: str
) -> Attempt:
    """A new row whose name is right, and made of other parts than anybody takes it for."""
    aggregate_type = known.aggregate.split("/", 1)[0]
    aggregate = values["aggregate"]
    given = {name: f"'{value}'" for name, value in values.items()}
    given["aggregate_id"] = f"'{aggregate_id(aggregate)}'"
    statements = (_copied(known, aggregate_type, given), event(1, aggregate))
    return Attempt(f"{known.table}: {_what}", "23514", "check", statements)


def _identities() -> Iterator[Attempt]:
    """Rows that take what belongs to another name."""
    for known in WORLD.values():
        for column in IDENTITY[known.table]:
            taken = moved(known, **{column: "'victim'"})
            name = f"{known.table}: the {column} of another"
            yield Attempt(name, "ZA008", "stamp_row", taken)
    taken = moved(WORLD["sagas"], workflow_id="'payment/v'", operation_id="'v'")
    yield Attempt("sagas: all of another", "ZA008", "stamp_row", taken)
    for column in ("kind", "operation_id"):
        taken = moved(WORLD["sagas"], **{column: "'victim'"})
        yield Attempt(f"sagas: the {column} of another", "ZA008", "stamp_row", taken)
    yield Attempt(
        "sagas: a new one that takes the operation id of another",
        "ZA008",
        "stamp_row",
        (
            _copied(
                WORLD["sagas"], "saga", _named(WORLD["sagas"], "innocent") | {"operation_id": "'v'"}
            ),
            event(1, "saga/payment/innocent"),
        ),
    )
    yield _split_otherwise(
        WORLD["sagas"],
        aggregate="saga/payment/x/y",
        workflow_id="payment/x/y",
        kind="payment/x",
        operation_id="y",
    )
    yield _split_otherwise(WORLD["statements"], aggregate="statement/a/b", statement_id="a/b")
    yield _split_otherwise(WORLD["mandates"], aggregate="mandate/a/b", mandate_id="a/b")
    yield _split_otherwise(WORLD["cases"], aggregate="case/a/b", case_id="a/b")
    yield _split_otherwise(
        WORLD["saga_steps"],
        aggregate="step/payment/rent/a/b",
        saga_id="payment/rent/a",
        name="b",
    )
    for kind, operation_id, more in (
        # One sweep after the other would end at an id that Temporal does not take.
        ("payment", "P" * 985, {}),
        ("payment", "ñ" * 32, {}),
        ("Payment", "y", {}),
        ("payment", "y", {"namespace": "n" * 900}),
        ("payment", "y", {"namespace_id": "n" * 900}),
    ):
        yield _split_otherwise(
            WORLD["sagas"],
            f"what Temporal refuses: {kind}/{operation_id[:40]} {', '.join(more)}",
            aggregate=f"saga/{kind}/{operation_id}",
            workflow_id=f"{kind}/{operation_id}",
            kind=kind,
            operation_id=operation_id,
            **more,
        )
    yield _split_otherwise(
        WORLD["resources"], aggregate="resource/dev/a/b", environment="dev/a", name="b"
    )


# Values that no reader can read, and that a bound of the column's type refuses.
UNREADABLE = {
    "timestamptz": ("'infinity'", "'-infinity'", "'10000-01-01'", "'0044-03-15 BC'"),
    "integer": ("-1",),
    "bigint": ("9007199254740992",),
    "bytea": (r"'\x00'",),
    "jsonb": ("'null'", DEEP, HUGE),
    "text": ("repeat('x', 66000)",),
}


def _unreadable() -> Iterator[Attempt]:
    for known in WORLD.values():
        name = known.table
        bounded = AGGREGATE_TYPES[known.aggregate.split("/", 1)[0]].columns.columns
        own = {"aggregate", "version", "base", "head_at", *IDENTITY[name]}
        own |= {"kind", "operation_id"} if name == "sagas" else set()
        for column in bounded:
            for value in UNREADABLE.get(column.type, ()) if column.name not in own else ():
                wrong = moved(known, **{column.name: value})
                what = f"{name}: {column.name} {value[:40]}"
                yield Attempt(what, "23514", "check", wrong)


def _copied(known: Known, aggregate_type: str, values: Mapping[str, str]) -> str:
    values = {"version": "1", "head_at": "now()", **values}
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
    _redeemed_twice(),
    *_identities(),
    *_unreadable(),
    *_on_the_log(),
    *_on_spend_windows(),
]
