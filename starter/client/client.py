"""The client SDK: submit sagas, follow them, decide what waits for a person."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.runtime import Runtime

from starter.client.connection import connect
from starter.client.errors import InvalidInput, NotAllowed, NotKnown, NoWorker, Unreachable
from starter.client.failures import NOT_KNOWN, SagaEnded, too_late, translated
from starter.client.kinds import (
    GOOD_ENDS,
    KINDS,
    SWEEPS,
    Kind,
    Queue,
    Request,
    Result,
    kind_of,
    kind_of_saga,
)
from starter.client.patience import answered, require_worker, unheard
from starter.client.recorded import decided_by, recorded_progress, recorded_result
from starter.client.schedules import Schedules
from starter.client.sweeps import sweep
from starter.client.wording import details, summary
from starter.client.wrong_fields import checked
from starter.environment import setting, settings
from workflows.contract.progress import Progress
from workflows.contract.sweep import SweepRequest, Swept
from workflows.contract.updates import By, Mend, Resolve, Skip
from workflows.engine.workflow import SUBMITTED_BY

T = TypeVar("T")

# A query takes milliseconds; one that takes this long finds no worker, or a very busy one.
_FIRST_QUERY, _LAST_QUERY = timedelta(seconds=0.5), timedelta(seconds=3)
_LINGER_S = 0.2
_FIRST_LOOK_S, _LONGEST_PAUSE_S = 0.1, 1.0


class Amends:
    """A client of Amends. `async with Amends.connect() as amends:` or `await Amends.connect()`.

    A saga is named by its workflow id (`payment/expenses-2026-11`). Every method raises
    Unreachable when a server can't be reached; see `starter.client.errors` for the rest.
    """

    def __init__(self, client: Client, environment: Mapping[str, str] = os.environ) -> None:
        self.client = client
        self.schedules = Schedules(client, self._queue)
        self._environment = environment

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

    async def submit(self, request: Request) -> Progress:
        """Ask for a saga; returns once its decision is known or it has properly started.

        Repeat it under the same operation id until it is answered: there is one effect, and each
        repeat gets the first answer. Raises InvalidInput, OperationIdReused, OperationInProgress,
        NoWorker, SagaFailed.
        """
        kind = kind_of(request)
        if request.operation_id is None:
            raise InvalidInput("operation_id", "is needed")
        saga_id = kind.saga_id(request.operation_id)
        # A new update each time: an attempt under an old id would not be recorded as a repeat.
        attempt = uuid4().hex
        start: WithStartWorkflowOperation[Any, Result] = WithStartWorkflowOperation(
            kind.workflow,
            request,
            id=saga_id,
            task_queue=self._queue(kind.queue),
            result_type=kind.result,
            # A repeat meets the run that is open, or starts a short one that records it.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            memo={SUBMITTED_BY: attempt},
            static_summary=summary(request),
            static_details=details(request),
        )
        update = self.client.execute_update_with_start_workflow(
            "submit",
            request,
            start_workflow_operation=start,
            id=attempt,
            result_type=Progress,
        )
        # The start fails with the update, which is the one that is awaited.
        unheard(start.workflow_handle())
        try:
            async with translated(saga_id):
                progress: Progress = await self._answered(saga_id, update)
                return progress
        except SagaEnded:
            return await self._ended(saga_id)

    async def follow(
        self, saga_id: str, *, to_the_end: bool = False
    ) -> AsyncGenerator[Progress, None]:
        """How the saga stands, each time that changes, until it ends or waits for a person.

        `to_the_end` goes on while it waits. Raises NotKnown, NoWorker, and the failure of the run.
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
            yield end.result()
        finally:
            end.cancel()

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
        """The progress, or None while it can't be told. Raises NoWorker when nobody will."""
        try:
            return await self._query(saga_id)
        except NotKnown:
            return None
        except NoWorker:
            # It may be busy, or about to be started again.
            await require_worker(self.client, saga_id, self._queue_of(saga_id))
            return None

    async def approve(self, saga_id: str, *, actor: str, reason: str | None = None) -> Progress:
        """A person allows the payment. A repeat by the same person gets how it stands.

        Raises NotAllowed unless it waits for approval.
        """
        return await self._once("approve", saga_id, actor, reason)

    async def reject(self, saga_id: str, *, actor: str, reason: str | None = None) -> Progress:
        """A person refuses the payment. A repeat by the same person gets how it stands.

        Raises NotAllowed unless it waits for approval.
        """
        return await self._once("reject", saga_id, actor, reason)

    async def _once(self, verb: str, saga_id: str, actor: str, reason: str | None) -> Progress:
        try:
            return await self._update(verb, saga_id, _by(actor, reason))
        except NotAllowed:
            # The answer to the first may have been lost; the ledger knows whose decision stands.
            # An agent that approves is refused, also where its own limits approved.
            if (url := self._audit_url()) is None or not actor.startswith("user:"):
                raise
            with suppress(NotKnown, Unreachable):
                progress = await self.progress(saga_id)
                end = (progress.result or {}).get("state")
                stands = end == "rejected" if verb == "reject" else end in (None, "captured")
                if stands and await decided_by(url, saga_id, verb) == actor:
                    return progress
            raise

    async def capture(self, saga_id: str, *, actor: str, reason: str | None = None) -> Progress:
        """Take the money that was approved. A repeat gets the first answer, never a second payment.

        Answers with the outcome, or with `needs_attention` where a person has to look first.
        Raises NotAllowed unless it is approved.
        """
        try:
            return await self._update("capture", saga_id, _by(actor, reason))
        except NotAllowed:
            progress = await self.progress(saga_id)
            if progress.result and progress.result.get("state") == "captured":
                return progress
            raise

    async def cancel(self, saga_id: str, *, actor: str, reason: str | None = None) -> Progress:
        """Stop a saga of any kind and undo what it did. Raises NotAllowed when it is too late."""
        return await self._update("cancel", saga_id, _by(actor, reason))

    async def retry(
        self, saga_id: str, step: str, *, actor: str, reason: str | None = None
    ) -> Progress:
        """A person says: try the step again that waits for one, or its undo. Raises NotAllowed."""
        by = checked(Mend, {"step": step, "actor": actor, "reason": reason})
        return await self._update("retry", saga_id, by)

    async def skip(self, saga_id: str, step: str, *, actor: str, reason: str) -> Progress:
        """A person gives up the undo of the step: what is left is a residual of the result.

        Raises NotAllowed unless it is being undone, with no success so far.
        """
        by = checked(Skip, {"step": step, "actor": actor, "reason": reason})
        return await self._update("skip", saga_id, by)

    async def resolve(
        self,
        saga_id: str,
        step: str,
        *,
        actor: str,
        evidence: str,
        outcome: str | None = None,
        reason: str | None = None,
    ) -> Progress:
        """A person says how the step stands: `done` or `failed` where nobody can tell its outcome,
        `undone` (or None) where its undo has no success.

        `evidence` is by what one can tell: a reference of the provider, a ticket. Of a transfer
        that is done it becomes the provider's reference. Raises NotAllowed.
        """
        told = {"step": step, "actor": actor, "reason": reason}
        by = checked(Resolve, {**told, "evidence": evidence, "outcome": outcome})
        return await self._update("resolve", saga_id, by)

    async def sweep(
        self,
        *,
        actor: str,
        reason: str | None = None,
        all: bool = False,
        gone: Sequence[str] = (),
    ) -> Swept:
        """Look now for sagas that Temporal lost, and have them undone or completed.

        `all` although many look lost at once; `gone` are ids of namespaces that will never come
        back. Raises InvalidInput (these two need a reason), NotAllowed, NoWorker.
        """
        given = {"actor": actor, "reason": reason, "all": all, "gone": list(gone)}
        return await sweep(self.client, self._queue(SWEEPS), checked(SweepRequest, given))

    async def result(self, saga_id: str) -> Result:
        """Wait for the end of the saga; its result. Raises SagaFailed when the run failed.

        What Temporal has forgotten comes from the ledger.
        """
        kind = kind_of_saga(saga_id)
        try:
            async with translated(saga_id):
                outcome: Result = await self._handle(saga_id, kind).result()
                return outcome
        except NotKnown:
            if (url := self._audit_url()) is None:
                raise
            return checked(kind.result, await recorded_result(url, saga_id))

    async def progress(self, saga_id: str) -> Progress:
        """How the saga stands now; from the ledger if Temporal has forgotten it or nobody works.

        Raises NotKnown, NoWorker.
        """
        try:
            return await self._query(saga_id)
        except (NotKnown, NoWorker):
            if (url := self._audit_url()) is None:
                raise
            return await recorded_progress(url, saga_id)

    async def find(self, text: str) -> str:
        """The saga that a person means: its workflow id, or a bare operation id.

        Raises NotKnown, and NotAllowed with the candidates of an ambiguous one.
        """
        if "/" in text:
            kind_of_saga(text)
            return text
        candidates = [kind.saga_id(text) for kind in KINDS]
        known = await asyncio.gather(*(self._exists(saga_id) for saga_id in candidates))
        found = [saga_id for saga_id, exists in zip(candidates, known, strict=True) if exists]
        if not found:
            raise NotKnown(NOT_KNOWN.format(text))
        if len(found) > 1:
            raise NotAllowed(f"{text} may mean {' or '.join(found)}: give the full name")
        return found[0]

    async def _exists(self, saga_id: str) -> bool:
        try:
            async with translated(saga_id):
                await self.client.get_workflow_handle(saga_id).describe()
                return True
        except NotKnown:
            return False

    async def _update(self, name: str, saga_id: str, by: By) -> Progress:
        handle = self._handle(saga_id, kind_of_saga(saga_id))
        try:
            async with translated(saga_id):
                update = handle.execute_update(name, by, result_type=Progress)
                progress: Progress = await self._answered(saga_id, update)
                return progress
        except SagaEnded:
            raise await too_late(self.client, saga_id, name) from None

    async def _query(self, saga_id: str) -> Progress:
        # A worker that has just finished a run may lose a query of it: ask once more.
        with suppress(NoWorker):
            return await self._query_within(saga_id, _FIRST_QUERY)
        return await self._query_within(saga_id, _LAST_QUERY)

    async def _query_within(self, saga_id: str, patience: timedelta) -> Progress:
        handle = self._handle(saga_id, kind_of_saga(saga_id))
        async with translated(saga_id):
            progress: Progress = await handle.query(
                "progress", result_type=Progress, rpc_timeout=patience
            )
            return progress

    async def _ended(self, saga_id: str) -> Progress:
        """The progress of a saga at its end, which this awaits."""
        result = (await self.result(saga_id)).model_dump(mode="json")
        with suppress(NotKnown, NoWorker):
            progress = await self._query(saga_id)
            if progress.result is not None:
                return progress
        good = result["state"] in GOOD_ENDS or result["state"] == "denied"
        return Progress(
            saga_id=saga_id,
            kind=kind_of_saga(saga_id).name,
            state="completed" if good else "compensated",
            reason=result.get("reason"),
            result=result,
        )

    async def _answered(self, saga_id: str, work: Awaitable[T]) -> T:
        return await answered(work, self.client, saga_id, self._queue_of(saga_id))

    def _handle(self, saga_id: str, kind: Kind) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(saga_id, result_type=kind.result)

    def _queue(self, queue: Queue) -> str:
        return setting(queue.setting, self._environment) or queue.default

    def _queue_of(self, saga_id: str) -> str:
        return self._queue(kind_of_saga(saga_id).queue)

    def _audit_url(self) -> str | None:
        return setting("AMENDS_AUDIT_URL", self._environment)


def _by(actor: str, reason: str | None) -> By:
    return checked(By, {"actor": actor, "reason": reason})


class Connecting:
    """A client on its way: awaitable, and a context."""

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
