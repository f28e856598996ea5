"""Planning: the pure functions that turn a change or a rollback into operations."""
