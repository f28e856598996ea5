"""Carries out steps that follow each other in one commit: all of them, or none.

Each step is claimed, decided and recorded as it is alone, in its order and by its author; what a
later one stands on is the state after the earlier ones. Activities need not know: each begins its
step with `commit_step`, which waits until all have come.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ledger.aggregates.aggregate import Event
from ledger.aggregates.spend_window import SpendLimit, SpendWindow
from ledger.database import Database
from ledger.store.commit import Author, Decide, Decision, Loaded, Ref, commit

Json = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A step to commit: its author, what its decision needs, and the decision."""

    author: Author
    refs: Sequence[Ref]
    decide: Decide[Json]
    windows_of: Sequence[str] = ()


class NotTogether(Exception):
    """The steps can't be one commit, and nothing was written: carry them out one by one."""


class Together:
    """The commit of `count` steps. It is made when the last of them has come."""

    def __init__(self, database: Database, count: int) -> None:
        self._database = database
        self._works: list[Work | None] = [None] * count
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[list[Json]] = loop.create_future()

    def part(self, number: int) -> "Part":
        """The part of the step with this number, from 0."""
        return Part(self, number)

    def leave(self, error: BaseException) -> None:
        """Lets nobody wait for a step that will not come."""
        if not self._done.done():
            self._done.set_exception(error)
            # Nobody may wait.
            self._done.exception()

    async def join(self, number: int, work: Work) -> Json:
        """Waits for the others, and for the commit; returns the result of this step."""
        self._works[number] = work
        works = [each for each in self._works if each is not None]
        if len(works) == len(self._works):
            try:
                self._done.set_result(await self._commit(works))
            except Exception as error:
                self.leave(error)
                raise
        return (await asyncio.shield(self._done))[number]

    async def _commit(self, works: Sequence[Work]) -> list[Json]:
        return await commit(
            self._database,
            works[0].author,
            [ref for work in works for ref in work.refs],
            _in_turn(works),
            windows_of=[holder for work in works for holder in work.windows_of],
        )


@dataclass(frozen=True)
class Part:
    """One step in a `Together`."""

    together: Together
    number: int

    async def join(self, work: Work) -> Json:
        """Comes: see `Together.join`."""
        return await self.together.join(self.number, work)


# The part of the step that the running task carries out.
PART: ContextVar[Part | None] = ContextVar("part", default=None)


def _in_turn(works: Sequence[Work]) -> Decide[list[Json]]:
    def decide(loaded: Loaded) -> Decision[list[Json]]:
        results: list[Json] = []
        events: list[tuple[str, Event]] = []
        authors: list[Author] = []
        limits: dict[SpendWindow, SpendLimit] = {}
        for work in works:
            decision = work.decide(loaded)
            loaded = loaded.after(decision.events)
            results.append(decision.result)
            events += decision.events
            authors += [work.author] * len(decision.events)
            _tighten(limits, decision.limits)
        return Decision(results, events, limits, authors)

    return decide


def _tighten(limits: dict[SpendWindow, SpendLimit], more: Mapping[SpendWindow, SpendLimit]) -> None:
    for window, limit in more.items():
        limits[window] = limit.tightened(limits.get(window, limit))
