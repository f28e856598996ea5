"""How people and programs start, follow and steer sagas, and read the log.

from starter import Amends

async with Amends.connect() as amends:
    progress = await amends.submit(request)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starter.sdk import Amends

__all__ = ["Amends"]


def __getattr__(name: str) -> Any:
    # Temporal's client takes 0.4 s to import, and `amends --help` does not need it.
    if name == "Amends":
        from starter.sdk import Amends

        return Amends
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
