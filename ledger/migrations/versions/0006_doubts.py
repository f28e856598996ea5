"""Adds until when the outcome of a step in doubt is looked up to its row."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds a column that no event of an earlier version fills."""
    op.execute("ALTER TABLE ledger.saga_steps ADD COLUMN looked_up_until timestamptz")


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
