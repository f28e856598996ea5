"""Records runs that don't go on while their saga is open, within seconds: closed or paused ones.

Temporal's visibility index names candidates, and `describe` judges them, so nothing is recorded by
an index that lags. Nothing is undone here: that is for the sweep, which also finds what the index
does not name, such as runs that Temporal has deleted.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError

from activities.runs import RunStatus, namespace_id, status_of_carrier
from ledger.aggregates.aggregate import Event, UnknownEvent
from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.saga import SagaRunClosed, SagaRunPaused, SagaRunResumed
from ledger.database import Database
from ledger.errors import NeverWorks, TooMuchContention, Unwritable
from ledger.sagas.open_sagas import OpenSaga, sagas_of_runs
from ledger.sagas.orphans import record_run
from ledger.store.commit import Author

WATCHER = "system:amends"
# The index may lag by so much, and the clocks differ.
_OVERLAP = timedelta(minutes=1)
# What closed while no worker was there.
_AT_FIRST = timedelta(days=1)
# Starts that were refused are among them.
_PAGE, _MOST_PAGES = 1_000, 20


class RunWatch:
    """Looks for the runs of `workflows`, the types of sagas, that don't go on."""

    def __init__(self, database: Database, client: Client, workflows: Sequence[str]) -> None:
        self._database, self._client = database, client
        self._types = ", ".join(f"'{name}'" for name in workflows)
        self._looked_at: datetime | None = None

    async def look(self) -> None:
        """Records what has changed since the last look; whatever can't be asked about keeps the
        others from nothing. Raises RPCError, DatabaseUnavailable."""
        now = datetime.now(UTC)
        since = now - _AT_FIRST if self._looked_at is None else self._looked_at - _OVERLAP
        here = await namespace_id(self._client)
        failed: RPCError | None = None
        for saga in await sagas_of_runs(self._database, await self._candidates(since), here):
            if (saga.namespace, saga.namespace_id) != (self._client.namespace, here):
                continue
            try:
                status = await status_of_carrier(self._client, saga.workflow_id, saga.run_id)
            except RPCError as error:
                failed = error
                continue
            await record_status(self._database, saga, status, self._database.note)
        if failed is not None:
            raise failed
        self._looked_at = now

    async def _candidates(self, since: datetime) -> list[str]:
        """The workflow ids of runs that are paused, or that closed since then other than by
        completion. Not every server knows each status by name, so the others are named."""
        request = ListWorkflowExecutionsRequest(
            namespace=self._client.namespace,
            page_size=_PAGE,
            query=f"WorkflowType IN ({self._types}) "
            "AND ExecutionStatus NOT IN ('Running', 'Completed', 'ContinuedAsNew') "
            f"AND (CloseTime > '{since.isoformat()}' OR CloseTime IS NULL)",
        )
        found: set[str] = set()
        for _ in range(_MOST_PAGES):
            listed = await self._client.workflow_service.list_workflow_executions(request)
            found |= {each.execution.workflow_id for each in listed.executions}
            if not listed.next_page_token:
                break
            request.next_page_token = listed.next_page_token
        return sorted(found)


async def record_status(
    database: Database, saga: OpenSaga, status: RunStatus, tell: Callable[[str], None]
) -> bool:
    """Records how the run of an open saga stands, where that is news. False where that can't be
    recorded of this saga, whatever becomes of the others: `tell` is told why, in a sentence."""
    if (event := _news(saga, status)) is None:
        return True
    try:
        await record_run(database, Author(WATCHER, saga.workflow_id), saga, event)
    except RowUnreadable as error:
        tell(str(error))
    except (UnknownEvent, NeverWorks, TooMuchContention, Unwritable, psycopg.Error) as error:
        # Not the message of PostgreSQL: it may hold the row.
        why = getattr(error, "sqlstate", None) or type(error).__name__
        refused = f"its run is {status.name}, and the ledger refuses to record that ({why})"
        tell(f"{saga.aggregate[:200]}: {refused}: run amends verify")
    else:
        return True
    return False


def _news(saga: OpenSaga, status: RunStatus) -> Event | None:
    closed = status.name if status.is_closed else None
    paused = status.name if status.is_stopped else None
    if (closed, paused) == (saga.run_closed, saga.run_paused):
        return None
    since = status.closed_at or saga.now
    if closed is not None:
        return SagaRunClosed(run_id=saga.run_id, found=closed, since=since)
    if paused is not None:
        return SagaRunPaused(run_id=saga.run_id, found=paused, since=since)
    return SagaRunResumed(run_id=saga.run_id)
