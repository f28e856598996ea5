"""Adds the statements of banks, and a case for each difference that a comparison finds."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds two state tables; 0009 puts them into the rules of all state tables."""
    cursor = op.get_bind().connection.cursor()
    for name in ("statements", "cases"):
        cursor.execute(read_sql("0008", name))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
