"""Adds the refunds, and what of each transfer they have."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Adds the table of refunds, its branches in the rules of all state tables, and the bound that
    a transfer is never refunded above its amount."""
    cursor = op.get_bind().connection.cursor()
    for name in ("stamp_row", "require_row", "refunds"):
        cursor.execute(read_sql("0014", name))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
