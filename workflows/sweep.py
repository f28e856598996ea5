"""The sweep: looks for orphaned sagas, and has each of them carried to its end."""

from datetime import UTC, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ParentClosePolicy

from activities.errors import HEARTBEAT, invalid_input
from activities.orphans import MOST_SHOWN, Look, LostSaga, OrphanedSagas, Seen
from ledger.words import code, said, summary_of
from workflows.contract.admission import problems_with, raise_if_refused, read
from workflows.contract.kinds import BY_NAME
from workflows.contract.sweep import (
    NEEDS_ATTENTION,
    SWEEP,
    RecoveryRequest,
    SweepRequest,
    Swept,
)
from workflows.contract.waits import paused_wait, paused_words
from workflows.engine.inbound import OtherUpdates
from workflows.recovery import RecoverySaga, recovery_id

# Thousands of sagas may wait for a person, and each of them is asked about.
LOOK_WITHIN = timedelta(minutes=10)
LOOK_RETRIES = RetryPolicy(maximum_interval=timedelta(seconds=30))


@workflow.defn
class SweepWorkflow(OtherUpdates):
    """One sweep, started by the schedule or by an operator. It fails with `needs_attention`, after
    it did what it could, so that an operator sees it."""

    @workflow.run
    async def run(self, *raw: Any) -> Swept:
        """Validate the input as a `SweepRequest` and sweep."""
        request, problems = read(raw, SweepRequest), problems_with(raw, SweepRequest)
        workflow_id = workflow.info().workflow_id
        # The server appends the time to the id of a run of the schedule.
        if workflow_id != SWEEP and not workflow_id.startswith(f"{SWEEP}-"):
            its_id = [("workflow_id", f"must be {SWEEP}, or begin with {SWEEP}-")]
            raise invalid_input(problems or its_id)
        look = Look(problems=problems)
        if not problems:
            look = Look(gone=request.gone, all=request.all)
        seen = await self._look(look)
        alerts = alerts_of(seen)
        known = [] if seen.held else [lost for lost in seen.lost if lost.kind in BY_NAME]
        for lost in known:
            await self._recover(lost, request)
        swept = Swept(
            open_sagas=seen.open,
            lost=seen.lost_in_all,
            recovering=[lost.saga_id for lost in known],
            alerts=alerts,
            stopped=[
                paused_words(saga_id, paused_wait(saga_id, status))
                for saga_id, status in seen.stopped.items()
            ],
            left_alone=seen.left_alone,
            left_until=seen.left_until,
        )
        workflow.set_current_details(page(swept))
        if alerts:
            workflow.logger.error("the sweep needs an operator: %s", " ".join(alerts))
            raise ApplicationError(
                " ".join(alerts),
                swept.model_dump(mode="json"),
                type=NEEDS_ATTENTION,
                non_retryable=True,
            )
        return swept

    async def _look(self, look: Look) -> Seen:
        # It refuses a request with problems: a replay, by other rules, must not decide anew.
        try:
            return await workflow.execute_activity_method(
                OrphanedSagas.look_for_lost_sagas,
                look,
                start_to_close_timeout=LOOK_WITHIN,
                heartbeat_timeout=5 * HEARTBEAT,
                retry_policy=LOOK_RETRIES,
                summary="ask Temporal about every open saga",
            )
        except ActivityError as error:
            raise_if_refused(error)
            raise

    async def _recover(self, lost: LostSaga, request: SweepRequest) -> None:
        # What is on record and was admitted with the sweep: not validated anew.
        asked = RecoveryRequest.model_construct(
            saga_id=lost.saga_id,
            epoch=lost.epoch,
            actor=request.actor,
            reason=request.reason,
            gone=request.gone,
        )
        try:
            await workflow.start_child_workflow(
                RecoverySaga.run,
                args=[asked.model_dump(mode="json", exclude_none=True)],
                id=recovery_id(lost.saga_id, lost.epoch),
                parent_close_policy=ParentClosePolicy.ABANDON,
                # One that changed something raised the epoch, so that its id does not come again.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=summary_of(f"{lost.saga_id}: its run was lost ({lost.found})"),
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("%s is already being recovered by another sweep", lost.saga_id)


def alerts_of(seen: Seen) -> list[str]:
    """The alerts of a sweep for an operator, in sentences that say what to do."""
    alerts = []
    if seen.held:
        alerts.append(
            f"{seen.lost_in_all} of {seen.open} open sagas look orphaned at once, so nothing was "
            f"undone: see whether this is the right Temporal and whether it lost data; to go on, "
            f"amends sweep --all --reason TEXT."
        )
    for namespace, count in seen.elsewhere.items():
        name, _, its_id = namespace.rpartition(" ")
        alerts.append(
            f"{count} open sagas belong to another Temporal (namespace {name}, id {its_id}) and "
            f"were left alone: point the worker at it; if it is gone for good, "
            f"amends sweep --gone {its_id} --reason TEXT."
        )
    if seen.elsewhere_more:
        alerts.append(
            f"{seen.elsewhere_more} open sagas belong to more namespaces and were left alone: "
            f"amends sagas --open lists them."
        )
    alerts += [f"A saga was left alone: {sentence}." for sentence in seen.unreadable]
    unknown = sorted({lost.kind for lost in seen.lost} - set(BY_NAME))
    if unknown:
        named = ", ".join(unknown[:MOST_SHOWN]) + (", ..." if unknown[MOST_SHOWN:] else "")
        alerts.append(
            f"orphaned sagas of an unknown kind ({named}) were left alone: run a "
            f"worker of the version that knows them."
        )
    return alerts


def page(swept: Swept) -> str:
    """The page of the sweep in the Web UI."""
    alerts = [f"🙋 {said(alert)}" for alert in swept.alerts]
    lines = [f"- {code(saga_id)} is being recovered" for saga_id in swept.recovering]
    lines += [
        f"- {code(saga_id)} is left alone until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        for saga_id, until in swept.left_until.items()
    ]
    lines += [f"- {said(sentence)}" for sentence in swept.stopped]
    return "\n\n".join([f"**{swept.head}**", *alerts, "\n".join(lines)]).rstrip()
