"""The saga of a payment: the policy decides, perhaps a person, then the money moves and is
settled."""

from typing import Any, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.authorization_decisions import Approve, Authorize
from activities.authorizations import AuthorizationActivities, Authorized
from activities.errors import REUSED
from ledger.aggregates.names import mandate_name
from ledger.sagas.saga_log import Compensation
from workflows.capture_story import CaptureStory
from workflows.contract.admission import read
from workflows.contract.kinds import PAYMENT
from workflows.contract.payment import PaymentEnd, PaymentRequest, PaymentResult
from workflows.contract.progress import Progress
from workflows.contract.updates import Approval, By, Capture
from workflows.engine.decisions import Asked, not_allowed, system
from workflows.engine.run import ATTENTION, RESOLVING, cause_of
from workflows.engine.story import Compensate
from workflows.engine.workflow import MAX_REPEATS


@workflow.defn
class PaymentSaga(CaptureStory):
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
        return await self._captured(request, hold)

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
            amount_minor=asked.by.amount_minor if isinstance(asked.by, Approval) else None,
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
        """Approve the payment, or a smaller amount of it, as a person. Refused unless the saga
        waits for an approval."""
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
        """Capture all that is left of an approved authorization, or a part of it, as its agent.
        Answers with the outcome, or that it is in doubt, that an operator has to look, or that the
        payment is being undone. A capture of the whole, repeated, answers the same; each other one
        is a capture of its own."""
        if self._is_in_parts:
            return await self._ask("capture", raw, Capture, self._is_in_doubt)
        if self.progress().waits_for == "capture":
            await self._ask("capture", raw, Capture)
        # Hours may pass until a doubt is resolved: whoever captures is told that there is one.
        await workflow.wait_condition(
            lambda: (
                self._is_in_parts
                or self._is_captured_or_not()
                or self._lifecycle.is_compensating
                or self.progress().state == RESOLVING
            )
        )
        # Runs of before waited on.
        is_known = self._is_in_parts or self._is_captured_or_not()
        if not is_known and not workflow.patched("capture-answered-in-doubt"):
            await workflow.wait_condition(self._is_captured_or_not)
        return self.progress()

    def _is_captured_or_not(self) -> bool:
        return self._lifecycle.has_ended or self.progress().state == ATTENTION

    def _is_in_doubt(self, asked: Asked) -> bool:
        taken = self.saga.inbox.taken is asked
        return taken and self.progress().state in (RESOLVING, ATTENTION)

    @capture.validator
    def _check_capture(self, *raw: Any) -> None:
        by = cast(Capture, self._admit_by(raw, Capture))
        self._check_own("capture", by.actor)
        self._check_not_undone("capture")
        if self._captures >= MAX_REPEATS:
            raise not_allowed(
                f"can't capture: {MAX_REPEATS} captures came and left something: void the rest"
            )
        asks_part = by.amount_minor is not None or self._capturing == "part"
        in_parts = self._is_in_parts or asks_part
        if in_parts and self._capturing:
            raise not_allowed("can't capture: another capture is under way")
        if in_parts or self.progress().decision not in ("approved", "capturing", "captured"):
            self._check_ask("capture", "capture", raw, Capture)

    def _check_own(self, verb: str, actor: str) -> None:
        saga = self._execution.saga
        if actor.startswith("agent:") and saga and actor != saga.actor:
            raise not_allowed(f"can't {verb}: this is the payment of another agent")

    @workflow.update
    async def void(self, *raw: Any) -> Progress:
        """Give up what is not captured, as the agent of the payment or a user: with nothing
        captured the saga is cancelled, else the rest is released. Answers as `cancel`, or when the
        release is recorded."""
        if self._is_in_parts:
            return await self._ask("void", raw)
        if await self._execution.hear("void", raw):
            self._check_voidable()
            if self._is_in_parts:
                raise not_allowed("can't void: a part was captured just now: void the rest")
        self._execution.cancel(read(raw, By))
        return await self._compensating()

    @void.validator
    def _check_void(self, *raw: Any) -> None:
        self._check_own("void", self._admit_by(raw).actor)
        self._check_not_undone("void")
        if self._is_in_parts and not self._capturing:
            self._check_ask("void", "capture", raw)
        else:
            self._check_voidable()

    def _check_voidable(self) -> None:
        if self._capturing:
            raise not_allowed("can't void: a capture is under way: its outcome comes first")
        if not self._is_in_parts:
            self._check_cancellable("void")
