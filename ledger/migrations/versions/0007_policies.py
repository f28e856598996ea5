"""Adds what a policy says beyond its first amounts, and what an authorization waits for."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds columns; what an earlier version wrote has none of it."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(read_sql("0007", "policies"))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
