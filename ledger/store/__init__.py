"""The event store: the one write path, its statements, and the bytes that are hashed."""
