"""The story of the captures of a payment: all at once, or in parts until nothing is left."""

from dataclasses import dataclass
from typing import Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities import transfers
from activities.authorizations import AuthorizationActivities, Authorized, Rest, Settle
from activities.errors import FAILED, REFUSED
from activities.transfers import Transfer, TransferActivities, Transferred
from ledger.aggregates.saga_step import UndoPolicy
from workflows.contract.payment import PaymentRequest, PaymentResult
from workflows.contract.updates import By, Capture
from workflows.engine.decisions import Asked, not_allowed, system
from workflows.engine.run import cause_of, words_of
from workflows.engine.story import Compensate
from workflows.engine.workflow import SagaWorkflow


@dataclass(frozen=True)
class _Part:
    """One capture: its number, minor units, who captures, and whether it is the last. `is_asked`:
    its amount was asked for, be it all; by this `update`."""

    amount_minor: int
    by: str | None = None
    final: bool = False
    number: int = 1
    is_asked: bool = False
    update: str | None = None

    def step(self, name: str) -> str:
        """The name of a step of this capture."""
        return name if self.number == 1 else f"{name} {self.number}"


class CaptureStory(SagaWorkflow[PaymentRequest, PaymentResult]):
    """Sends and settles the transfer of each capture; the first one is the pivot."""

    # What a transfer under way captures, and whether a part was captured and more may be.
    _capturing: Literal["", "all", "part"] = ""
    _is_in_parts = False
    # How many captures after the first the story has looked at.
    _captures = 0

    async def _captured(self, request: PaymentRequest, hold: Authorized) -> PaymentResult:
        """Capture an approved authorization, until nothing is left or the rest is released."""
        if not hold.captured_minor:
            # A run that took over may find the capture begun: nobody is asked twice.
            manual = request.capture == "manual" and hold.state == "approved"
            part = await self._agent_captures(request, hold) if manual else _begun(request, hold)
            self._capturing = "part" if part.is_asked else "all"
            sent = await self._send(request, hold, part)
            self.saga.pivot()
            hold = await self._settle(request, hold, part, sent)
        else:
            self.saga.pivot()
        while hold.state != "captured":
            hold = await self._next_capture(request, hold)
        self.saga.show(decision="captured")
        return _result(hold)

    async def _send(self, request: PaymentRequest, hold: Authorized, part: _Part) -> Transferred:
        """Send the transfer. Where the policy of now refuses the capture, its words are the reason
        of the compensation."""
        try:
            return await self.saga.call(
                "execute transfer",
                TransferActivities.execute_transfer,
                _transfer(request, hold, part),
                undo=TransferActivities.reverse_transfer,
                policy=UndoPolicy(tries=transfers.UNDO_TRIES),
                by=part.by,
                tell_within=transfers.TELL_WITHIN,
            )
        except ActivityError as error:
            refused = isinstance(error.cause, ApplicationError) and error.cause.type == REFUSED
            if refused and words_of(error) != cause_of(error):
                raise Compensate(cause_of(error), system(reason=words_of(error))) from error
            raise

    async def _agent_captures(self, request: PaymentRequest, hold: Authorized) -> _Part:
        """Wait until the agent captures; returns what it captures. A deadline that passes
        compensates the saga."""
        left = _left(request, hold)
        while True:
            asked = await self._capture_asked(request, hold)
            if asked is None:
                raise Compensate("capture_expired", system())
            part = _asked_part(asked, left)
            if part.amount_minor <= left:
                break
            asked.answer(_too_much("capture", left))
        # Of a part, each who asks for one has theirs.
        if part.is_asked:
            asked.answer()
            self.saga.go_on()
        else:
            self.saga.agree()
        return part

    async def _capture_asked(self, request: PaymentRequest, hold: Authorized) -> Asked | None:
        """Wait for the next word on what is left: None when the deadline has passed."""
        return await self.saga.person(
            "capture",
            whom=f"agent:{request.agent_id}",
            since=hold.waits_since,
            until=hold.capture_until,
        )

    async def _settle(
        self, request: PaymentRequest, hold: Authorized, part: _Part, sent: Transferred
    ) -> Authorized:
        """Settle a capture. The one after which nothing is left closes the saga in its commit."""
        is_last = part.final or part.amount_minor == _left(request, hold)
        reference = sent.provider_reference
        captured = {
            "state": "captured",
            "transfer_id": hold.transfer_id if hold.captured_minor else sent.transfer_id,
            "provider_reference": hold.provider_reference or reference,
            "captured_minor": hold.captured_minor + part.amount_minor,
        }
        ended = hold.model_copy(update=captured)
        settled = await self.saga.step(
            part.step("settle"),
            AuthorizationActivities.settle_authorization,
            Settle(authorization_id=hold.authorization_id, provider_reference=reference),
            ending=_result(ended).model_dump(mode="json") if is_last else None,
        )
        self._capturing = ""
        if is_last:
            return ended
        self._is_in_parts = True
        self._show_parts(request, settled)
        return settled

    def _show_parts(self, request: PaymentRequest, hold: Authorized) -> None:
        left = _left(request, hold)
        self.saga.show(captured_minor=hold.captured_minor, left_minor=left, decision=hold.state)

    async def _next_capture(self, request: PaymentRequest, hold: Authorized) -> Authorized:
        """Capture another part of what is left, or release it: what was captured stays. A capture
        that moves nothing is refused, and the saga goes on waiting."""
        if hold.state == "capturing":
            return await self._capture_part(request, hold, _begun(request, hold), None)
        self._is_in_parts = True
        self._show_parts(request, hold)
        if self.saga.withdrawn_by is not None:
            return await self._release_rest(hold, self.saga.withdrawn_by, "cancelled")
        asked = await self._capture_asked(request, hold)
        if asked is None:
            return await self._release_rest(hold, system(), "capture_expired")
        if asked.verb == "void":
            ended = await self._release_rest(hold, asked.by, "voided")
            asked.answer()
            return ended
        left = _left(request, hold)
        part = _asked_part(asked, left, hold.captures + 1)
        # More than is left is refused by the commit: only that knows a repeat, whose part was left.
        if part.amount_minor > left and not workflow.patched("capture-repeated-of-more-than-left"):
            asked.answer(_too_much("capture", left))
            return hold
        self._captures += 1
        return await self._capture_part(request, hold, part, asked)

    async def _capture_part(
        self, request: PaymentRequest, hold: Authorized, part: _Part, asked: Asked | None
    ) -> Authorized:
        self.saga.go_on()
        self._capturing = "part"
        step = part.step("execute transfer")
        try:
            sent = await self.saga.call(
                step,
                TransferActivities.execute_transfer,
                _transfer(request, hold, part),
                by=part.by,
                tell_within=transfers.TELL_WITHIN,
                takes_no=True,
            )
        except ActivityError as error:
            cause = error.cause
            if not isinstance(cause, ApplicationError) or cause.type not in (REFUSED, FAILED):
                raise
            self._capturing = ""
            known = await self.saga.read(
                AuthorizationActivities.read_authorization, self.saga.saga_id
            )
            if known.captures < part.number:
                # By the policy of now, before anything was begun.
                self.saga.forget(step)
                known = known.model_copy(update={"waits_since": hold.waits_since})
            is_repeated = cause_of(error) == "repeated" and "settled" in words_of(error)
            if asked is not None:
                asked.answer(None if is_repeated else not_allowed(f"can't capture: {_told(error)}"))
            return known
        ended = await self._settle(request, hold, part, sent)
        if asked is not None:
            asked.answer()
        return ended

    async def _release_rest(self, hold: Authorized, by: By, reason: str) -> Authorized:
        ended = hold.model_copy(update={"state": "captured"})
        await self.saga.step(
            "release rest",
            AuthorizationActivities.release_rest,
            Rest(authorization_id=hold.authorization_id, reason=reason),
            by=by.actor,
            ending=_result(ended).model_dump(mode="json"),
        )
        self.saga.show(left_minor=0)
        return ended


