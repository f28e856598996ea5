"""How tests leave Temporal's SDK."""

import asyncio

_CORE_TAKES_S = 0.5


async def until_the_core_has_left() -> None:
    """Threads of the SDK's core may call into an interpreter that goes down too early, and abort
    it; nothing tells when they have ended."""
    await asyncio.sleep(_CORE_TAKES_S)
