"""Activities on transfers: `started` is recorded before the provider is called, the outcome after
it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import Field
from temporalio import activity

from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    PaymentAdapter,
    TransferOrder,
    TransferReport,
    TransferStatus,
    account_kind,
)
from activities.authorizations import key_of, transfer_of
from activities.capture_decisions import capture, part_returned
from activities.errors import ATTEMPT, Failed, Refused
from activities.mandates import chain_refs, mandates_above
from activities.step import Claim, Request, heartbeat
from ledger.aggregates.agent import agent_name
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import authorization_name
from ledger.aggregates.captures import AuthorizationPartStarted
from ledger.aggregates.mandate import mandate_name
from ledger.aggregates.policy import policy_name
from ledger.aggregates.saga import saga_name
from ledger.aggregates.saga_step import StepDone, StepFailed, StepRefused, StepState, StepUndone
from ledger.aggregates.step_report import UndoReport
from ledger.aggregates.transfer import (
    TransferCancelled,
    TransferExecuted,
    TransferRefused,
    TransferReversed,
    TransferStarted,
    TransferState,
    transfer_name,
)
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.reading import read
from ledger.sagas.step_log import Started, StepOutcome, finish_step, start_step, undo_step
from ledger.store.commit import Decision, Loaded, Ref, database_time

# How long a transfer may be sent. Afterwards we only look: a key that is still unknown then is
# cancelled at the provider and the payment is undone. Five minutes is BIND's pause between looks.
SEND_WITHIN = timedelta(minutes=5)
# A provider that can't cancel may still get the last attempt: it begins before the deadline, gives
# itself up after 25 s, and BIND asks to look again after five minutes. What is not there then is
# not there.
ABSENT_AFTER = timedelta(minutes=6)
# When the provider can't tell for so long what became of an order, a person is asked: longer than
# an order may be sent and most outages last, and well within a working day.
TELL_WITHIN = timedelta(hours=1)
# So many answers that are no success make an undo wait for a person: with growing pauses that is an
# hour, too. Money that does not come back by itself takes somebody who telephones.
UNDO_TRIES = 13
# Fields of a request that the authorization keeps of its parts.
_OF_PARTS = ("number", "final", "update")
# Of clocks that differ by a little.
MARGIN_S = 1.0
# Nothing of ours moved, and a person has to look at who used the key.
FOREIGN = StepUndone(
    note="the provider has another transfer under our key",
    residual="execute transfer: the provider has another transfer under our key",
)


class Transfer(Request):
    """Request to move the money of an approved authorization, or a part of it: the capture of this
    `number`, of which the first is undone where the saga is. `final`: the rest is released.
    `update` names the update that asked for a part: it begins one."""

    authorization_id: str
    agent_id: str
    amount_minor: int
    currency: str
    destination: str
    description: str
    mandate: str | None = None
    # Left out of a first capture: a worker of an earlier version does not know the fields.
    number: int = Field(default=1, exclude_if=lambda number: number == 1)
    final: bool = Field(default=False, exclude_if=lambda final: not final)
    update: str | None = Field(default=None, exclude_if=lambda update: update is None)


class Transferred(Request):
    """An executed transfer; `provider_reference` is the provider's id of it."""

    transfer_id: str
    provider_reference: str


