"""Adds how the run of an open saga stands to its row, when it does not go on."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds columns that no event of an earlier version fills."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(read_sql("0003", "stopped_runs"))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
