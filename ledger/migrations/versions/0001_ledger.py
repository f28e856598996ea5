"""Creates the ledger: event log, state tables, the rules that bind them, and grants."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0001"
down_revision = None

# In the order in which they need each other.
OBJECTS = (
    "event_log",
    "create_partition",
    "write_count_events",
    "create_partitions",
    "sagas",
    "saga_steps",
    "authorizations",
    "transfers",
    "agents",
    "policies",
    "resources",
    "spend_windows",
    "snapshots",
    "incarnations",
    "record_incarnation",
    "late_after",
    "closed_past",
    "close_past",
    "event_hash",
    "require_unmoved",
    "refuse_change",
    "stamp_row",
    "require_events",
    "require_row",
    "guard_state_table",
    "triggers",
    "grants",
)


def upgrade() -> None:
    """Creates the schema."""
    # The driver itself: several statements in a file, and no meaning in a percent sign.
    cursor = op.get_bind().connection.cursor()
    for name in OBJECTS:
        cursor.execute(read_sql("0001", name))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
