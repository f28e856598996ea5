"""Alembic migrations. Their SQL is in `sql/`, one object per file, frozen once released."""