def _result(hold: Authorized) -> PaymentResult:
    """The result of a payment that was captured."""
    return PaymentResult(
        state="captured",
        authorization_id=hold.authorization_id,
        transfer_id=hold.transfer_id,
        provider_reference=hold.provider_reference,
        captured_minor=hold.captured_minor,
    )


def _left(request: PaymentRequest, hold: Authorized) -> int:
    """What is authorized and not captured: minor units."""
    amount = request.amount.minor if hold.amount_minor is None else hold.amount_minor
    return amount - hold.captured_minor


def _begun(request: PaymentRequest, hold: Authorized) -> _Part:
    """The capture that was begun already; or of all, where nobody is asked."""
    return _Part(
        amount_minor=hold.capturing_minor or _left(request, hold),
        final=hold.final,
        number=max(hold.captures, 1),
        is_asked=hold.captures > 0,
        update=hold.update,
    )


def _asked_part(asked: Asked, left: int, number: int = 1) -> _Part:
    """The capture that was asked for."""
    by = asked.by if isinstance(asked.by, Capture) else Capture.model_construct()
    amount = left if by.amount_minor is None else by.amount_minor
    is_asked = by.amount_minor is not None
    # A first capture of all has no name of its own, as before there were parts.
    update = None if number == 1 and amount == left else asked.update
    return _Part(amount, asked.by.actor, by.final and amount < left, number, is_asked, update)


def _transfer(request: PaymentRequest, hold: Authorized, part: _Part) -> Transfer:
    return Transfer(
        authorization_id=hold.authorization_id,
        agent_id=request.agent_id,
        amount_minor=part.amount_minor,
        currency=request.amount.currency,
        destination=request.destination.account,
        description=request.description,
        mandate=request.mandate,
        number=part.number,
        final=part.final,
        update=part.update,
    )


def _too_much(verb: str, left: int) -> ApplicationError:
    return not_allowed(f"can't {verb}: {left} minor units are left")


def _told(error: ActivityError) -> str:
    """Why a capture moved nothing: the word, and our sentence where there is one."""
    cause, words = cause_of(error), words_of(error).removeprefix("can't capture: ")
    return cause if words == cause else f"{words} ({cause})"
