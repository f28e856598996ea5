"""Sends the decisions of people and agents to a saga."""

from contextlib import suppress
from typing import Any
from uuid import uuid4

from starter.client.errors import NotAllowed, NotKnown, Unreachable, WrongSetting
from starter.client.standing import Standing
from starter.client.validation import checked
from starter.client.wrong_kind import require_payment
from workflows.contract.progress import Progress
from workflows.contract.updates import Approval, By, Capture, OperatorAction, Resolve, Skip


class Decisions(Standing):
    """The updates of the contract, each repeatable by its sender."""

    async def approve(
        self,
        saga_id: str,
        *,
        actor: str,
        reason: str | None = None,
        binding: str | None = None,
        amount_minor: int | None = None,
    ) -> Progress:
        """Approve the payment, or a smaller amount of it in minor units, as a person. A repeat by
        the same person gets the progress.

        `binding` is the digest of what the person saw, from the authorization: an approval of
        anything else is refused. Raises NotAllowed unless it waits for approval, and where the
        policy of now refuses it.
        """
        told: dict[str, Any] = {"actor": actor, "reason": reason, "binding": binding}
        if amount_minor is not None:
            told["amount_minor"] = amount_minor
        return await self._once("approve", saga_id, checked(Approval, told))

    async def reject(self, saga_id: str, *, actor: str, reason: str | None = None) -> Progress:
        """Reject the payment as a person. A repeat by the same person gets the progress.

        Raises NotAllowed unless it waits for approval.
        """
        return await self._once("reject", saga_id, _by(actor, reason))

    async def _once(self, verb: str, saga_id: str, by: By) -> Progress:
        require_payment(verb, saga_id)
        actor = by.actor
        try:
            return await self._update(verb, saga_id, by)
        except NotAllowed:
            # The answer to the first may have been lost; the ledger knows whose decision stands.
            # An agent that approves is refused, also where its own limits approved.
            if (ledger := self._ledger()) is None or not actor.startswith("user:"):
                raise
            from starter.client.recorded import decided_by

            with suppress(NotKnown, Unreachable, WrongSetting):
                progress = await self.progress(saga_id)
                end = (progress.result or {}).get("state")
                stands = end == "rejected" if verb == "reject" else end in (None, "captured")
                if stands and actor in await decided_by(ledger, saga_id, verb):
                    return progress
            raise

    async def capture(
        self,
        saga_id: str,
        *,
        actor: str,
        reason: str | None = None,
        amount_minor: int | None = None,
        final: bool = False,
        update_id: str | None = None,
    ) -> Progress:
        """Capture all that is left of the approved payment, or a part of it, in minor units;
        `final` releases what is left then. A repeat of the whole gets the first answer, never a
        second payment; a part is captured once for each `update_id`, which is a new one by default.

        Answers with the outcome, or with `resolving` while that is in doubt, `needs_attention`
        where a person has to look first, `compensating` where the payment is being undone. Raises
        NotAllowed unless it is approved.
        """
        require_payment("capture", saga_id)
        try:
            told: dict[str, Any] = {"actor": actor, "reason": reason}
            if amount_minor is not None:
                # A signature is of one part: that of another of the same amount differs.
                update_id = update_id or uuid4().hex
                told |= {"amount_minor": amount_minor, "update_id": update_id}
            told |= {"final": True} if final else {}
            return await self._update("capture", saga_id, checked(Capture, told), update_id)
        except NotAllowed:
            if amount_minor is not None:
                raise
            progress = await self.progress(saga_id)
            if progress.result and progress.result.get("state") == "captured":
                return progress
            raise

    async def void(self, saga_id: str, *, actor: str, reason: str | None = None) -> Progress:
        """Void what is not captured of a payment: with nothing captured it is cancelled. A repeat
        of that gets the progress. Raises NotAllowed while a capture is under way, and afterwards.
        """
        require_payment("void", saga_id)
        try:
            return await self._update("void", saga_id, _by(actor, reason))
        except NotAllowed:
            progress = await self.progress(saga_id)
            if progress.result and progress.result.get("state") == "voided":
                return progress
            raise

    async def cancel(self, saga_id: str, *, actor: str, reason: str | None = None) -> Progress:
        """Cancel a saga of any kind and compensate it. Raises NotAllowed when it is too late."""
        return await self._update("cancel", saga_id, _by(actor, reason))

    async def retry(
        self, saga_id: str, step: str, *, actor: str, reason: str | None = None
    ) -> Progress:
        """Retry the step that waits for an operator, or its undo. Raises NotAllowed."""
        by = checked(OperatorAction, {"step": step, "actor": actor, "reason": reason})
        return await self._update("retry", saga_id, by)

    async def skip(self, saga_id: str, step: str, *, actor: str, reason: str) -> Progress:
        """Give up the undo of the step: what is left is a residual of the result.

        Raises NotAllowed unless it is being undone, with no success so far.
        """
        by = checked(Skip, {"step": step, "actor": actor, "reason": reason})
        return await self._update("skip", saga_id, by)

    async def resolve(
        self,
        saga_id: str,
        step: str,
        *,
        actor: str,
        evidence: str,
        outcome: str | None = None,
        reason: str | None = None,
    ) -> Progress:
        """Resolve the outcome of the step: `done` or `failed` where it is in doubt, `undone` (or
        None) where its undo has no success.

        `evidence` is the proof: a reference of the provider, a ticket. Of a transfer
        that is done it becomes the provider's reference. Raises NotAllowed.
        """
        told = {"step": step, "actor": actor, "reason": reason}
        by = checked(Resolve, {**told, "evidence": evidence, "outcome": outcome})
        return await self._update("resolve", saga_id, by)


def _by(actor: str, reason: str | None) -> By:
    return checked(By, {"actor": actor, "reason": reason})
