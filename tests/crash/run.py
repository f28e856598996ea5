"""One saga and the workers that carry it, with what befalls them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError

from tests.crash.ground import Ground
from tests.crash.laws import Case, Ended, broken
from tests.crash.orders import (
    ANSWER_LOST,
    FROZEN,
    LOST,
    NOT_SENT,
    OUTAGES,
    TWICE,
    Blow,
    Notes,
    Orders,
)
from tests.crash.play import Play
from tests.crash.processes import Process
from tests.crash.scenario import Scenario

# Only what is broken takes so long.
DEADLINE_S = 60.0


@dataclass
class Run:
    """One saga of a scenario. Each of the `blows` befalls the worker that the last one left."""

    ground: Ground
    scenario: Scenario
    blows: Sequence[Blow] = ()
    mutation: str | None = None
    deadline_s: float = DEADLINE_S
    prefix: str = ""
    ended: Ended | None = None
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prefix = f"c{next(self.ground.numbers)}-"
        self.saga_id = self.scenario.saga_id(self.prefix)
        self.notes = Notes(self.ground.folder / f"{self.prefix}notes")
        self.play = Play(self.ground, self.prefix, f"crash-{self.prefix}", self.saga_id)
        if self.scenario.lost_at is not None:
            self.blows = [Blow(self.scenario.lost_at, LOST), *self.blows]

    async def whole(self) -> list[str]:
        """Let the saga run to its end, and what befalls its workers befall them."""
        found: list[str] = []
        try:
            async with asyncio.timeout(self.deadline_s):
                await self._to_the_end()
        except TimeoutError:
            found = [f"it did not end within {self.deadline_s:.0f} s"]
        except (RPCError, WorkflowFailureError, WorkflowUpdateFailedError) as error:
            found = [f"its client failed: {type(error).__name__}"]
        finally:
            for process in self.processes:
                process.kill()
        if self.ended is not None:
            faults = frozenset(blow.fault for blow in self.blows)
            found += await broken(Case(self.ground, self.scenario, self.prefix, faults, self.ended))
        return [*self._missed(), *found]

    async def _to_the_end(self) -> None:
        first = await self._start(self.blows)
        playing = asyncio.create_task(self._played())
        befalling = asyncio.create_task(self._befall(first, playing))
        try:
            self.ended = await playing
            await befalling
        finally:
            playing.cancel()
            befalling.cancel()
            await asyncio.gather(playing, befalling, return_exceptions=True)

    async def _played(self) -> Ended:
        await self.scenario.script(self.play)
        return await Ended.of(self.ground.client.get_workflow_handle(self.saga_id))

    async def _befall(self, process: Process, playing: asyncio.Task[Ended]) -> None:
        for number, blow in enumerate(self.blows, 1):
            if blow.fault in (NOT_SENT, ANSWER_LOST):
                await self._until_noted("struck", number, playing)
                self.play.struck.set()
                continue
            if not await _either(process.down.wait(), playing):
                return
            if blow.fault == LOST:
                await self.play.lose()
            self.play.struck.set()
            if blow.fault in OUTAGES:
                await self.ground.outage(blow.fault, process.wake)
                continue
            left = self.blows[number:]
            successor = await self._start([blow, *left] if blow.fault == TWICE else left)
            if blow.fault in (FROZEN, TWICE):
                await self._wake(process, successor, blow, playing)
            process = successor

    async def _wake(
        self, first: Process, second: Process, blow: Blow, playing: asyncio.Task[Ended]
    ) -> None:
        if blow.fault == TWICE:
            await _either(second.down.wait(), playing)
            second.wake()
        else:
            await asyncio.wait([playing])
        first.wake()
        # Whoever stood there has to have done what he was about to do.
        await self._until_noted("woke", self.notes.lines("struck").count(blow.place))

    async def _until_noted(
        self, word: str, times: int, playing: asyncio.Task[Ended] | None = None
    ) -> None:
        while len(self.notes.lines(word)) < times and not (playing and playing.done()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def _start(self, blows: Sequence[Blow]) -> Process:
        process = await self.ground.processes.start(
            Orders(
                settings=self.ground.worker_settings(self.play.queue),
                temporal=self.ground.servers.temporal.address,
                room=self.scenario.room,
                saga_id=self.saga_id,
                prefix=self.prefix,
                notes=str(self.notes.path),
                heartbeat_s=self.scenario.heartbeat_s,
                is_soon_asked=self.scenario.is_soon_asked,
                blows=blows,
                mutation=self.mutation,
            )
        )
        self.processes.append(process)
        return process

    def _missed(self) -> list[str]:
        wanted = [blow.place for blow in self.blows for _ in range(1 + (blow.fault == TWICE))]
        struck = self.notes.lines("struck")
        return [] if struck == wanted else [f"not hit: {struck}"]


async def _either(event: object, playing: asyncio.Task[Ended]) -> bool:
    """Wait for the event; False when the saga was quicker."""
    waiting = asyncio.ensure_future(event)  # type: ignore[call-overload]
    await asyncio.wait([waiting, playing], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        return True
    waiting.cancel()
    return False
