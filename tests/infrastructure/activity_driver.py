"""Activities on resources carried out by hand, with a worker that dies where a test says."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

from temporalio.testing import ActivityEnvironment

from activities.providers.postgres.spec import KINDS
from activities.providers.provider import Marker, Observed, Provider, Spec
from activities.resource_change import Applied, ApplyResource
from activities.resources import ResourceActivities
from activities.step import Claim
from ledger.aggregates.resource import DesiredState
from ledger.aggregates.saga_step import StepState, UndoPlan, step_name
from ledger.aggregates.step_report import UndoReport
from ledger.database import Database
from ledger.read.current_state import state_of
from ledger.read.environments import resources
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Opening, Run, begin_compensation, close_saga, open_saga
from ledger.store.commit import Author, database_time
from workflows.contract.change import ChangeAction, ChangeRequest
from workflows.planning.planner import plan
from workflows.planning.validation import validated

AUTHOR = Author("user:ana")


class Killed(Exception):
    """The worker is gone: nothing of ours runs after this."""


@dataclass
class KillableProvider:
    """A provider whose worker dies at the `dies_at`-th change: before it, or after it landed."""

    provider: Provider
    dies_at: int = 0
    after: bool = False
    changes: int = 0

    @property
    def kinds(self) -> Mapping[str, type[Spec]]:
        return self.provider.kinds

    async def read(self, kind: str, name: str, spec: Spec) -> Observed | None:
        return await self.provider.read(kind, name, spec)

    async def apply(self, kind: str, name: str, spec: Spec, marker: Marker) -> dict[str, Any]:
        self._count(before=True)
        outputs = await self.provider.apply(kind, name, spec, marker)
        self._count(before=False)
        return outputs

    async def delete(
        self, kind: str, name: str, spec: Spec, *, resource: str, allow_irreversible: bool
    ) -> None:
        self._count(before=True)
        await self.provider.delete(
            kind, name, spec, resource=resource, allow_irreversible=allow_irreversible
        )
        self._count(before=False)

    def _count(self, *, before: bool) -> None:
        self.changes += before
        if self.changes == self.dies_at and before != self.after:
            self.dies_at = 0
            raise Killed


@dataclass
class ActivityDriver:
    """One resource at a time, in sagas of our own making."""

    database: Database
    provider: KillableProvider
    attempt: timedelta = timedelta(seconds=5)
    environment: ActivityEnvironment = field(default_factory=ActivityEnvironment)

    @property
    def activities(self) -> ResourceActivities:
        return ResourceActivities(self.database, [self.provider], attempt=self.attempt)

    async def open(self, operation_id: str) -> str:
        """A saga that runs; returns its id."""
        saga_id = f"change/{operation_id}"
        opening = Opening(
            saga_id=saga_id,
            actor="user:u-17",
            kind="change",
            operation_id=operation_id,
            input={},
            fingerprint=Fingerprint(given="-"),
            run=Run("default", "namespace-1", "amends-infrastructure", "run-1"),
        )
        await open_saga(self.database, AUTHOR, opening)
        return saga_id

    async def request(self, name: str, **parts: Any) -> ApplyResource:
        """What the planner makes of the wish for one resource."""
        wish = {"operation_id": "any", "actor": "user:ana", **parts}
        change = validated(ChangeRequest.model_validate(wish), KINDS)
        planned = plan(change, await resources(self.database, "dev"))
        [operation] = [each for each in planned.to_do if each.name == name]
        return ApplyResource(
            environment="dev",
            name=name,
            action=cast(ChangeAction, operation.action),
            before=operation.before,
            after=operation.after,
            version=operation.version,
        )

    def claim(self, saga_id: str, request: ApplyResource, epoch: int = 1) -> Claim:
        undo = UndoPlan(
            activity="undo_resource", request=request.model_dump(mode="json"), outside=True
        )
        step = f"{request.action} {request.name}"
        return Claim(
            saga_id=saga_id, step=step, ordinal=1, epoch=epoch, actor="user:ana", undo=undo
        )

    async def apply(self, saga_id: str, request: ApplyResource) -> Applied:
        """One attempt."""
        self.environment.info = replace(self.environment.info, activity_type="apply_resource")
        claim = self.claim(saga_id, request)
        return await self.environment.run(self.activities.apply_resource, claim, request)

    async def done(self, operation_id: str, name: str, **parts: Any) -> None:
        """A whole saga of one resource."""
        saga_id = await self.open(operation_id)
        await self.apply(saga_id, await self.request(name, **parts))
        await close_saga(self.database, AUTHOR, saga_id, 1, "completed", {"state": "applied"})

    async def undo(self, saga_id: str, request: ApplyResource) -> UndoReport:
        """Compensate the saga and undo its step."""
        compensation = await begin_compensation(
            self.database, AUTHOR, saga_id, 1, "run", "provider_failed", None
        )
        return await self.undo_again(saga_id, request, compensation.epoch)

    async def undo_again(self, saga_id: str, request: ApplyResource, epoch: int) -> UndoReport:
        claim = self.claim(saga_id, request, epoch)
        return await self.environment.run(self.activities.undo_resource, claim, request)

    async def is_late(self, saga_id: str, request: ApplyResource) -> bool:
        """Whether the step's deadline has passed."""
        name = step_name(saga_id, self.claim(saga_id, request).step)
        step = await state_of(self.database, name)
        assert isinstance(step, StepState)
        assert step.deadline
        return await database_time(self.database) > step.deadline

    async def shape(self, name: str) -> DesiredState | None:
        """The resource as the ledger has it."""
        known = await resources(self.database, "dev", [name])
        return next((each.shape for each in known if each.name == name), None)

    async def claimed_by(self, name: str) -> str | None:
        known = await resources(self.database, "dev", [name])
        return next((each.claimed_by for each in known if each.name == name), None)

    async def real(self, shape: DesiredState | None, name: str) -> dict[str, Any] | None:
        """The spec of the real thing that stands where `shape` would."""
        if shape is None:
            return None
        spec = KINDS[shape.kind].model_validate(shape.spec)
        observed = await self.provider.read(shape.kind, name, spec)
        return dict(observed.spec) if observed else None
