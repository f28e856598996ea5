"""Adds what an authorization is captured of, in parts, and what was asked for."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds columns, and fills in what follows from the rows: a minute for 2 million of them."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(read_sql("0012", "captures"))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
