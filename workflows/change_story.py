"""The story that changes and rollbacks share: plan, apply along the graph, or compensate."""

import asyncio
from collections.abc import Mapping
from typing import TypeVar, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.resource_change import CLAIMED, ApplyResource
from activities.resources import ResourceActivities
from ledger.sagas.saga_log import Compensation
from workflows.contract.change import (
    ChangeAction,
    ChangeRequest,
    ChangeResult,
    ResourceChange,
    RollbackRequest,
)
from workflows.engine.decisions import system
from workflows.engine.run import cause_of, words_of
from workflows.engine.story import Compensate
from workflows.engine.workflow import SagaWorkflow
from workflows.planning.plan import Operation, Plan

MAX_NOTES = 50

# Runs that lost a race before this was there have failed, or were compensated.
_REFUSED_AS_PLANNED = "lost-is-refused"

RequestT = TypeVar("RequestT", bound=ChangeRequest | RollbackRequest)


class Lost(Compensate):
    """Raised for an operation of which nothing was begun: another saga has its resource."""


class ChangeStory(SagaWorkflow[RequestT, ChangeResult]):
    """Applies a plan, independent branches at once; a failure compensates the whole change."""

    opens_with_its_first_step = True

    async def planned(self, request: RequestT) -> tuple[Plan, Mapping[str, str]]:
        """Plan the request; returns the plan, and by resource the saga whose change it reverses."""
        raise NotImplementedError

    async def story(self, request: RequestT) -> ChangeResult:
        """Plan the change, then apply each operation of the plan, or return why the plan is
        refused."""
        plan, undoes = await self.planned(request)
        request = self.as_admitted(request)
        if plan.refusals:
            refusal = plan.refusals[0]
            self.saga.decided("refused", refusal.reason)
            sentences = [each.sentence for each in plan.refusals]
            return ChangeResult(
                state="refused", reason=refusal.reason, notes=few([*sentences, *plan.notes])
            )
        self.saga.planned = [operation.line for operation in plan.to_do]
        self.saga.decided("planned" if plan.to_do else "unchanged")
        try:
            await self._apply_along_the_graph(plan, undoes, request.allow_irreversible)
        except Lost as lost:
            if not workflow.patched(_REFUSED_AS_PLANNED):
                raise
            self.saga.decided("refused", lost.cause)
            notes = [lost.by.reason] if lost.by.reason else []
            return ChangeResult(
                state="refused", reason=lost.cause, notes=few([*notes, *plan.notes])
            )
        return ChangeResult(
            state="applied" if plan.to_do else "unchanged",
            changes=[_change(operation) for operation in plan.to_do],
            notes=few(plan.notes),
        )

    async def _apply_along_the_graph(
        self, plan: Plan, undoes: Mapping[str, str], allow_irreversible: bool
    ) -> None:
        """Apply each operation as soon as those that it waits for are done."""
        waiting = {operation.name: operation for operation in plan.to_do}
        running: dict[str, asyncio.Task[object]] = {}
        done: set[str] = set()
        try:
            while waiting or running:
                for name in [n for n, each in waiting.items() if done.issuperset(each.waits_for)]:
                    operation = waiting.pop(name)
                    request = _request(plan, operation, undoes.get(name), allow_irreversible)
                    running[name] = asyncio.create_task(self._apply(request))
                await workflow.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
                for name in [name for name, task in running.items() if task.done()]:
                    await running.pop(name)
                    done.add(name)
        except (Exception, asyncio.CancelledError) as error:
            # Not `finally`: a run that leaves a worker's memory may not await anything.
            others = await _stop(list(running.values()))
            begun = done or not all(isinstance(other, Lost) for other in others)
            if isinstance(error, Lost) and begun:
                raise Compensate(error.cause, error.by) from error
            raise

    async def _apply(self, request: ApplyResource) -> None:
        try:
            await self.saga.call(
                f"{request.action} {request.name}",
                ResourceActivities.apply_resource,
                request,
                undo=ResourceActivities.undo_resource,
            )
        except ActivityError as error:
            cause = error.cause
            if is_cancelled_exception(error) or not isinstance(cause, ApplicationError):
                raise
            # Its own words go on record as the reason why the saga is compensated.
            reason = f"{request.name}: {words_of(error)}"[:200]
            lost = cause_of(error) == CLAIMED
            raise (Lost if lost else Compensate)(cause_of(error), system(reason=reason)) from error

    async def compensated(self, request: RequestT, undone: Compensation) -> ChangeResult:
        """The result of a change whose operations were undone."""
        return ChangeResult(
            state="compensated",
            reason=undone.cause,
            notes=[undone.reason] if undone.reason else [],
            residuals=undone.residuals,
            steps=undone.reports,
        )


def few(notes: list[str]) -> list[str]:
    """The first notes of a list, no more than a person reads and a result can carry."""
    left_out = len(notes) - MAX_NOTES
    return [*notes[:MAX_NOTES], f"and {left_out} more"] if left_out > 0 else notes


async def _stop(tasks: list[asyncio.Task[object]]) -> list[object]:
    """Cancel and await what runs: its outcome must be recorded before the undo reads it. Returns
    the results and the errors."""
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


def _request(
    plan: Plan, operation: Operation, undoes: str | None, allow_irreversible: bool
) -> ApplyResource:
    return ApplyResource(
        environment=plan.environment,
        name=operation.name,
        action=cast(ChangeAction, operation.action),
        before=operation.before,
        after=operation.after,
        version=operation.version,
        undoes=undoes,
        allow_irreversible=allow_irreversible,
    )


def _change(operation: Operation) -> ResourceChange:
    action = cast(ChangeAction, operation.action)
    return ResourceChange(name=operation.name, kind=operation.kind, action=action)
