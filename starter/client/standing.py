"""Reads the progress and the result of a saga: from its run, or from the ledger."""

import asyncio
import os
import re
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle, WorkflowQueryRejectedError
from temporalio.common import QueryRejectCondition

from ledger.reading import read
from starter.client.environment import LedgerAddress, ledger_address, setting
from starter.client.errors import (
    InvalidInput,
    NotAllowed,
    NotBegun,
    NotKnown,
    NoWorker,
    OperationIdReused,
    Paused,
    SagaFailed,
    Unreachable,
)
from starter.client.failures import NOT_KNOWN, SagaEnded, too_late, translated
from starter.client.kinds import Result, kind_of_saga
from starter.client.patience import answered, taken
from starter.client.schedule_runs import recorded_sagas
from workflows.contract.kinds import KINDS, Queue, SagaKind
from workflows.contract.progress import Progress
from workflows.contract.runs import status_named, status_of
from workflows.contract.updates import By
from workflows.contract.waits import Wait, orphan_wait

if TYPE_CHECKING:
    from starter.client.keys import Key

T = TypeVar("T")

# The file with the private key of whoever asks.
KEY_FILE = "AMENDS_KEY_FILE"
# The name of the ledger that they ask, as its workers know it.
LEDGER_NAME = "AMENDS_LEDGER_NAME"

# A query takes milliseconds; one that takes this long finds no worker, or a very busy one.
_FIRST_QUERY, _LAST_QUERY = timedelta(seconds=0.5), timedelta(seconds=3)

# The operation id of a run of a schedule, whose workflow id has colons in place of the dots.
_SCHEDULED = re.compile(r"(.*-\d{4}-\d\d-\d\dT\d\d)\.(\d\d)\.(\d\dZ)")


def as_scheduled(operation_id: str) -> str:
    """The end of the workflow id of a run of a schedule; any other operation id as it is."""
    return _SCHEDULED.sub(r"\1:\2:\3", operation_id)


