"""Adds what a saga waits for to its row, and the indexes that list what waits."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds columns that no event of an earlier version fills."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(read_sql("0002", "waits"))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