class TransferActivities:
    """Transfers through a payment adapter. The key is the saga's id, and the number of a later
    capture: never the caller's retry."""

    def __init__(self, database: Database, adapter: PaymentAdapter) -> None:
        self._database, self._adapter = database, adapter

    @activity.defn
    async def execute_transfer(self, claim: Claim, request: Transfer) -> Transferred:
        """Sends the transfer once and records the provider's answer.

        Raises Refused (the provider or a revocation says no), Failed (not sent in time), and the
        adapter's OutcomeUnknown and NothingSent: the next attempt looks before it sends.

        Where the adapter can't reverse, or a part is captured, the start of the step says `final`:
        the saga goes forward until the outcome is on record.
        """
        started = await self._start(claim, request)
        step = started.step
        if step.undecided:
            async with _asking():
                self._check_adapter(claim, step)
                report = await self._send_once(claim, request, started)
            step = await self._finish(claim, request, report)
        return self._answer(step)

    async def _start(self, claim: Claim, request: Transfer) -> Started:
        transfer_id, key = transfer_of(claim.saga_id, request.number), _key(claim, request)
        authorization, transfer = (
            authorization_name(request.authorization_id),
            transfer_name(transfer_id),
        )
        agent, policy = agent_name(request.agent_id), policy_name(request.agent_id)
        mandates = await mandates_above(self._database, request.mandate)

        def start(loaded: Loaded) -> Decision[dict[str, Any] | None]:
            # The adapter may be another one than when it was authorized.
            if (kind := account_kind(request.destination)) not in self._adapter.pays_to:
                raise StateRefused(
                    f"the adapter {self._adapter.name} does not pay to an account of kind {kind}",
                    "destination_not_allowed",
                )
            captured = capture(
                *(loaded, loaded[authorization], transfer_id, request.amount_minor),
                final=request.final,
                update=request.update,
            )
            begun = TransferStarted(
                transfer_id=transfer_id,
                saga_id=claim.saga_id,
                adapter=self._adapter.name,
                key=key,
                **request.model_dump(exclude={"agent_id", "description", "mandate", *_OF_PARTS}),
            )
            facts = {
                "adapter": self._adapter.name,
                "account": self._adapter.account,
                "known_as": self._adapter.known_as(key),
                "final": not self._adapter.can_reverse
                or isinstance(captured.result, AuthorizationPartStarted),
            }
            return Decision(facts, [*captured.events, (transfer, begun)], captured.limits)

        return await start_step(
            self._database,
            claim.author(),
            claim.step_claim(request),
            [
                *(Ref(authorization), Ref(transfer), Ref(agent, "share"), Ref(policy, "share")),
                *chain_refs(mandates),
            ],
            start,
            within=SEND_WITHIN,
            windows_of=[request.agent_id, *map(mandate_name, mandates)],
        )

    async def _send_once(
        self, claim: Claim, request: Transfer, started: Started
    ) -> TransferReport | None:
        """The provider's report; None when the order was not sent in time and never will be."""
        if claim.verdict is not None:
            done = claim.verdict.outcome == "done"
            return _by_hand(claim, request, "executed" if done else "cancelled")
        deadline = started.step.deadline
        # Before the look: what is not there at that time counts.
        now = await database_time(self._database)
        is_late = deadline is None or now > deadline or claim.withdrawn
        if started.again or (is_late and not self._adapter.can_cancel):
            # An earlier attempt may have sent it: look before sending again.
            known = await self._find(claim, request)
            if known is not None:
                return known
        if is_late and self._adapter.can_cancel:
            ended = await self._adapter.cancel(_key(claim, request))
            return self._ours(ended, request) if ended.status == "executed" else None
        absent_at = (deadline or now) + ABSENT_AFTER
        if is_late:
            if now > absent_at:
                return None
            raise OutcomeUnknown(
                "the provider has no such transfer, and may still get it",
                max((absent_at - now).total_seconds(), 0) + MARGIN_S,
            )
        order = TransferOrder(
            key=_key(claim, request),
            amount_minor=request.amount_minor,
            currency=request.currency,
            destination=request.destination,
            description=request.description,
        )
        try:
            report = self._ours(await self._adapter.transfer(order), request)
            if report.known_before and not started.again:
                raise NotTheSameTransfer("the provider had a transfer under our key before ours")
        except NotTheSameTransfer as error:
            raise self._foreign(error) from None
        if report.status == "refused" and started.again and not self._adapter.can_cancel:
            # It speaks of this attempt, and an earlier one may have got there, or still get there.
            raise OutcomeUnknown(
                "the provider refuses the repeat of an attempt without answer",
                (absent_at - now).total_seconds() + MARGIN_S,
            )
        return report

    async def _find(self, claim: Claim, request: Transfer) -> TransferReport | None:
        try:
            known = await self._adapter.find(_key(claim, request))
        except NotTheSameTransfer as error:
            raise self._foreign(error) from None
        return self._ours(known, request) if known is not None else None

    def _ours(self, report: TransferReport, request: Transfer) -> TransferReport:
        """The report, if it is of our transfer."""
        try:
            return _same(report, request)
        except NotTheSameTransfer as error:
            raise self._foreign(error) from None

    def _foreign(self, error: NotTheSameTransfer) -> Exception:
        """Another party's transfer under our key. What can't be undone is not compensated on the
        strength of a difference: a person looks first."""
        return error if self._adapter.can_reverse else OutcomeUnknown(str(error), for_ever=True)

    def _check_adapter(self, claim: Claim, step: StepState) -> None:
        """Raises NothingSent where another adapter began the transfer, or one of another account:
        this one would not find it, and pay again."""
        facts = step.facts or {}
        began, account = facts.get("adapter"), facts.get("account")
        if claim.verdict is None and account not in (None, self._adapter.account):
            raise NothingSent(
                "the transfer was begun from another account or address of the provider: run a "
                "worker with those settings for it"
            )
        if claim.verdict is None and began not in (None, self._adapter.name):
            raise NothingSent(
                f"the transfer was begun by the adapter {began}: run a worker with "
                f"AMENDS_PAYMENT_ADAPTER={began} for it"
            )

    async def _finish(
        self, claim: Claim, request: Transfer, report: TransferReport | None
    ) -> StepState:
        transfer_id = transfer_of(claim.saga_id, request.number)
        name, authorization = (
            transfer_name(transfer_id),
            authorization_name(request.authorization_id),
        )

        def finish(loaded: Loaded) -> Decision[StepOutcome]:
            event, outcome = _outcome(transfer_id, report)
            if request.number == 1 or isinstance(outcome, StepDone):
                return Decision(outcome, [(name, event)])
            # Nothing that was captured before is undone.
            returned = part_returned(loaded[authorization], outcome.reason, loaded.now)
            return Decision(outcome, [(name, event), *returned])

        refs = [Ref(name)]
        if request.number > 1:
            refs += [Ref(authorization), Ref(saga_name(claim.saga_id))]
        return await finish_step(
            self._database, claim.author(), claim.step_claim(request), refs, finish
        )

    def _answer(self, step: StepState) -> Transferred:
        if step.state == "refused":
            raise Refused("provider_refused")
        if step.state != "done" or step.result is None:
            # Why is in the ledger: an operator may have written it.
            raise Failed("provider_failed")
        return read(Transferred, step.result)

    @activity.defn
    async def reverse_transfer(self, claim: Claim, request: Transfer) -> UndoReport:
        """Undo of `execute_transfer`: brings the money back, or makes sure it never moves.

        Skipped, it leaves the transfer as it is on record, and the money where it is.
        """
        async with _asking():
            report = await self._take_back(claim, request)
        name = transfer_name(transfer_of(claim.saga_id))

        def undo(loaded: Loaded) -> Decision[StepUndone]:
            transfer: TransferState = loaded[name]
            if claim.skipped:
                return Decision(StepUndone(note="left as it is"))
            if claim.verdict is not None:
                return _undone_by_hand(name, transfer, claim.verdict.evidence)
            if report is None:
                return Decision(FOREIGN, [(name, TransferRefused(reason=FOREIGN.note))])
            if report.status == "reversed":
                event: Event = TransferReversed(reference=report.reference or "")
                return Decision(StepUndone(note="the money came back"), [(name, event)])
            if transfer.state in ("refused", "cancelled"):
                return Decision(StepUndone(note="no money had moved"))
            reason = report.reason or report.status
            refused = report.status == "refused"
            event = TransferRefused(reason=reason) if refused else TransferCancelled(reason=reason)
            note = "no money had moved, and none will"
            return Decision(StepUndone(note=note), [(name, event)])

        step = claim.step_claim(request)
        return await undo_step(self._database, claim.author(), step, [Ref(name)], undo)

    async def _take_back(self, claim: Claim, request: Transfer) -> TransferReport | None:
        """The provider's report; None for a key that another party has used: their transfer
        stays."""
        if claim.verdict is not None:
            return None
        if not self._adapter.can_reverse:
            raise NothingSent(
                f"the adapter {self._adapter.name} reverses nothing: run a worker with the adapter "
                "that began the transfer"
            )
        try:
            known = await self._adapter.find(_key(claim, request))
            if known is not None:
                _same(known, request)
        except NotTheSameTransfer:
            return None
        return await self._adapter.reverse(_key(claim, request))


