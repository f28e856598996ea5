"""`python -m tests.crash.worker`: forks worker processes on demand.

A worker takes a second of processor time to import. So one process imports everything and forks
whenever it is told to: one line of orders on its standard input is one worker process. It says on
its standard output which process that is, and what becomes of its processes:

    {"born": 4711}    {"stopped": 4711}    {"ended": 4711}

When its standard input ends, so do it and all its processes.
"""

import asyncio
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

from temporalio.client import Client
from temporalio.worker import Worker

from activities import errors, step, transfers
from activities import orphans as lost_sagas
from activities.providers.postgres import server
from activities.resources import ResourceActivities
from activities.step_records import StepRecords
from activities.together import TogetherActivities
from ledger.database import Database
from ledger.sagas.open_sagas import OpenSaga, open_sagas
from tests.crash.adjacent_saga import AdjacentSaga
from tests.crash.mutations import MUTATIONS
from tests.crash.orders import Orders
from tests.crash.patching import put
from tests.crash.places import Places, watch
from tests.crash.registrations import Registrations
from worker import wiring
from worker.process import work
from worker.settings import Settings
from workflows.contract.admission import DATA_CONVERTER

# As short as two busy processors allow: most faults wait for it to pass.
STICKY = timedelta(seconds=1)


def hurry(heartbeat: timedelta) -> None:
    """Times that a test can wait for, in place of those of production, in their proportions."""
    for room in (errors, step):
        put(room, "HEARTBEAT", heartbeat)
    attempt = heartbeat + timedelta(seconds=2)
    put(errors, "OUTSIDE_TRY", attempt + timedelta(seconds=2))
    put(ResourceActivities.__init__, "__defaults__", (attempt,))
    put(wiring, "STICKY", STICKY)
    # A frozen worker still takes a task for each of its polls, and keeps it until its time is up.
    put(wiring, "Worker", partial(Worker, max_concurrent_activity_task_polls=1))
    # So long a frozen worker keeps others from a thing of the target.
    server.SETTINGS["idle_session_timeout"] = "3s"


def ask_soon() -> None:
    """A person is asked in a blink where nobody can tell, or after two tries of an undo."""
    put(transfers, "TELL_WITHIN", timedelta(seconds=0.2))
    put(transfers, "UNDO_TRIES", 2)


def carry_adjacent_steps() -> None:
    """The worker of payments also knows the saga of adjacent steps."""
    make = wiring.worker

    def wider(
        client: Client, queue: str, workflows: Any, rooms: list[Any], *more: Any, **named: Any
    ) -> Worker:
        for records in [room for room in rooms if isinstance(room, StepRecords)]:
            registrations = Registrations(records._database)
            together = TogetherActivities(records._database, [registrations])
            workflows, rooms = [*workflows, AdjacentSaga], [*rooms, registrations, together]
        return make(client, queue, workflows, rooms, *more, **named)

    put(wiring, "worker", wider)


def sweep_for(saga_id: str) -> None:
    """The sweep of this worker sees one saga: those of other points have sweeps of their own."""

    async def only_ours(database: Database, **how: Any) -> AsyncIterator[list[OpenSaga]]:
        async for page in open_sagas(database, **how):
            yield [saga for saga in page if saga.workflow_id == saga_id]

    put(lost_sagas, "open_sagas", only_ours)


def carry_out(orders: Orders) -> NoReturn:
    """Be the worker, until somebody ends the process."""
    hurry(timedelta(seconds=orders.heartbeat_s))
    if orders.is_soon_asked:
        ask_soon()
    sweep_for(orders.saga_id)
    carry_adjacent_steps()
    if orders.mutation:
        MUTATIONS[orders.mutation].apply()
    watch(Places(orders))
    asyncio.run(_work(orders))
    os._exit(1)


async def _work(orders: Orders) -> None:
    client = await Client.connect(orders.temporal, data_converter=DATA_CONVERTER)
    async with wiring.wire(Settings(**orders.settings), client, [orders.room]) as running:
        await work(running.workers, asyncio.Event())


class WorkerProcesses:
    """The process that forks. It has one thread, and never starts a loop."""

    def __init__(self) -> None:
        self._alive: set[int] = set()
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Until the standard input ends."""
        events = selectors.DefaultSelector()
        events.register(0, selectors.EVENT_READ)
        events.register(self._wake, selectors.EVENT_READ)
        waiting = b""
        while True:
            for key, _ in events.select():
                if key.fd != 0:
                    self._wake.recv(4096)
                    continue
                read = os.read(0, 1 << 20)
                if not read:
                    self._end()
                    return
                *lines, waiting = (waiting + read).split(b"\n")
                for line in lines:
                    self._fork(line)
            self._report()

    def _fork(self, line: bytes) -> None:
        orders = Orders.of_line(line)
        child = os.fork()
        if child == 0:
            _be_born()
            carry_out(orders)
        self._alive.add(child)
        _say(born=child)

    def _report(self) -> None:
        while self._alive:
            child, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            if child == 0:
                return
            if os.WIFSTOPPED(status):
                _say(stopped=child)
            else:
                self._alive.discard(child)
                _say(ended=child)

    def _end(self) -> None:
        for child in self._alive:
            os.kill(child, signal.SIGKILL)


def _be_born() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # What the parent writes is not for the children to write.
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)


def _say(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    WorkerProcesses().run()
    sys.exit(0)
