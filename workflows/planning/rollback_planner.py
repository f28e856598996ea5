"""Plans a rollback: the change that brings an environment back to a point of the log."""

from collections.abc import Mapping
from dataclasses import dataclass

from activities.providers.kinds import Kinds
from activities.resource_change import PastResources
from ledger.read.environments import PastResource, Rewound
from workflows.contract.change import MAX_RESOURCES, ChangeRequest, Resource, RollbackRequest
from workflows.planning.plan import Plan, Refusal
from workflows.planning.planner import plan
from workflows.planning.validation import InvalidChange, consistent, validated


@dataclass(frozen=True)
class Reversal:
    """The plan of a rollback; `undoes` names, by resource, the first saga that the rollback
    reverses."""

    plan: Plan
    undoes: Mapping[str, str]


def plan_rollback(
    request: RollbackRequest, rewound: Rewound, kinds: Kinds | None = None
) -> Reversal:
    """Plan the change that brings the environment back to `request.to`.

    Back to before a change, a resource that another change touched later needs `force`. Back to a
    time or a position, all changes since are meant, and the notes name them.
    """
    undoes = {past.name: past.changed_since[0] for past in rewound.past if past.changed_since}
    if len(rewound.past) > MAX_RESOURCES:
        return Reversal(_refused(request, _too_many(rewound.past)), undoes)
    outdated = rewound.outdated if isinstance(rewound, PastResources) else None
    if outdated:
        return Reversal(_refused(request, _outdated(outdated)), undoes)
    try:
        # Decided when the past was read, and on record with it: a replay may know other kinds. An
        # answer of an older version, and the plan of a client, are checked here.
        check = validated if outdated is None else consistent
        change = check(_change(request, rewound.past), kinds)
    except InvalidChange as error:
        return Reversal(_refused(request, _outdated(str(error))), undoes)
    planned = plan(change, rewound.known, _later(request, rewound.past))
    notes = [*_untouched(request, rewound.past), *planned.notes]
    if not request.to.startswith("before:"):
        touched = {operation.name for operation in planned.to_do}
        notes += [_takes_back(past) for past in rewound.past if past.name in touched]
    return Reversal(planned.model_copy(update={"notes": notes}), undoes)


def _change(request: RollbackRequest, past: list[PastResource]) -> ChangeRequest:
    # Of what was admitted or recorded: not validated by this.
    return ChangeRequest.model_construct(
        # Never shown: the saga that carries it has an operation id of its own.
        operation_id=request.operation_id or "rollback",
        environment=request.environment,
        actor=request.actor,
        present=[
            Resource.model_construct(name=each.name, **vars(each.was)) for each in past if each.was
        ],
        absent=[each.name for each in past if each.was is None],
        force=request.force,
        allow_irreversible=request.allow_irreversible,
    )


def _later(request: RollbackRequest, past: list[PastResource]) -> dict[str, list[str]]:
    """The sagas that changed a resource after the change that is rolled back."""
    if not request.to.startswith("before:"):
        return {}
    meant = _operation("change/" + request.to.removeprefix("before:"))
    return {
        each.name: [saga for saga in each.changed_since if _operation(saga) != meant]
        for each in past
    }


def _operation(saga_id: str) -> str:
    """The kind and the operation id, also of a run of a schedule, whose saga id has colons."""
    return saga_id.replace(":", ".")


def _untouched(request: RollbackRequest, past: list[PastResource]) -> list[str]:
    names = sorted(set(request.resources or ()) - {each.name for each in past})
    return [f"{name} was not touched since {request.to}: nothing to do" for name in names]


def _takes_back(past: PastResource) -> str:
    return f"{past.name}: takes back {', '.join(past.changed_since)}"


def _refused(request: RollbackRequest, refusal: Refusal) -> Plan:
    return Plan(environment=request.environment, operations=[], refusals=[refusal])


def _too_many(past: list[PastResource]) -> Refusal:
    sentence = f"{len(past)} resources were touched since, at most {MAX_RESOURCES} go at once"
    return Refusal(reason="too_many", resource=past[0].name, sentence=f"{sentence}: name some")


def _outdated(problems: str) -> Refusal:
    return Refusal(
        reason="outdated_spec",
        resource="",
        sentence=f"what was there is not valid in this version: {problems}",
    )
