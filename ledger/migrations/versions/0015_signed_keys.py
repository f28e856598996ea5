"""Adds by which key the registration of a key was signed."""

from alembic import op

from ledger.migrations.upgrade import read_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Adds a column. A key that was registered before has none, and production asks for another
    key: whether its registration was signed by one that counts is not on record."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(read_sql("0015", "signed_keys"))
    cursor.close()


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
