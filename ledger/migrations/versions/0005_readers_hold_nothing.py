"""Takes the locks that guard the start and the past out of the reach of readers."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Replaces functions, and the one row of the closed past by as many as are held."""
    cursor = op.get_bind().connection.cursor()
    for name in ("readers_hold_nothing", "create_partitions", "close_past", "require_events"):
        cursor.execute(read_sql("0005", name))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
