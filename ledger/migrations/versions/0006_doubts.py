"""Adds until when the outcome of a step in doubt is looked up to its row."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds a column that no event of an earlier version fills."""
    op.execute(
        "ALTER TABLE ledger.saga_steps ADD COLUMN looked_up_until timestamptz, "
        "ADD CONSTRAINT saga_steps_looked_up_moments CHECK ("
        "looked_up_until >= '0001-01-02 00:00+00' AND looked_up_until <= '9999-12-30 00:00+00')"
    )


def downgrade() -> None:
    """Refuses: a migration of the ledger can't be reverted."""
    raise RuntimeError("a migration of the ledger can't be reverted: restore a backup instead")
