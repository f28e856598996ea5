"""The statements of a commit: SQLAlchemy renders each once, psycopg runs the text."""

from functools import cache

from sqlalchemy import Date, bindparam, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from ledger.database import compiled
from ledger.event_log import event_log
from ledger.nouns import noun_of
from ledger.spend import spend_windows

# A window of spend that began longer ago than this can't contain now, whatever the time zone.
RECENT_DAYS = 2


@cache
def head_statement(noun_name: str, lock: str) -> str:
    """Lock and read the state row of an aggregate."""
    table = noun_of(noun_name).table
    statement = select(table).where(table.c.aggregate_id == bindparam("aggregate_id"))
    return compiled(statement.with_for_update(read=lock == "share"))


@cache
def windows_statement() -> str:
    """Lock and read the windows of an agent that may contain now."""
    windows = spend_windows.c
    recent = literal_column(f"current_date - {RECENT_DAYS}", Date)
    statement = select(spend_windows).where(
        windows.agent_id == bindparam("agent_id"), windows.starts_on >= recent
    )
    return compiled(statement.with_for_update())


@cache
def event_statement() -> str:
    """Append one event."""
    given = [column for column in event_log.c if column.name not in {"position", "xid"}]
    return compiled(
        insert(event_log).values({c.name: bindparam(c.name, type_=c.type) for c in given})
    )


@cache
def row_statement(noun_name: str, new: bool) -> str:
    """Insert the state row of an aggregate, or move it on from the version that was loaded."""
    noun = noun_of(noun_name)
    # The database's trigger stamps these two.
    names = [column.name for column in noun.table.c if column.name not in {"base", "xid"}]
    values = {name: bindparam(name, type_=noun.table.c[name].type) for name in names}
    if new:
        return compiled(insert(noun.table).values(values))
    found = noun.table.c.aggregate_id == values.pop("aggregate_id")
    unmoved = noun.table.c.version == bindparam("expected")
    return compiled(update(noun.table).where(found, unmoved).values(values))


@cache
def spend_statement() -> str:
    """Add to a window, or begin it, if that keeps its limit: no row comes back if it would not."""
    limit = bindparam("limit_minor", type_=spend_windows.c.amount_minor.type)
    given = {column.name: bindparam(column.name, type_=column.type) for column in spend_windows.c}
    first = select(*given.values()).where(limit.is_(None) | (given["amount_minor"] <= limit))
    new = upsert(spend_windows).from_select(list(given), first)
    total = spend_windows.c.amount_minor + new.excluded.amount_minor
    statement = new.on_conflict_do_update(
        index_elements=list(spend_windows.primary_key),
        set_={"amount_minor": total, "count": spend_windows.c.count + new.excluded.count},
        where=limit.is_(None) | (total <= limit),
    ).returning(spend_windows.c.amount_minor)
    return compiled(statement)


@cache
def release_statement() -> str:
    """Take back what was reserved in a window, which therefore exists."""
    window = [column == bindparam(column.name) for column in spend_windows.primary_key]
    changed = {
        name: spend_windows.c[name] + bindparam(name, type_=spend_windows.c[name].type)
        for name in ("amount_minor", "count")
    }
    released = update(spend_windows).where(*window).values(changed)
    return compiled(released.returning(spend_windows.c.amount_minor))
