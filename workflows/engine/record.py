"""The record of a saga in the ledger: opened, taken over from a closed run, closed."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import IN_PROGRESS, OUTSIDE_TRY, REUSED, invalid_input
from activities.saga_records import Ending, OtherRun, Repeat, SagaActivities, SignedDecision
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import End, Opened
from ledger.sagas.signatures import Signed
from workflows.contract.admission import raise_if_refused
from workflows.engine.lifecycle import LifecycleEvent
from workflows.engine.run import OUTSIDE_RETRIES, SagaRun, cause_of


class SagaRecord(SagaRun):
    """A run of a saga that opens the saga's record and closes it."""

    async def open(self) -> Opened:
        """Claim the operation id, or take over what a closed run left open.

        Raises ApplicationError `operation_id_reused`, `operation_in_progress`, and `InvalidInput`
        for a new request that breaks the rules.
        """
        opened = await self._open("open the saga")
        if opened.how == "reused":
            self.is_reused = True
            self.show()
            # Runs of before did not show it; a run that is refused is rare, and may cost the mark.
            if workflow.patched("refused-repeat-shown"):
                self._show_known(opened)
            raise reused(self.saga_id)
        if opened.how == "other_run":
            old, opened = opened.old, await self._take_over(opened)
            opened = opened.model_copy(update={"old": old})
        self.keep(opened.input)
        told = opened.result
        self.know_unsigned(opened.unsigned if told is None else bool(told.get("unsigned")))
        self.epoch, self.ordinal = opened.epoch, opened.last_ordinal
        # Its own run finds it closed after a workflow task that was lost.
        repeated = opened.how == "duplicate" and opened.run_id != workflow.info().run_id
        self.enter(LifecycleEvent(opened.state), repeated=repeated)
        return opened

    async def answer(self) -> Opened:
        """Answer a repeat from the record of the saga, which has ended and is not opened here.

        Raises ApplicationError `operation_id_reused`, `operation_in_progress`, `InvalidInput`.
        """
        try:
            opened = await self.ours(
                SagaActivities.answer_repeat, self.opening, summary="answer from the record"
            )
        except ActivityError as error:
            if cause_of(error) != "NotFound":
                raise
            why = "repeats a saga that is not on record: start it under its own id"
            raise invalid_input([("workflow_id", why)]) from None
        self.is_reused = opened.how == "reused"
        self._show_known(opened)
        if self.is_reused:
            raise reused(self.saga_id)
        if opened.how != "duplicate":
            raise in_progress(self.saga_id)
        return opened

    def _show_known(self, opened: Opened) -> None:
        """Show the saga as it is on record: whoever finds this run asks about the saga."""
        if opened.result is None:
            self.show(repeated=True)
        else:
            self.know_unsigned(bool(opened.result.get("unsigned")))
            self.enter(LifecycleEvent(opened.state), repeated=True, result=opened.result)

    async def _open(self, summary: str) -> Opened:
        try:
            return await self.ours(SagaActivities.open_saga, self.opening, summary=summary)
        except ActivityError as error:
            raise_if_refused(error)
            raise

    async def _take_over(self, opened: Opened) -> Opened:
        other = OtherRun(
            namespace=opened.namespace,
            namespace_id=opened.namespace_id,
            run_id=opened.run_id,
            epoch=opened.epoch,
            lost=opened.lost,
        )
        # Asked of a lost run too, which has its answer on record: an ordinary activity ends the
        # workflow task, so that a task that is repeated after the take-over does not open it again.
        still_open = await workflow.execute_activity_method(
            SagaActivities.is_run_open,
            other,
            start_to_close_timeout=OUTSIDE_TRY,
            retry_policy=OUTSIDE_RETRIES,
            summary="look at the run that has this saga",
        )
        if still_open:
            raise in_progress(self.saga_id)
        try:
            return await self.ours(
                SagaActivities.take_over, self.claim(), other, summary="take the saga over"
            )
        except ActivityError as error:
            if cause_of(error) != "Fenced":
                raise
        # An attempt of the closed run was still under way and has ended the saga meanwhile, or a
        # sweep has put on record that it was lost.
        opened = await self._open("open it again")
        if opened.how == "other_run" and opened.lost is not None:
            return await self._take_over(opened)
        if opened.how == "other_run":
            raise in_progress(self.saga_id)
        return opened

    async def close(
        self, end: End, result: dict[str, Any], actor: str | None = None
    ) -> dict[str, Any]:
        """Close the record, unless a step has; returns the result that stands, which is the first
        one."""
        if self.lifecycle.has_ended:
            return self.progress.result or result
        ending = Ending(end=end, result=self.told(result))
        stands = await self.ours(
            SagaActivities.close_saga, self.claim(actor), ending, summary="close the saga"
        )
        self.enter(LifecycleEvent(end), result=stands)
        return stands

    async def record_decision(self, actor: str, signed: Signed, update: str) -> None:
        """Check and record the signature of a decision. Raises ApplicationError `InvalidInput`."""
        decision = SignedDecision(signed=signed, update=update)
        try:
            await self.ours(
                SagaActivities.record_decision,
                *(self.claim(actor), decision),
                summary=f"check the signature: {signed.verb}",
            )
        except ActivityError as error:
            raise_if_refused(error)
            raise
        self.heard[signed.value] = signed

    async def record_repeat(self, fingerprint: Fingerprint, repeat: str) -> Opened:
        """Record a repeat: the same request, or another one under its id, came while the saga
        runs."""
        request = Repeat(fingerprint=fingerprint, repeat=repeat)
        return await self.ours(
            SagaActivities.record_repeat, self.claim(), request, summary="record a repeat"
        )


def reused(saga_id: str) -> ApplicationError:
    """The failure of another request under a known operation id."""
    return ApplicationError(
        f"{saga_id} belongs to another request: use a new operation id",
        type=REUSED,
        non_retryable=True,
    )


def differs(saga_id: str) -> ApplicationError:
    """The failure of a `submit` that comes with the start of another request."""
    return ApplicationError(
        f"{saga_id} was started with another request than this submit brings, and nothing was "
        f"done: send one request with both; where another client started it, use a new "
        f"operation id",
        type=REUSED,
        non_retryable=True,
    )


def in_progress(saga_id: str) -> ApplicationError:
    """The failure of a run that meets another run which is still open."""
    return ApplicationError(
        f"{saga_id} is carried by another run that is still open: follow that one",
        type=IN_PROGRESS,
        non_retryable=True,
    )
