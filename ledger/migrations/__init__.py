"""Alembic migrations. Their SQL lies in `sql/`, one object per file, frozen once released."""
