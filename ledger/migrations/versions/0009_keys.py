"""Adds the public keys of agents and people."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds the table of keys, and its branches in the rules of all state tables."""
    cursor = op.get_bind().connection.cursor()
    for name in ("stamp_row", "require_row", "keys"):
        cursor.execute(read_sql("0009", name))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
