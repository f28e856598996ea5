"""Adds the state of a transfer whose money arrived after its payment was undone, and its cases."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Changes two CHECKs, and adds the index by which transfers that moved nothing are found."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(read_sql("0013", "arrivals"))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
