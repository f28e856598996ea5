"""The provider `postgres`: real roles, databases and schemas on a target server."""
