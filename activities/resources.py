"""Activities on resources: `started` is recorded before a provider is called, the outcome after it.

Who may still be calling: each attempt begins with a look at the saga's epoch and ends, by its own
clock, within `ATTEMPT`, also when it was frozen in between. So an undo of a step without an
outcome waits that long, and believes only then what it sees.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import ATTEMPT, UNAVAILABLE_NOW, Failed
from activities.providers.kinds import known_kinds
from activities.providers.provider import Provider, ProviderRefused, ProviderUnavailable
from activities.resource_change import (
    CLAIMED,
    Applied,
    ApplyResource,
    KnownResources,
    PastResources,
    ReadPast,
    ReadResources,
    done_event,
    undone_event,
)
from activities.resource_effects import Effects, Restored, Seen
from activities.specs import spec_problems
from activities.step import Claim, heartbeat
from ledger.aggregates.aggregate import Event
from ledger.aggregates.resource import (
    DesiredState,
    ResourceChangeDropped,
    ResourceChangeStarted,
    ResourceState,
    resource_name,
)
from ledger.aggregates.saga import SagaState, saga_name
from ledger.aggregates.saga_step import StepDone, StepRefused, StepState, StepUndone, step_name
from ledger.aggregates.step_report import UndoReport
from ledger.database import Database
from ledger.errors import Fenced, NotFound, StateRefused
from ledger.read import environments as resource_history
from ledger.read.current_state import state_of
from ledger.read.environments import Rewound
from ledger.reading import read
from ledger.sagas.step_log import (
    Started,
    StepClaim,
    StepOutcome,
    commit_step,
    finish_step,
    start_step,
    undo_step,
)
from ledger.store.commit import Decision, Loaded, Ref, commit, database_time

Answer = TypeVar("Answer")
Json = dict[str, Any]

# How long a resource may be tried while its provider is away; then the change is undone.
APPLY_WITHIN = timedelta(minutes=5)


class _PlanOutdated(StateRefused):
    """Another saga has changed a resource of the plan since the plan was made, and let go of it."""

    def __init__(self, aggregate: str) -> None:
        super().__init__(f"{aggregate} was changed since the plan was made", CLAIMED)
        self.aggregate = aggregate


class ResourceActivities:
    """Activities that change resources through their providers, each under a claim of the
    resource."""

    def __init__(
        self, database: Database, providers: Sequence[Provider], attempt: timedelta = ATTEMPT
    ) -> None:
        """`attempt`: how long one attempt may call an external system."""
        self._database, self._effects, self._attempt = database, Effects(providers), attempt

    @activity.defn
    async def read_resources(self, claim: Claim, request: ReadResources) -> KnownResources:
        """Reads the recorded resources; the answer is stored, so that a take-over goes on with the
        same plan."""
        step = claim.step_claim(request)
        known = KnownResources(
            resources=await resource_history.resources(
                self._database, request.environment, request.names
            )
        )
        kept = read(KnownResources, await self._keep(claim, step, known))
        return kept.model_copy(update={"admitted": claim.admitted})

    @activity.defn
    async def read_past(self, claim: Claim, request: ReadPast) -> PastResources:
        """Reads the resources as they were and as they are; stored like `read_resources`.

        Raises StateRefused: `unknown_change`, `not_ended`, `in_the_future`.
        """
        step = claim.step_claim(request)
        try:
            rewound = await resource_history.resources_at(
                self._database, request.environment, request.to, request.names
            )
        except NotFound as error:
            raise StateRefused(str(error), "unknown_change") from error
        past = PastResources(**vars(rewound), outdated=_outdated(rewound))
        kept = read(PastResources, await self._keep(claim, step, past))
        return kept.model_copy(update={"admitted": claim.admitted})

    async def _keep(
        self, claim: Claim, step: StepClaim, found: KnownResources | PastResources
    ) -> Json:
        result = found.model_dump(mode="json", exclude={"admitted"})
        return await commit_step(
            self._database, claim.author(), step, [], lambda _: Decision(result)
        )

    @activity.defn
    async def apply_resource(self, claim: Claim, request: ApplyResource) -> Applied:
        """Reads the real thing, claims the resource, carries out the operation, and records its
        outcome.

        Raises StateRefused (someone else changes or has changed it; the provider says no), Failed
        (half-way, or not in time: the undo looks), ProviderUnavailable.
        """
        async with heartbeat():
            return await _to_its_end(self._apply(claim, request))

    async def _apply(self, claim: Claim, request: ApplyResource) -> Applied:
        try:
            async with asyncio.timeout(self._attempt.total_seconds()):
                seen = await self._effects.look(request)
                started = await self._start(claim, request, seen)
                if not started.step.undecided:
                    return _answer(started.step)
                outcome, event = await self._act(claim, request, started.step, seen)
        except TimeoutError:
            what = f"{request.kind} {request.name}"
            raise ProviderUnavailable(f"{what}: no end within {self._attempt}") from None
        return _answer(await self._finish(claim, request, outcome, event))

    async def _start(self, claim: Claim, request: ApplyResource, seen: Seen) -> Started:
        name = request.aggregate
        needed = [
            resource_name(request.environment, other)
            for other in (request.after.depends_on if request.after else ())
        ]

        def start(loaded: Loaded) -> Decision[Json | None]:
            _require_unchanged(loaded, request)
            for other in needed:
                _require_present(loaded[other], other)
            begun = ResourceChangeStarted(
                environment=request.environment,
                name=request.name,
                kind=request.kind,
                change=claim.saga_id,
                action=request.action,
            )
            return Decision(seen.facts(), [(name, begun)])

        try:
            return await start_step(
                self._database,
                claim.author(),
                claim.step_claim(request),
                [Ref(name), *(Ref(other, "share") for other in needed)],
                start,
                within=APPLY_WITHIN,
            )
        except _PlanOutdated as outdated:
            raise await self._lost_to(outdated.aggregate) from None

    async def _lost_to(self, aggregate: str) -> StateRefused:
        """The refusal of a change that another one has overtaken, with the saga of that one."""
        holder = await resource_history.last_saga(self._database, aggregate)
        name = aggregate.rpartition("/")[2]
        return StateRefused(f"{name} was changed by {holder} since the plan was made", CLAIMED)

    async def _act(
        self, claim: Claim, request: ApplyResource, step: StepState, seen: Seen
    ) -> tuple[StepOutcome, Event]:
        late = step.deadline is None or await database_time(self._database) > step.deadline
        if late and not self._effects.has_landed(request, claim.saga_id, seen):
            raise Failed(f"{request.name} could not be changed in time")
        try:
            outputs = await self._effects.carry_out(request, claim.saga_id, seen)
        except ProviderRefused as refusal:
            dropped = ResourceChangeDropped(change=claim.saga_id, reason=str(refusal))
            return StepRefused(reason=f"{refusal.reason}: {refusal}"), dropped
        done = StepDone(result=Applied(outputs=outputs).model_dump(mode="json"))
        return done, done_event(request, claim.saga_id, outputs)

    async def _finish(
        self, claim: Claim, request: ApplyResource, outcome: StepOutcome, event: Event
    ) -> StepState:
        name = request.aggregate
        return await finish_step(
            self._database,
            claim.author(),
            claim.step_claim(request),
            [Ref(name)],
            lambda _: Decision(outcome, [(name, event)]),
        )

    @activity.defn
    async def undo_resource(self, claim: Claim, request: ApplyResource) -> UndoReport:
        """Undo of `apply_resource`: restores the state before, or reports what stays.

        Data stays: what was created and holds data by now is left, unless irreversible is allowed.
        """
        async with heartbeat():
            return await _to_its_end(self._undo(claim, request))

    async def _undo(self, claim: Claim, request: ApplyResource) -> UndoReport:
        step = await state_of(self._database, step_name(claim.saga_id, claim.step))
        if not isinstance(step, StepState):
            raise NotFound(f"no step named {claim.step!r} was started")
        if step.undecided and claim.verdict is None:  # else a try before this one has waited
            self._wait_for_attempts(request)
        return await self._record_undo(claim, request, await self._restore(claim, request, step))

    async def _restore(self, claim: Claim, request: ApplyResource, step: StepState) -> Restored:
        if step.state == "undone":
            return Restored("already undone")
        if claim.verdict is not None and claim.skipped:
            # The ledger keeps what it has of it, and the next change may claim it.
            return Restored("left as it is", step.state == "done", claim.verdict.evidence)
        if not await self._hold(claim, request):
            later = f"{request.name} was changed later by another saga: left as it is"
            return Restored("another change came later", True, later)
        users = await self._users(request) if step.state == "done" else []
        if users and request.action in ("create", "replace"):
            stays = f"{request.kind} {request.name} stays: {', '.join(users)} depends on it"
            return Restored("others depend on it", True, stays)
        if claim.verdict is not None:
            return Restored(claim.verdict.evidence)
        return await self._effects.restore(
            request, claim.saga_id, step.state == "done", _tables(step)
        )

    async def _users(self, request: ApplyResource) -> list[str]:
        """The resources that depend on this one now, maybe because their own undo had to leave
        them."""
        near = await resource_history.resources(self._database, request.environment, [request.name])
        return [each.name for each in near if each.shape and request.name in each.shape.depends_on]

    def _wait_for_attempts(self, request: ApplyResource) -> None:
        """Raises a failure to be retried while the last attempt, whose outcome is in doubt, may
        still be calling."""
        until = activity.info().scheduled_time + self._attempt
        left = until - datetime.now(UTC)
        if left > timedelta(0):
            raise ApplicationError(
                f"an attempt to {request.action} {request.name} may still be running",
                type=UNAVAILABLE_NOW,
                next_retry_delay=left,
            )

    async def _hold(self, claim: Claim, request: ApplyResource) -> bool:
        """Claims the resource once more, to undo what was done; False when another change came
        later."""
        name, saga = request.aggregate, saga_name(claim.saga_id)

        def hold(loaded: Loaded) -> Decision[bool]:
            state: ResourceState = loaded[name]
            _require_compensating(loaded[saga], claim)
            if state.claimed_by == claim.saga_id:
                return Decision(True)
            if DesiredState.of(state) != request.after:
                return Decision(False)
            if state.claimed_by:
                raise ProviderUnavailable(f"{request.name} is being changed by {state.claimed_by}")
            begun = ResourceChangeStarted(
                environment=request.environment,
                name=request.name,
                kind=request.kind,
                change=claim.saga_id,
                action="undo",
            )
            return Decision(True, [(name, begun)])

        refs = [Ref(saga, "share"), Ref(name)]
        return await commit(self._database, claim.author(), refs, hold)

    async def _record_undo(
        self, claim: Claim, request: ApplyResource, restored: Restored
    ) -> UndoReport:
        name, step = request.aggregate, step_name(claim.saga_id, claim.step)
        undone = StepUndone(note=restored.note, residual=restored.residual)

        def undo(loaded: Loaded) -> Decision[StepUndone]:
            if loaded[name].claimed_by != claim.saga_id:
                return Decision(undone)
            done = loaded[step].state == "done"
            event = _undo_event(request, claim.saga_id, done, restored)
            return Decision(undone, [(name, event)])

        return await undo_step(
            self._database, claim.author(), claim.step_claim(request), [Ref(name)], undo
        )


def _outdated(rewound: Rewound) -> str:
    """The rules of today that the resources of then break, in words."""
    shapes = [(past.name, past.was) for past in rewound.past if past.was is not None]
    return "; ".join(
        f"present[{index}].{field}: {reason}"
        for index, (name, shape) in enumerate(shapes)
        for field, reason in spec_problems(shape.kind, name, shape.spec, known_kinds())
    )


def _undo_event(request: ApplyResource, saga_id: str, done: bool, restored: Restored) -> Event:
    """The event of an undo. Dropped: the resource is as recorded already."""
    if done != restored.stays:
        make = undone_event if done else done_event
        return make(request, saga_id, restored.outputs or {})
    return ResourceChangeDropped(change=saga_id, reason=restored.residual or restored.note)


def _require_unchanged(loaded: Loaded, request: ApplyResource) -> None:
    state: ResourceState | None = loaded[request.aggregate]
    version = loaded.version(request.aggregate)
    if state is not None and state.claimed_by and version != request.version:
        raise StateRefused(f"{request.name} is being changed by {state.claimed_by}", CLAIMED)
    if version != request.version:
        raise _PlanOutdated(request.aggregate)


def _require_present(state: ResourceState | None, name: str) -> None:
    if state is None or state.state != "present":
        raise _PlanOutdated(name)


def _require_compensating(saga: SagaState, claim: Claim) -> None:
    if saga.epoch != claim.epoch or saga.state != "compensating":
        raise Fenced(
            f"{claim.saga_id} is at epoch {saga.epoch} ({saga.state}), "
            f"this attempt is of epoch {claim.epoch}"
        )


def _answer(step: StepState) -> Applied:
    if step.state == "refused":
        reason, _, sentence = (step.reason or "").partition(": ")
        raise StateRefused(sentence, reason)
    return read(Applied, step.result)


def _tables(step: StepState) -> int:
    """The number of tables that the previous thing held."""
    old = (step.facts or {}).get("old") or {}
    return int(old.get("facts", {}).get("tables", 0))


async def _to_its_end(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Awaits the work to its end: a cancel waits until the outcome is recorded, and is raised after
    it."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        # What it ended with is on record; gather only collects it.
        await asyncio.gather(task, return_exceptions=True)
        raise
