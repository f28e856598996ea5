"""Activities on transfers: `started` is recorded before the provider is called, the outcome after
it."""

from datetime import timedelta
from typing import Any

from pydantic import Field
from temporalio import activity

from activities import sending
from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    PaymentAdapter,
    TransferOrder,
    TransferReport,
    account_kind,
)
from activities.asked import payee, require_asked
from activities.authorizations import key_of, transfer_of
from activities.capture_decisions import capture, part_returned
from activities.errors import Failed, Refused
from activities.mandates import chain_refs, mandates_above
from activities.sending import Order, Sender, asking
from activities.step import Claim, Request
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
from ledger.errors import NotSigned, StateRefused
from ledger.reading import read
from ledger.sagas.signatures import WORDS
from ledger.sagas.step_log import Started, StepOutcome, finish_step, start_step, undo_step
from ledger.store.canonical_json import digest
from ledger.store.commit import Decision, Loaded, Ref

# When the provider can't tell for so long what became of an order, a person is asked: longer than
# an order may be sent and most outages last, and well within a working day.
TELL_WITHIN = timedelta(hours=1)
# So many answers that are no success make an undo wait for a person: with growing pauses that is an
# hour, too. Money that does not come back by itself takes somebody who telephones.
UNDO_TRIES = 13
# Fields of a request that the authorization keeps of its parts.
_OF_PARTS = ("number", "final", "update")
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
        self._sender = Sender(database, adapter)

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
            order = self._order(claim, request)
            report = await self._sender.outcome_of(claim, started, order)
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
            require_asked(loaded, claim, self._database.signing, "payment", payee(request))
            _require_one_part(claim, request)
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
            order = self._order(claim, request)
            # Where nothing undoes a part, the saga goes forward as well.
            is_part = isinstance(captured.result, AuthorizationPartStarted)
            facts = {**self._sender.facts(order), "final": order.final or is_part}
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
            within=sending.SEND_WITHIN,
            windows_of=[request.agent_id, *map(mandate_name, mandates)],
        )

    def _order(self, claim: Claim, request: Transfer) -> Order:
        order = TransferOrder(
            key=_key(claim, request),
            amount_minor=request.amount_minor,
            currency=request.currency,
            destination=request.destination,
            description=request.description,
        )
        return Order(
            what="transfer",
            key=order.key,
            send=lambda: self._adapter.transfer(order),
            is_ours=lambda report: _is_ours(report, request),
            final=not self._adapter.can_reverse,
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
        async with asking():
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
        except NotTheSameTransfer:
            return None
        if known is not None and not _is_ours(known, request):
            return None
        return await self._adapter.reverse(_key(claim, request))


def _require_one_part(claim: Claim, request: Transfer) -> None:
    """Checks that a signed capture of a part begins one part only, and releases the rest only where
    that was signed. Raises NotSigned."""
    signed = claim.decision
    if signed is None or (request.update is None and request.number == 1 and not request.final):
        return
    releases = request.final and not signed.says.get("final")
    if request.update != digest(signed.value) or releases:
        raise NotSigned(f"invalid_signature: {WORDS['invalid_signature']}", "invalid_signature")


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


def _undone_by_hand(name: str, transfer: TransferState, evidence: str) -> Decision[StepUndone]:
    """The undo that an operator resolved: the money came back, or had never moved."""
    executed = transfer.state == "executed"
    event = TransferReversed(reference=evidence) if executed else TransferCancelled(reason=evidence)
    unmoved = transfer.state in ("refused", "cancelled")
    return Decision(StepUndone(note=evidence), [] if unmoved else [(name, event)])


def _is_ours(report: TransferReport, request: Transfer) -> bool:
    """Whether the report, where money moved, is of our transfer."""
    ours = (request.amount_minor, request.currency, request.destination, None)
    theirs = (report.amount_minor, report.currency, report.destination, report.refund_of)
    return report.status not in ("executed", "reversed") or theirs == ours
