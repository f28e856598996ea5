"""How the explorer puts things of its own in the place of the product's, in its own workers."""

from typing import Any


def put(owner: object, name: str, new: Any) -> None:
    """`owner.name` is `new` from now on. Raises AttributeError where there is no such thing."""
    getattr(owner, name)
    setattr(owner, name, new)
