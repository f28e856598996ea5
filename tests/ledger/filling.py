"""All that a table of the ledger is."""

from tests.ledger.conftest import Clone

LOG = "SELECT ctid::text, xmin::text, * FROM ledger.event_log ORDER BY position"
# What a table is, past its rows: the table itself, who may what, indexes, checks, rules.
CATALOG = """
    SELECT oid, relname, relfilenode, relowner, relacl::text FROM pg_class
        WHERE relnamespace = 'ledger'::regnamespace
    UNION ALL SELECT indexrelid, pg_get_indexdef(indexrelid), 0, 0, '' FROM pg_index
        JOIN pg_class ON oid = indrelid WHERE relnamespace = 'ledger'::regnamespace
    UNION ALL SELECT oid, conname || pg_get_constraintdef(oid), 0, 0, '' FROM pg_constraint
        WHERE connamespace = 'ledger'::regnamespace
    UNION ALL SELECT t.oid, tgname || tgenabled::text || pg_get_triggerdef(t.oid), 0, 0, ''
        FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
        WHERE relnamespace = 'ledger'::regnamespace
    ORDER BY 1, 2"""


async def rows(clone: Clone, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    return await clone.fetch(f"SELECT {columns} FROM ledger.{table} ORDER BY 1, 2, 3, 4")


async def state_of(clone: Clone, table: str) -> tuple[object, object, object]:
    """The rows of a table; the log, to the place of each event on disk; the catalog."""
    return await rows(clone, table), await clone.fetch(LOG), await clone.fetch(CATALOG)