@asynccontextmanager
async def _asking() -> AsyncIterator[None]:
    """Limits the time of a call to the provider. Raises OutcomeUnknown when it takes too long: left
    to Temporal's own timeout the call would be tried for ever, and no operator asked."""
    try:
        async with heartbeat(), asyncio.timeout(ATTEMPT.total_seconds()):
            yield
    except TimeoutError:
        within = f"{ATTEMPT.total_seconds():g} s"
        raise OutcomeUnknown(f"the provider gave no answer within {within}") from None


def _key(claim: Claim, request: Transfer) -> str:
    return key_of(claim.saga_id, request.number)


def _outcome(transfer_id: str, report: TransferReport | None) -> tuple[Event, StepOutcome]:
    if report is not None and report.status == "executed":
        reference = report.reference or ""
        done = Transferred(transfer_id=transfer_id, provider_reference=reference)
        return TransferExecuted(reference=reference), StepDone(result=done.model_dump())
    if report is not None and report.status == "refused":
        reason = report.reason or "no reason given"
        return TransferRefused(reason=reason), StepRefused(reason=reason)
    reason = report.reason or report.status if report else "not sent before its deadline"
    return TransferCancelled(reason=reason), StepFailed(reason="provider_failed")


def _by_hand(claim: Claim, request: Transfer, status: TransferStatus) -> TransferReport:
    """The outcome that an operator resolved, in the form of a provider's report."""
    assert claim.verdict is not None
    return TransferReport(
        key=_key(claim, request),
        status=status,
        reference=claim.verdict.evidence,
        reason=claim.verdict.evidence,
        amount_minor=request.amount_minor,
        currency=request.currency,
        destination=request.destination,
    )


def _undone_by_hand(name: str, transfer: TransferState, evidence: str) -> Decision[StepUndone]:
    """The undo that an operator resolved: the money came back, or had never moved."""
    executed = transfer.state == "executed"
    event = TransferReversed(reference=evidence) if executed else TransferCancelled(reason=evidence)
    unmoved = transfer.state in ("refused", "cancelled")
    return Decision(StepUndone(note=evidence), [] if unmoved else [(name, event)])


def _same(report: TransferReport, request: Transfer) -> TransferReport:
    """The report, if it is of our transfer: a key with another amount is no idempotency."""
    ours = (request.amount_minor, request.currency, request.destination)
    theirs = (report.amount_minor, report.currency, report.destination)
    if report.status in ("executed", "reversed") and theirs != ours:
        raise NotTheSameTransfer("the provider has another transfer under this key")
    return report
