"""Adds mandates, which payments are under, and lets a request have one authorization."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the table of mandates, its branches in the rules of all state tables, and the columns of
    authorizations; what an earlier version wrote is under no mandate."""
    cursor = op.get_bind().connection.cursor()
    for name in ("stamp_row", "require_row", "mandates"):
        cursor.execute(read_sql("0011", name))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
