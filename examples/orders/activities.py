"""The steps of an order: each commits `started`, calls the warehouse, and commits the outcome."""

import asyncio
from datetime import timedelta

from temporalio import activity

from activities.errors import Failed, Refused
from activities.step import Claim, Request
from examples.orders.warehouse import Answer, Warehouse
from ledger.aggregates.saga_step import StepDone, StepFailed, StepRefused, StepUndone
from ledger.aggregates.step_report import UndoReport
from ledger.database import Database
from ledger.sagas.step_log import StepOutcome, finish_step, start_step, undo_step
from ledger.store.commit import Decision, Loaded

# The warehouse answers in milliseconds; a minute is a warehouse that is away.
SENT_WITHIN = timedelta(minutes=1)


class Reserve(Request):
    """`count` pieces of an item."""

    item: str
    count: int


class Reserved(Request):
    """The key under which the warehouse holds the goods."""

    key: str


class OrderActivities:
    """Reserves goods at a warehouse, and gives them back."""

    def __init__(self, database: Database, warehouse: Warehouse) -> None:
        self._database, self._warehouse = database, warehouse

    @activity.defn
    async def reserve_goods(self, claim: Claim, request: Reserve) -> Reserved:
        """Reserve under a key of ours. Raises Refused `out_of_stock`."""
        author, step_claim, key = claim.author(), claim.step_claim(request), _key(claim)
        started = await start_step(
            self._database, author, step_claim, [], lambda _: Decision(None), within=SENT_WITHIN
        )
        step = started.step
        if step.undecided:
            outcome = await self._outcome(claim, request, key)

            def finish(_: Loaded) -> Decision[StepOutcome]:
                return Decision(outcome)

            step = await finish_step(self._database, author, step_claim, [], finish)
        if step.state == "refused":
            raise Refused(step.reason or "refused")
        if step.state != "done":
            raise Failed(step.reason or "failed")
        return Reserved(key=key)

    async def _outcome(self, claim: Claim, request: Reserve, key: str) -> StepOutcome:
        # An operator may have said how an attempt in doubt ended.
        if claim.verdict is not None:
            told = claim.verdict.outcome == "done"
            return StepDone(result={"key": key}) if told else StepFailed(reason="told_failed")
        answer: Answer = await asyncio.to_thread(
            self._warehouse.reserve, key, request.item, request.count
        )
        return StepDone(result={"key": key}) if answer == "reserved" else StepRefused(reason=answer)

    @activity.defn
    async def release_goods(self, claim: Claim, request: Reserve) -> UndoReport:
        """Cancel the key, whether or not the call under it ever arrived."""
        if claim.verdict is None:
            await asyncio.to_thread(self._warehouse.cancel, _key(claim))
        undone = Decision(StepUndone(note="the key is cancelled at the warehouse"))
        step_claim = claim.step_claim(request)
        return await undo_step(self._database, claim.author(), step_claim, [], lambda _: undone)


def _key(claim: Claim) -> str:
    """The key of a step at the warehouse: never made by a caller, the same for each attempt."""
    return f"{claim.saga_id}/{claim.step}"
