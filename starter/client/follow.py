"""Follows a saga: reports its progress each time that changes."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from starter.client.errors import NotBegun, NotKnown, NoWorker, Paused
from starter.client.patience import require_worker, unheard
from starter.client.standing import Standing
from workflows.contract.progress import Progress

_FIRST_LOOK_S, _LONGEST_PAUSE_S = 0.1, 1.0


class Follow(Standing):
    """Reports the progress of a saga until it ends or waits for a person."""

    async def follow(
        self, saga_id: str, *, to_the_end: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """Yield the progress of the saga, each time that changes, until it ends or waits for a
        person.

        `to_the_end` goes on while it waits. Raises NotKnown, NoWorker, the failure of the run, and
        Paused for one that is paused.
        """
        end = asyncio.ensure_future(self._ended(saga_id))
        last: Progress | None = None
        pause_s = _FIRST_LOOK_S
        try:
            while not end.done():
                progress = await self._look_unless(end, saga_id)
                if progress is not None and progress != last and progress.result is None:
                    yield progress
                    last, pause_s = progress, _FIRST_LOOK_S
                    if progress.needs_person and not to_the_end:
                        return
                await asyncio.wait({end}, timeout=pause_s)
                pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
            yield await self._end(end, saga_id, to_the_end)
        finally:
            end.cancel()
            unheard(end)

    async def _end(self, end: asyncio.Future[Progress], saga_id: str, to_the_end: bool) -> Progress:
        """The last progress: of a paused run, what it waits for."""
        try:
            return end.result()
        except Paused:
            if to_the_end:
                raise
            return await self.progress(saga_id)

    async def _look_unless(self, end: asyncio.Future[Progress], saga_id: str) -> Progress | None:
        # A query that the end of the saga overtakes is left without an answer.
        look = asyncio.ensure_future(self._look(saga_id))
        both: tuple[asyncio.Future[Any], ...] = (end, look)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return look.result() if look.done() else None
        finally:
            look.cancel()

    async def _look(self, saga_id: str) -> Progress | None:
        """The progress, or None while no worker answers. Raises NoWorker when none will."""
        try:
            return await self._query(saga_id)
        except (NotKnown, NotBegun):
            return None
        except Paused:
            return await self.progress(saga_id)
        except NoWorker:
            # It may be busy, or about to be started again.
            await require_worker(self.client, saga_id, self._queue_of(saga_id))
            return None
