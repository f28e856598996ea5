"""Compares the open sagas of the ledger with the runs in Temporal, in few calls.

One listing of the open runs, and a `describe` of each saga that is not in it: the visibility index
lags, so it clears a saga and never accuses one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client

from ledger.database import Database
from ledger.sagas.open_sagas import OpenSaga, open_sagas, still_open
from starter.client.failures import translated
from workflows.contract.kinds import KINDS
from workflows.contract.runs import RunStatus, namespace_id, status_of_carrier

# Open sagas that are compared: more than one screen of a person will ever need.
MOST_SAGAS = 5_000
# Sagas without an open run in the listing that are asked about one by one.
MOST_ASKED = 200
_PAGE, _AT_ONCE = 1_000, 20


@dataclass(frozen=True)
class Compared:
    """The open sagas whose runs don't go on, by workflow id, each with the status of its run; those
    of another Temporal, each with its namespace and the id of that; and in `lacks` what could not
    be compared, a sentence each."""

    stopped: dict[str, RunStatus]
    elsewhere: dict[str, str] = field(default_factory=dict)
    lacks: list[str] = field(default_factory=list)


async def stopped_runs(client: Client, database: Database) -> Compared:
    """Compare the open sagas with Temporal. Raises Unreachable."""
    opened = await _open(database)
    lacks: list[str] = []
    if len(opened) > MOST_SAGAS:
        lacks.append(f"only the {MOST_SAGAS} oldest open sagas were compared with Temporal")
        opened = opened[:MOST_SAGAS]
    async with translated("the list of runs"):
        here = await namespace_id(client)
        ours = [
            saga
            for saga in opened
            if (saga.namespace, saga.namespace_id) == (client.namespace, here)
        ]
        known = {saga.workflow_id for saga in ours}
        elsewhere = {
            saga.workflow_id: f"{saga.namespace}, id {saga.namespace_id}"
            for saga in opened
            if saga.workflow_id not in known
        }
        if elsewhere:
            lacks.append(
                f"{len(elsewhere)} open sagas belong to another Temporal: see amends sweep"
            )
        running = await _running(client, len(ours)) if ours else set()
        asked = [saga for saga in ours if saga.workflow_id not in running]
        if len(asked) > MOST_ASKED:
            left = len(asked) - MOST_ASKED
            lacks.append(f"{left} more sagas have no open run that is listed: see amends sweep")
            asked = asked[:MOST_ASKED]
        found = await _stopped_among(client, asked)
    # A saga that has just ended was open when it was read, and its run closed when asked about.
    opened_yet = (
        {saga.workflow_id for saga in await still_open(database, asked)} if found else set()
    )
    stopped = {name: status for name, status in found.items() if name in opened_yet}
    return Compared(stopped, elsewhere, lacks)


async def _open(database: Database) -> list[OpenSaga]:
    found: list[OpenSaga] = []
    async for page in open_sagas(database):
        found += page
        if len(found) > MOST_SAGAS:
            break
    return found


async def _running(client: Client, sagas: int) -> set[str]:
    """The workflow ids of runs that are open by the visibility index."""
    types = ", ".join(f"'{kind.workflow}'" for kind in KINDS)
    request = ListWorkflowExecutionsRequest(
        namespace=client.namespace,
        page_size=_PAGE,
        query=f"ExecutionStatus='Running' AND WorkflowType IN ({types})",
    )
    found: set[str] = set()
    # Runs that only repeat a request may be among them.
    for _ in range(2 + 2 * sagas // _PAGE):
        listed = await client.workflow_service.list_workflow_executions(request)
        found |= {each.execution.workflow_id for each in listed.executions}
        if not listed.next_page_token:
            break
        request.next_page_token = listed.next_page_token
    return found


async def _stopped_among(client: Client, sagas: Sequence[OpenSaga]) -> dict[str, RunStatus]:
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask(saga: OpenSaga) -> RunStatus:
        async with free:
            return await status_of_carrier(client, saga.workflow_id, saga.run_id)

    statuses = zip(sagas, await asyncio.gather(*map(ask, sagas)), strict=True)
    return {
        saga.workflow_id: status
        for saga, status in statuses
        if status.is_closed or status.is_stopped
    }