class Standing:
    """Queries and updates of a saga by its workflow id, and the queues that sagas go to."""

    def __init__(self, client: Client, environment: Mapping[str, str] = os.environ) -> None:
        self.client = client
        self._environment = environment

    @cached_property
    def _key(self) -> "Key | None":
        file = self._environment.get(KEY_FILE)
        if not file:
            return None
        # The library takes time to import.
        from starter.client.keys import read_key

        return read_key(Path(file))

    def _signed(self, saga_id: str, verb: str, document: dict[str, Any]) -> dict[str, Any]:
        """The document as it is sent: signed, where AMENDS_KEY_FILE names a key."""
        key, ledger = self._key, self._environment.get(LEDGER_NAME) or None
        return document if key is None else key.signed(saga_id, verb, document, ledger)

    async def progress(self, saga_id: str) -> Progress:
        """The progress of the saga now; from the ledger if Temporal has forgotten the saga, no
        worker listens, or the run is paused.

        Raises NotKnown, NotBegun, NoWorker, Paused.
        """
        try:
            return await self._query(saga_id)
        except (NotKnown, NoWorker):
            if (ledger := self._ledger()) is None:
                raise
            from starter.client.recorded import recorded_progress

            return await recorded_progress(ledger, saga_id)
        except Paused as paused:
            if (ledger := self._ledger()) is None:
                raise
            from starter.client.recorded import recorded_progress

            recorded = await recorded_progress(ledger, saga_id)
            known = recorded.waits[0] if recorded.waits else paused.wait
            since = known.since if recorded.state == "paused" else None
            wait = replace(paused.wait, since=since, until=known.until)
            return _waiting_for(recorded, wait)

    async def result(self, saga_id: str) -> Result:
        """Wait for the end of the saga; returns its result. Raises SagaFailed when the run failed,
        Paused while it is paused in Temporal.

        What Temporal has forgotten comes from the ledger.
        """
        kind = kind_of_saga(saga_id)
        try:
            async with translated(saga_id, self.client):
                outcome: Result = await self._handle(saga_id, kind).result()
                return outcome
        except NotKnown:
            if (ledger := self._ledger()) is None:
                raise
            from starter.client.recorded import recorded_result

            recorded: Result = read(kind.result, await recorded_result(ledger, saga_id))
            return recorded
        except (OperationIdReused, InvalidInput):
            # The newest run of this id is a start of another client that was refused.
            progress = await self._query(saga_id)
            if progress.state == "orphaned":
                why = progress.waits[0].why
                told = f"{saga_id} is orphaned ({why}): submit it again to carry it on"
                raise SagaFailed(told, "terminated") from None
            if progress.result is None:
                raise
            of_saga: Result = read(kind.result, progress.result)
            return of_saga

    async def find(self, text: str) -> str:
        """The saga that a name means: its workflow id, or a bare operation id.

        Raises NotKnown, and NotAllowed with the candidates of an ambiguous one.
        """
        if "/" in text:
            kind_of_saga(text)
            return text
        names = {text, as_scheduled(text)}
        candidates = [kind.saga_id(name) for kind in KINDS for name in sorted(names)]
        known = await asyncio.gather(*(self._exists(saga_id) for saga_id in candidates))
        found = [saga_id for saga_id, exists in zip(candidates, known, strict=True) if exists]
        if not found:
            raise NotKnown(NOT_KNOWN.format(text))
        if len(found) > 1:
            raise NotAllowed(f"{text} may mean {' or '.join(found)}: give the full name")
        return found[0]

    async def is_known(self, saga_id: str) -> bool:
        """Whether there is such a saga in Temporal, or in the ledger as far as that can be read."""
        if await self._exists(saga_id):
            return True
        return saga_id in (await recorded_sagas(self._ledger(), [saga_id]) or {})

    async def _exists(self, saga_id: str) -> bool:
        try:
            async with translated(saga_id, self.client):
                await status_of(self.client, saga_id)
                return True
        except NotKnown:
            return False

    async def _update(
        self, name: str, saga_id: str, by: By, update_id: str | None = None
    ) -> Progress:
        handle, update_id = self._handle(saga_id, kind_of_saga(saga_id)), update_id or uuid4().hex
        told = self._signed(saga_id, name, by.as_given())

        async def send() -> Progress:
            async with translated(saga_id, self.client):
                update = handle.execute_update(name, told, id=update_id, result_type=Progress)
                progress: Progress = await self._answered(saga_id, update)
                return progress

        try:
            return await taken(send)
        except SagaEnded:
            recorded = partial(self._recorded, saga_id)
            raise await too_late(self.client, saga_id, name, recorded) from None

    async def _recorded(self, saga_id: str) -> Progress | None:
        """The progress on record; None where there is none, or no ledger to be read."""
        if (ledger := self._ledger()) is None:
            return None
        from starter.client.recorded import recorded_progress

        try:
            return await recorded_progress(ledger, saga_id)
        except (NotKnown, Unreachable):
            return None

    async def _query(self, saga_id: str) -> Progress:
        # A worker that has just finished a run may lose a query of it: ask once more.
        with suppress(NoWorker):
            return await self._query_within(saga_id, _FIRST_QUERY)
        return await self._query_within(saga_id, _LAST_QUERY)

    async def _query_within(self, saga_id: str, patience: timedelta) -> Progress:
        handle = self._handle(saga_id, kind_of_saga(saga_id))
        async with translated(saga_id, self.client):
            try:
                progress: Progress = await handle.query(
                    "progress",
                    result_type=Progress,
                    rpc_timeout=patience,
                    reject_condition=QueryRejectCondition.NOT_COMPLETED_CLEANLY,
                )
            except WorkflowQueryRejectedError as rejected:
                progress = await handle.query(
                    "progress", result_type=Progress, rpc_timeout=patience
                )
                return await self._orphaned(progress, rejected)
            return progress

    async def _orphaned(self, progress: Progress, rejected: WorkflowQueryRejectedError) -> Progress:
        """The progress of a run that is closed: the saga of one that left it open is orphaned."""
        if progress.result is not None:
            return progress
        if progress.state == "pending":
            # A run that was refused never carried a saga: it may be that of an earlier one.
            recorded = await self._recorded(progress.saga_id)
            if recorded is None:
                return progress
            if recorded.result is not None or recorded.state == "orphaned":
                return recorded
            return _waiting_for(recorded, orphan_wait(None, "its run is closed in Temporal"))
        closed_at = (await status_of(self.client, progress.saga_id)).closed_at
        status = status_named(rejected.status.value).words if rejected.status else "closed"
        return _waiting_for(progress, orphan_wait(closed_at, f"its run is {status} in Temporal"))

    async def _ended(self, saga_id: str) -> Progress:
        """Wait for the end of the saga; returns its progress then."""
        result = (await self.result(saga_id)).model_dump(mode="json")
        with suppress(NotKnown, NoWorker, NotBegun, Paused):
            progress = await self._query(saga_id)
            if progress.result is not None:
                return progress
        kind = kind_of_saga(saga_id)
        good = result["state"] in kind.good_ends or result["state"] == "denied"
        return Progress(
            saga_id=saga_id,
            kind=kind.name,
            state="completed" if good else "compensated",
            reason=result.get("reason"),
            result=result,
        )

    async def _answered(self, saga_id: str, work: Awaitable[T]) -> T:
        return await answered(work, self.client, saga_id, self._queue_of(saga_id))

    def _handle(self, saga_id: str, kind: SagaKind) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(saga_id, result_type=kind.result)

    def _queue(self, queue: Queue) -> str:
        return setting(queue.setting, self._environment) or queue.default

    def _queue_of(self, saga_id: str) -> str:
        return self._queue(kind_of_saga(saga_id).queue)

    def _ledger(self) -> LedgerAddress | None:
        return ledger_address(self._environment)


def _waiting_for(progress: Progress, wait: Wait) -> Progress:
    """The progress of a saga whose run does not go on: whatever it waited for before."""
    changed = {"state": wait.state, "waits_for": wait.waits_for, "waits": [wait]}
    return progress.model_copy(update=changed)
