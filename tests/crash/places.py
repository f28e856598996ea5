"""The places that a saga passes in a worker, and what befalls the worker at one of them.

A place is named by what happens there, and by its turn where that happens more than once:
`before commit authorize: StepCommitted`, `after bank transfer`, `after activity settle #2`. The
commits, the calls of the bank and of the target server, and the activities themselves are wrapped;
nothing of the product knows of it.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import psycopg
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ChildWorkflowHandle

from activities import classification, errors
from activities.adapters.mock import MockBank
from activities.adapters.payment import NothingSent, OutcomeUnknown
from activities.providers.postgres.provider import PostgresProvider
from activities.providers.provider import ProviderUnavailable
from ledger.store import commit
from tests.crash.orders import (
    ANSWER_LOST,
    FROZEN,
    KILL,
    LOST,
    NOT_SENT,
    TASK_TIMEOUT,
    TWICE,
    Orders,
)
from tests.crash.patching import put
from worker import wiring

_written: ContextVar[str | None] = ContextVar("written", default=None)


class Places:
    """Notes every place of one saga, its sweep and its recovery; strikes where it was ordered."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._turns: Counter[str] = Counter()
        # It outlives this process, whatever befalls it: written without a buffer.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._notes = os.open(orders.notes, flags, 0o600)
        self._struck_in: tuple[str | None, str, int] | None = None
        self._blows = list(orders.blows)

    def reached(self, when: str, what: str) -> bool:
        """Note the place. True where the caller has to lose its call, or its answer."""
        # What is done for a saga is done under its id, or under one that has it in it.
        if not activity.in_activity() or self._orders.saga_id not in _workflow_id():
            return False
        place = f"{when} {what}".replace(self._orders.prefix, "")
        self._turns[place] += 1
        turn = self._turns[place]
        name = place if turn == 1 else f"{place} #{turn}"
        self._note("passed", name)
        return bool(self._blows) and name == self._blows[0].place and self._strike()

    def _strike(self) -> bool:
        blow = self._blows.pop(0)
        self._note("struck", blow.place)
        self._struck_in = _attempt()
        if blow.fault in (NOT_SENT, ANSWER_LOST):
            return True
        died = blow.fault in (KILL, LOST)
        os.kill(os.getpid(), signal.SIGKILL if died else signal.SIGSTOP)
        return False

    def left(self) -> None:
        """An activity has ended: of the one that was frozen, that is noted."""
        if self.struck_here():
            self._note("woke", "")

    def struck_here(self) -> bool:
        """Whether it was in this attempt of an activity that something befell its worker."""
        return self._struck_in == _attempt()

    def _note(self, word: str, place: str) -> None:
        os.write(self._notes, f"{word} {place}\n".encode())


def _workflow_id() -> str:
    return activity.info().workflow_id or ""


def _attempt() -> tuple[str | None, str, int]:
    info = activity.info()
    return info.workflow_run_id, info.activity_id, info.attempt


def faults_at(place: str) -> tuple[str, ...]:
    """What may befall a worker at a place."""
    when, _, what = place.partition(" ")
    own = what.startswith("activity")
    if when == "before":
        return (KILL, FROZEN) if own else (KILL, FROZEN, TWICE, NOT_SENT)
    return (KILL, FROZEN, ANSWER_LOST)


def watch(places: Places) -> None:
    """Wrap everything in this process that has a place."""
    _watch_commits(places)
    for verb in ("transfer", "find", "cancel", "reverse", "refund"):
        _watch_bank(places, verb)
    for verb in ("read", "apply", "delete"):
        _watch_provider(places, verb)
    put(wiring, "ClassifyErrors", _watching_activities(places))


def _watch_commits(places: Places) -> None:
    write, unlocked, locked = commit._write, commit._unlocked, commit._locked

    async def watched_write(connection: Any, made: Any) -> None:
        values = made.values
        place, author = made.events[-1]
        what = f"commit {values[f'a{author}_step'] or 'saga'}: {values[f'{place}_event_type']}"
        if places.reached("before", what):
            await _cut(connection)
        await write(connection, made)
        _written.set(what)

    def watching(attempt: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(connection: Any, *rest: Any) -> Any:
            _written.set(None)
            result = await attempt(connection, *rest)
            what = _written.get()
            if what is not None and places.reached("after", what):
                await _cut(connection)
            return result

        return watched

    put(commit, "_write", watched_write)
    put(commit, "_unlocked", watching(unlocked))
    put(commit, "_locked", watching(locked))


async def _cut(connection: Any) -> None:
    await connection.close()
    raise psycopg.OperationalError("the explorer has cut the connection")


def _watch_bank(places: Places, verb: str) -> None:
    call = getattr(MockBank, verb)
    # Of a question there is no such thing as "nothing was sent".
    not_sent = OutcomeUnknown if verb == "find" else NothingSent

    async def watched(bank: MockBank, order: Any) -> Any:
        if places.reached("before", f"bank {verb}"):
            raise not_sent("the explorer has cut the line to the bank")
        answer = await call(bank, order)
        if places.reached("after", f"bank {verb}"):
            raise OutcomeUnknown("the explorer has lost the answer of the bank")
        return answer

    put(MockBank, verb, watched)


def _watch_provider(places: Places, verb: str) -> None:
    call = getattr(PostgresProvider, verb)

    async def watched(
        provider: PostgresProvider, kind: str, name: str, *rest: Any, **more: Any
    ) -> Any:
        what = f"target {verb} {name}"
        if places.reached("before", what):
            raise ProviderUnavailable("the explorer has cut the line to the target")
        answer = await call(provider, kind, name, *rest, **more)
        if places.reached("after", what):
            raise ProviderUnavailable("the explorer has lost the answer of the target")
        return answer

    put(PostgresProvider, verb, watched)


def _watching_activities(places: Places) -> type[classification.ClassifyErrors]:
    class Watching(ActivityInboundInterceptor):
        async def execute_activity(self, input: ExecuteActivityInput) -> Any:
            working = asyncio.create_task(self._work(input))
            try:
                return await asyncio.shield(working)
            except asyncio.CancelledError:
                # Whether one that was frozen hears of it before he has done what he was about to
                # do is a matter of luck: here he never does.
                if not places.struck_here():
                    working.cancel()
                return await working
            finally:
                places.left()

        async def _work(self, input: ExecuteActivityInput) -> Any:
            what = f"activity {activity.info().activity_type}"
            places.reached("before", what)
            answer = await super().execute_activity(input)
            if places.reached("after", what):
                lost = "the explorer has lost the answer of the activity"
                raise ApplicationError(lost, type=errors.UNAVAILABLE_NOW)
            return answer

    class WatchedErrors(classification.ClassifyErrors):
        def intercept_activity(
            self, next: ActivityInboundInterceptor
        ) -> ActivityInboundInterceptor:
            return Watching(super().intercept_activity(next))

        def workflow_interceptor_class(
            self, input: WorkflowInterceptorClassInput
        ) -> type[WorkflowInboundInterceptor]:
            return HurriedChildren

    return WatchedErrors


class HurriedChildren(WorkflowInboundInterceptor):
    """What a sweep or a recovery starts is as quick as what a client of the explorer starts."""

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Hurried(outbound))


class _Hurried(WorkflowOutboundInterceptor):
    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> ChildWorkflowHandle[Any, Any]:
        return await super().start_child_workflow(replace(input, task_timeout=TASK_TIMEOUT))
