"""The saga log: operation ids, idempotency records of steps, fencing, orphaned sagas."""
