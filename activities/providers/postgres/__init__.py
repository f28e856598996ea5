"""The provider `postgres`: real roles, databases and schemas on a target server."""

from activities.providers.postgres.provider import PostgresProvider

__all__ = ["PostgresProvider"]
