"""Waits for a fact, with a deadline, and never for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

Fact = TypeVar("Fact")

# Only what is broken takes so long.
DEADLINE_S = 30.0


@overload
async def until(fact: Callable[[], Awaitable[Fact | None]], every_s: float = ...) -> Fact: ...
@overload
async def until(fact: Callable[[], Fact | None], every_s: float = ...) -> Fact: ...
async def until(fact: Callable[[], object], every_s: float = 0.01) -> object:
    """What `fact()` returns, as soon as that is true. Raises TimeoutError after DEADLINE_S."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = fact()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(every_s)
