"""Carries out and undoes one change of one resource at its provider."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activities.errors import Failed
from activities.providers.provider import (
    Marker,
    Observed,
    Provider,
    ProviderRefused,
    Spec,
)
from activities.resource_change import ApplyResource
from ledger.aggregates.resource import DesiredState
from ledger.reading import read

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """The real things before an operation: the one to end (`old`), and the one in the place of the
    resource (`new`). None: it does not exist, or the operation has no such side."""

    old: Observed | None
    new: Observed | None

    def facts(self) -> Json:
        """The facts that are stored with `started`."""
        return {"old": _fact(self.old), "new": _fact(self.new)}


def _fact(observed: Observed | None) -> Json | None:
    if observed is None:
        return None
    marker = str(observed.managed_by) if observed.managed_by else None
    return {"spec": dict(observed.spec), "managed_by": marker, "facts": dict(observed.facts)}


@dataclass(frozen=True)
class Restored:
    """The result of an undo. `stays`: the change itself stands, for the reason in `residual`;
    otherwise a residual says what did not come back."""

    note: str
    stays: bool = False
    residual: str | None = None
    outputs: Json | None = None


class Effects:
    """The providers, in the operations that one change of one resource needs."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = {kind: provider for provider in providers for kind in provider.kinds}

    async def look(self, request: ApplyResource) -> Seen:
        """Reads the real things. Raises ProviderUnavailable, ProviderRefused."""
        ends = request.before if request.action in ("delete", "replace") else None
        return Seen(
            await self._read(request.name, ends), await self._read(request.name, request.after)
        )

    def has_landed(self, request: ApplyResource, saga_id: str, seen: Seen) -> bool:
        """Whether an earlier attempt carried out the operation."""
        if request.after is None:
            return seen.old is None
        marker = Marker(request.aggregate, saga_id)
        return seen.new is not None and seen.new.managed_by == marker

    async def carry_out(self, request: ApplyResource, saga_id: str, seen: Seen) -> Json:
        """Carries out the operation; a repeat goes on where an earlier attempt stopped. Returns the
        outputs.

        Raises ProviderRefused when nothing was changed, Failed when it was refused half-way,
        ProviderUnavailable when it may have landed.
        """
        marker = Marker(request.aggregate, saga_id)
        touched = request.after is not None and self.has_landed(request, saga_id, seen)
        try:
            if not touched:
                _require_free(request, seen.new)
                if request.before and request.action in ("delete", "replace"):
                    await self._delete(request, request.before)
                    touched = True
            return await self._apply(request, request.after, marker) if request.after else {}
        except ProviderRefused as refusal:
            if touched or (request.action == "replace" and seen.old is None):
                raise Failed(f"refused half-way: {refusal}") from refusal
            raise

    async def restore(
        self, request: ApplyResource, saga_id: str, done: bool, tables_before: int
    ) -> Restored:
        """Restores the state before the change; deletes nothing but what this saga made.

        `done`: the ledger says that the change was done; otherwise only what is marked by this
        saga counts as its doing. `tables_before`: what a deleted thing held.
        """
        seen = await self.look(request)
        foreign = seen.new is not None and not _is_ours(seen.new, request, saga_id, done)
        if foreign and request.action != "replace":
            return _not_ours(request, done)
        if request.action in ("create", "replace") and request.after and not foreign:
            try:
                # Also when it is not there: it waits for what a killed attempt left running.
                await self._delete(request, request.after)
            except ProviderRefused as refusal:
                if refusal.reason != "irreversible":
                    raise
                return Restored("it stays: it holds data", True, str(refusal))
        if request.before is None:
            return Restored("nothing of it remains")
        return await self._bring_back(request, request.before, saga_id, seen, tables_before)

    async def _bring_back(
        self,
        request: ApplyResource,
        before: DesiredState,
        saga_id: str,
        seen: Seen,
        tables_before: int,
    ) -> Restored:
        try:
            outputs = await self._apply(request, before, Marker(request.aggregate, saga_id))
        except ProviderRefused as refusal:
            if refusal.reason != "not_managed":
                raise
            return Restored("it is not ours any more", True, str(refusal))
        gone = request.action in ("delete", "replace") and seen.old is None
        lost = f"{before.kind} {request.name} is back without the data of {tables_before} tables"
        return Restored(
            "it is as it was before",
            residual=lost if gone and tables_before else None,
            outputs=outputs,
        )

    async def _read(self, name: str, shape: DesiredState | None) -> Observed | None:
        if shape is None:
            return None
        provider, spec = self._provider(shape)
        return await provider.read(shape.kind, name, spec)

    async def _apply(self, request: ApplyResource, shape: DesiredState, marker: Marker) -> Json:
        provider, spec = self._provider(shape)
        return await provider.apply(shape.kind, request.name, spec, marker)

    async def _delete(self, request: ApplyResource, shape: DesiredState) -> None:
        provider, spec = self._provider(shape)
        await provider.delete(
            shape.kind,
            request.name,
            spec,
            resource=request.aggregate,
            allow_irreversible=request.allow_irreversible,
        )

    def _provider(self, shape: DesiredState) -> tuple[Provider, Spec]:
        provider = self._providers.get(shape.kind)
        if provider is None:
            raise ProviderRefused(
                f"no provider of {shape.kind} is configured in this worker", "no_provider"
            )
        # Admitted with its change, or recorded: a rule that came later does not keep it from being
        # made, or undone.
        return provider, read(provider.kinds[shape.kind], shape.spec)


def _require_free(request: ApplyResource, found: Observed | None) -> None:
    """Raises ProviderRefused for a real thing that no change in the ledger made: it is never
    adopted."""
    if request.action not in ("create", "replace") or found is None:
        return
    thing = f"{request.kind} {request.name}"
    if found.managed_by is None:
        raise ProviderRefused(f"{thing} exists, not managed: import it", "not_managed")
    owner = found.managed_by.resource
    if owner != request.aggregate:
        raise ProviderRefused(
            f"{thing} exists, managed as {owner}: use another name", "not_managed"
        )
    raise ProviderRefused(
        f"{thing} exists, made by {found.managed_by.change}, but the ledger does not have it: "
        "find out why, then drop it or import it",
        "not_managed",
    )


def _is_ours(found: Observed, request: ApplyResource, saga_id: str, done: bool) -> bool:
    marker = found.managed_by
    if marker is None or marker.resource != request.aggregate:
        return False
    # An update begins with a thing that an earlier change has marked.
    return done or request.action == "update" or marker.change == saga_id


def _not_ours(request: ApplyResource, done: bool) -> Restored:
    if done:
        lost = f"{request.kind} {request.name} no longer carries our marker: left as it is"
        return Restored("it is not ours any more", True, lost)
    return Restored("it never happened")
