"""Bounds every column, derives the ids of events, and ties each row to the identity of its name."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds CHECKs, and the rule of identity to `stamp_row`."""
    cursor = op.get_bind().connection.cursor()
    for name in ("bounds", "identity", "stamp_row"):
        cursor.execute(read_sql("0004", name))
    cursor.execute("DROP FUNCTION ledger.add_bound")
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
