"""The client SDK: submit sagas, follow them, decide what waits for a person."""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime

from ledger.store.signed_form import SUBMIT
from starter.client.connection import connect
from starter.client.decisions import Decisions
from starter.client.environment import settings
from starter.client.errors import InvalidInput, WrongSetting
from starter.client.failures import SagaEnded, translated
from starter.client.follow import Follow
from starter.client.kinds import Request, Result, kind_of
from starter.client.patience import taken, unheard
from starter.client.validation import checked
from starter.client.wording import summary
from workflows.contract.kinds import SWEEPS, repeat_id
from workflows.contract.progress import Progress

if TYPE_CHECKING:
    from ledger.read.queries import Listed, PaymentQuery
    from starter.client.schedules import Schedules
    from workflows.contract.sweep import Swept

_LINGER_S = 0.2


class Amends(Follow, Decisions):
    """A client of Amends: `async with Amends.connect() as amends:` or `await Amends.connect()`.

    A saga is named by its workflow id (`payment/expenses-2026-11`). Every method raises
    Unreachable when a server can't be reached; see `starter.client.errors` for the rest.
    """

    @cached_property
    def schedules(self) -> "Schedules":
        """The schedules of sagas."""
        from starter.client.schedules import Schedules

        return Schedules(self.client, self._queue, self._ledger)

    @classmethod
    def connect(
        cls, environment: Mapping[str, str] | None = None, *, runtime: Runtime | None = None
    ) -> "Connecting":
        """Connect as `environment` says: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, ..., and
        AMENDS_AUDIT_URL for sagas that Temporal has forgotten. Without one it is the process's
        own, or where that names no server, the `amends up` that runs in this folder."""

        async def connected() -> Amends:
            named = settings() if environment is None else environment
            return cls(await connect(named, runtime), named)

        return Connecting(connected())

    async def submit(
        self, request: Request, *, written: Mapping[str, Any] | None = None
    ) -> Progress:
        """Submit a request; returns once its decision is known or the saga has properly started.

        Repeat it under the same operation id until it is answered: there is one effect, and each
        repeat gets the first answer. `written` is the JSON that the request was read from, to be
        sent as it is. Raises InvalidInput, OperationIdReused, OperationInProgress,
        NoWorker, SagaFailed.
        """
        saga_id = _named(request)
        given = self._signed(saga_id, SUBMIT, _given(request, written))

        def send(workflow_id: str) -> Awaitable[Progress]:
            return taken(lambda: self._submitted(request, given, saga_id, workflow_id))

        try:
            return await send(saga_id)
        except WorkflowAlreadyStartedError:
            # It has ended well. A run of its own answers from the record, so that whatever the
            # answer is, the newest run of the saga's own id is the one that carried it out.
            return await send(repeat_id(saga_id, uuid4().hex))

    async def start(self, request: Request, *, written: Mapping[str, Any] | None = None) -> str:
        """Start the saga of a request; returns its id once Temporal has it, before any decision.

        The shortest way in for a program that runs the worker too and shares its client with it:
        the first task of the saga comes with the answer of the server (eager start). A request that
        was started before is submitted again. `result` waits for the end. Raises as `submit`.
        """
        saga_id, kind = _named(request), kind_of(request)
        try:
            async with translated(saga_id, self.client):
                await self.client.start_workflow(
                    kind.workflow,
                    self._signed(saga_id, SUBMIT, _given(request, written)),
                    id=saga_id,
                    task_queue=self._queue(kind.queue),
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                    static_summary=summary(request),
                    request_eager_start=True,
                )
        except WorkflowAlreadyStartedError:
            # Whether it is the same request, only the saga can say.
            await self.submit(request, written=written)
        return saga_id

    async def _submitted(
        self, request: Request, given: dict[str, Any], saga_id: str, workflow_id: str
    ) -> Progress:
        kind = kind_of(request)
        start: WithStartWorkflowOperation[Any, Result] = WithStartWorkflowOperation(
            kind.workflow,
            given,
            id=workflow_id,
            task_queue=self._queue(kind.queue),
            result_type=kind.result,
            # A repeat meets the run that is open; one that was lost is started again.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            static_summary=summary(request),
        )
        update = self.client.execute_update_with_start_workflow(
            "submit",
            given,
            start_workflow_operation=start,
            result_type=Progress,
        )
        # The start fails with the update, which is the one that is awaited.
        unheard(start.workflow_handle())
        try:
            async with translated(saga_id, self.client):
                progress: Progress = await self._answered(saga_id, update)
                return progress
        except SagaEnded:
            return await self._ended(saga_id)

    async def payments(
        self, query: "PaymentQuery | None" = None, *, limit: int = 1_000, after: str | None = None
    ) -> "Listed":
        """List payments from the ledger, the newest first: one page, and whether there are more.

        The next page comes `after` the `authorization_id` of the last row; new payments shift none.
        Of an account number, the rows have the last four characters. Raises NotKnown for `after`,
        WrongSetting without AMENDS_AUDIT_URL.
        """
        from ledger.read.queries import PaymentQuery, payments
        from starter.client.reading import reading

        if (ledger := self._ledger()) is None:
            raise WrongSetting("payments are read from the ledger: set AMENDS_AUDIT_URL")
        async with reading(ledger) as database:
            return await payments(database, query or PaymentQuery(), limit=limit, after=after)

    async def sweep(
        self,
        *,
        actor: str,
        reason: str | None = None,
        all: bool = False,
        gone: Sequence[str] = (),
    ) -> "Swept":
        """Sweep now: look for orphaned sagas, and have them compensated or completed.

        `all` although many look orphaned at once; `gone` are ids of namespaces that will never come
        back. Raises InvalidInput (these two need a reason), NotAllowed, NoWorker.
        """
        from starter.client.sweeps import sweep
        from workflows.contract.sweep import SweepRequest

        given = {"actor": actor, "reason": reason, "all": all, "gone": list(gone)}
        return await sweep(self.client, self._queue(SWEEPS), checked(SweepRequest, given))


def _named(request: Request) -> str:
    if request.operation_id is None:
        raise InvalidInput("operation_id", "is needed")
    return kind_of(request).saga_id(request.operation_id)


def _given(request: Request, written: Mapping[str, Any] | None) -> dict[str, Any]:
    # What it leaves out stays open: the saga fills in its defaults, once.
    return request.as_given() if written is None else dict(written)


class Connecting:
    """A connection that is being made: awaitable, and a context manager."""

    def __init__(self, connected: Coroutine[Any, Any, Amends]) -> None:
        self._connected = connected

    def __await__(self) -> Generator[Any, Any, Amends]:
        return self._connected.__await__()

    async def __aenter__(self) -> Amends:
        return await self._connected

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A thread of the SDK's core that has just handed over an answer still waits for the
        # interpreter; if that went down now, the process would abort (status 134).
        await asyncio.sleep(_LINGER_S)
