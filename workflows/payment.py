"""The saga of a payment: the policy decides, perhaps a person, then the money moves and is
settled."""

from typing import Any, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities import transfers
from activities.authorization_decisions import Approve, Authorize
from activities.authorizations import AuthorizationActivities, Authorized, Settle
from activities.errors import REFUSED, REUSED
from activities.transfers import Transfer, TransferActivities, Transferred
from ledger.aggregates.names import mandate_name
from ledger.aggregates.saga_step import UndoPolicy
from ledger.sagas.saga_log import Compensation
from workflows.contract.kinds import PAYMENT
from workflows.contract.payment import PaymentEnd, PaymentRequest, PaymentResult
from workflows.contract.progress import Progress
from workflows.contract.updates import Approval, By
from workflows.engine.decisions import Asked, not_allowed, system
from workflows.engine.run import ATTENTION, RESOLVING, cause_of, words_of
from workflows.engine.story import Compensate
from workflows.engine.workflow import MAX_REPEATS, SagaWorkflow


@workflow.defn
class PaymentSaga(SagaWorkflow[PaymentRequest, PaymentResult]):
    """Authorizes, sends and settles a payment: input `PaymentRequest`, result `PaymentResult`."""

    kind = PAYMENT
    opens_with_its_first_step = True
    # How many approvals the story has looked at.
    _approvals = 0

    @workflow.run
    async def run(self, *raw: Any) -> PaymentResult:
        """Validate the input as a `PaymentRequest` and run the saga."""
        return await self.carry_out(raw)

    async def story(self, request: PaymentRequest) -> PaymentResult:
        """Authorize the payment, wait for approval and capture where needed, send the transfer,
        settle."""
        hold = await self._authorize(request)
        request = self.as_admitted(request)
        if hold.state == "pending_approval":
            hold = await self._approval(hold)
        self.saga.decided(hold.state, hold.reason)
        if hold.state == "denied":
            return PaymentResult(
                state="denied", authorization_id=hold.authorization_id, reason=hold.reason
            )
        # A run that took over may find the capture begun: nobody is asked twice.
        manual = request.capture == "manual" and hold.state == "approved"
        by = await self._agent_captures(request.agent_id, hold) if manual else None
        sent = await self._send(request, hold, by)
        self.saga.pivot()
        result = PaymentResult(
            state="captured",
            authorization_id=hold.authorization_id,
            transfer_id=sent.transfer_id,
            provider_reference=sent.provider_reference,
        )
        await self.saga.step(
            "settle",
            AuthorizationActivities.settle_authorization,
            Settle(
                authorization_id=hold.authorization_id,
                provider_reference=sent.provider_reference,
            ),
            ending=result.model_dump(mode="json"),
        )
        self.saga.show(decision="captured")
        return result

    async def _send(self, request: PaymentRequest, hold: Authorized, by: str | None) -> Transferred:
        """Send the transfer. Where the policy of now refuses the capture, its words are the reason
        of the compensation."""
        try:
            return await self.saga.call(
                "execute transfer",
                TransferActivities.execute_transfer,
                Transfer(
                    authorization_id=hold.authorization_id,
                    agent_id=request.agent_id,
                    amount_minor=request.amount.minor,
                    currency=request.amount.currency,
                    destination=request.destination.account,
                    description=request.description,
                    mandate=request.mandate,
                ),
                undo=TransferActivities.reverse_transfer,
                policy=UndoPolicy(tries=transfers.UNDO_TRIES),
                by=by,
                tell_within=transfers.TELL_WITHIN,
            )
        except ActivityError as error:
            refused = isinstance(error.cause, ApplicationError) and error.cause.type == REFUSED
            if refused and words_of(error) != cause_of(error):
                raise Compensate(cause_of(error), system(reason=words_of(error))) from error
            raise

    async def _authorize(self, request: PaymentRequest) -> Authorized:
        """Decide by the policy and reserve the spend, in one commit."""
        return await self.saga.step(
            "authorize",
            AuthorizationActivities.authorize,
            Authorize(
                agent_id=request.agent_id,
                amount_minor=request.amount.minor,
                currency=request.amount.currency,
                destination=request.destination.account,
                description=request.description,
                approve_within=request.approve_within,
                capture_within=request.capture_within,
                mandate=request.mandate,
                purpose=request.purpose,
            ),
            undo=AuthorizationActivities.release_authorization,
        )

    async def _approval(self, hold: Authorized) -> Authorized:
        """Wait until as many people approved as the policy asks for. A refused approval changes
        nothing; a rejection, or a deadline that passes, compensates the saga."""
        self.saga.decided("pending_approval")
        while hold.state == "pending_approval":
            asked = await self.saga.person(
                "approval", since=hold.waits_since, until=hold.expires_at
            )
            if asked is None:
                raise Compensate("approval_expired", system())
            if asked.verb == "reject":
                asked.answer()
                raise Compensate("rejected", asked.by)
            hold = await self._approve(hold, asked)
        self.saga.stop_waiting(f"the authorization is {hold.state}")
        return hold

    async def _approve(self, hold: Authorized, asked: Asked) -> Authorized:
        """Carry out one approval: the n-th is a step of its own. A number may be taken, by an
        approval whose workflow task was lost: then it is the next one's."""
        self._approvals += 1
        request = Approve(
            authorization_id=hold.authorization_id,
            reason=asked.by.reason,
            binding=asked.by.binding if isinstance(asked.by, Approval) else None,
        )
        step = f"approve {hold.attempts + 1}" if hold.attempts else "approve"
        try:
            approved = await self.saga.step(
                step, AuthorizationActivities.approve_authorization, request, by=asked.by.actor
            )
        except ActivityError as error:
            if cause_of(error) == REUSED and workflow.patched("approval-number-taken"):
                return await self._next_approval(step, asked)
            asked.answer(not_allowed(f"can't approve: {cause_of(error)}"))
            if cause_of(error) == "approval_expired":
                raise Compensate("approval_expired", system()) from error
            raise
        if approved.by not in (None, asked.by.actor):
            return await self._next_approval(step, asked)
        self.saga.decided(approved.state)
        refused = approved.refused and not_allowed(f"can't approve: {approved.refused}")
        asked.answer(refused or None)
        return approved

    async def _next_approval(self, step: str, asked: Asked) -> Authorized:
        """Carry out an approval of which the number was taken: what was decided is on record."""
        self.saga.mark(step, "done")
        hold = await self.saga.read(AuthorizationActivities.read_authorization, self.saga.saga_id)
        if hold.state == "pending_approval":
            return await self._approve(hold, asked)
        self.saga.decided(hold.state)
        return hold

    async def _agent_captures(self, agent_id: str, hold: Authorized) -> str:
        """Wait until the agent captures; returns the actor that did. A deadline that passes
        compensates the saga."""
        asked = await self.saga.person(
            "capture",
            whom=f"agent:{agent_id}",
            since=hold.waits_since,
            until=hold.capture_until,
        )
        if asked is None:
            raise Compensate("capture_expired", system())
        self.saga.agree()
        return asked.by.actor

    async def compensated(self, request: PaymentRequest, undone: Compensation) -> PaymentResult:
        """The result of a payment that was undone: rejected, expired, voided or compensated."""
        hold = await self.saga.read(AuthorizationActivities.read_authorization, self.saga.saga_id)
        self.saga.show(decision=hold.state)
        return PaymentResult(
            state=cast(PaymentEnd, hold.state),
            authorization_id=hold.authorization_id,
            transfer_id=hold.transfer_id,
            reason=hold.reason if hold.state == "denied" else undone.cause,
            residuals=undone.residuals,
            steps=undone.reports,
        )

    def subjects(self, request: PaymentRequest) -> list[str]:
        """The aggregates that the saga is about: the agent, and the mandate."""
        mandate = [mandate_name(request.mandate)] if request.mandate else []
        return [f"agent/{request.agent_id}", *mandate]

    @workflow.update
    async def approve(self, *raw: Any) -> Progress:
        """Approve the payment as a person. Refused unless the saga waits for an approval."""
        return await self._ask("approve", raw, Approval)

    @approve.validator
    def _check_approve(self, *raw: Any) -> None:
        self._check_person("approve", raw, Approval)
        if self._approvals >= MAX_REPEATS:
            raise not_allowed(
                f"can't approve: {MAX_REPEATS} approvals came and did not suffice: reject or cancel"
            )

    @workflow.update
    async def reject(self, *raw: Any) -> Progress:
        """Reject the payment as a person: the reserved spend is released. Answers when that is
        recorded."""
        await self._ask("reject", raw)
        return await self._compensating()

    @reject.validator
    def _check_reject(self, *raw: Any) -> None:
        self._check_person("reject", raw)

    def _check_person(self, verb: str, raw: tuple[Any, ...], model: type[By] = By) -> None:
        # Whoever asks for the money does not also allow it.
        if not self._admit_by(raw, model).actor.startswith("user:"):
            raise not_allowed(f"can't {verb}: a user decides, not an agent or a system")
        self._check_ask(verb, "approval", raw, model)

    @workflow.update
    async def capture(self, *raw: Any) -> Progress:
        """Capture an approved authorization as its agent. Answers with the outcome, or that it is
        in doubt, that an operator has to look, or that the payment is being undone. Repeated, it
        answers the same."""
        if self.progress().waits_for == "capture":
            await self._ask("capture", raw)
        # Hours may pass until a doubt is resolved: whoever captures is told that there is one.
        await workflow.wait_condition(
            lambda: (
                self._is_captured_or_not()
                or self._lifecycle.is_compensating
                or self.progress().state == RESOLVING
            )
        )
        # Runs of before waited on.
        if not self._is_captured_or_not() and not workflow.patched("capture-answered-in-doubt"):
            await workflow.wait_condition(self._is_captured_or_not)
        return self.progress()

    def _is_captured_or_not(self) -> bool:
        return self._lifecycle.has_ended or self.progress().state == ATTENTION

    @capture.validator
    def _check_capture(self, *raw: Any) -> None:
        actor = self._admit_by(raw).actor
        saga = self._execution.saga
        if actor.startswith("agent:") and saga and actor != saga.actor:
            raise not_allowed("can't capture: this is the payment of another agent")
        self._check_not_undone("capture")
        if self.progress().decision not in ("approved", "capturing", "captured"):
            self._check_ask("capture", "capture", raw)
