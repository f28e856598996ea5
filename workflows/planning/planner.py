"""Plans a change of an environment: one pure function, fed by the ledger's readers.

The command line and the sagas plan with it, so what a person is shown is what a saga would do.
"""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import pydantic
from pydantic import JsonValue

from activities.providers.kinds import Kinds
from ledger.aggregates.resource import DesiredState
from ledger.read.environments import KnownResource
from workflows.contract.change import ChangeRequest
from workflows.planning.plan import Action, Operation, Plan, Refusal
from workflows.planning.validation import ValidChange, depends_on


def plan(
    change: ValidChange,
    resources: Iterable[KnownResource],
    later: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """Compare the desired resources of a change with the recorded resources of its environment.

    `resources`: at least those of `change.names`. `later` names, by resource, the sagas whose later
    changes this one would reverse. What the recorded state forbids is a refusal in the plan.
    """
    request = change.request
    known = {resource.name: resource for resource in resources}
    operations = _operations(change, known)
    refusals = [
        *_unknown_dependencies(operations, known),
        *_depended_on(operations, known),
        *_claimed(operations, known),
    ]
    notes = _notes(request, known)
    over = _over(operations, later or {})
    if request.force:
        notes += [refusal.sentence for refusal in over]
    else:
        refusals += over
    try:
        operations = _ordered(operations)
    except CycleError as error:
        refusals.append(_circular(error.args[1]))
    return Plan(
        environment=request.environment, operations=operations, refusals=refusals, notes=notes
    )


def _operations(change: ValidChange, known: Mapping[str, KnownResource]) -> list[Operation]:
    wanted, absent, kinds = change.wanted, change.request.absent, change.kinds
    there = {name for name, resource in known.items() if resource.shape is not None}
    there = (there | set(wanted)) - set(absent)
    operations = []
    for name in sorted({*wanted, *absent}):
        after = _resolved(name, wanted[name], there, kinds) if name in wanted else None
        operations.append(_operation(name, known.get(name), after, kinds))
    return operations


def _resolved(name: str, shape: DesiredState, others: set[str], kinds: Kinds) -> DesiredState:
    """The desired state as requested, with the defaults of its kind and all its dependencies."""
    return DesiredState(
        kind=shape.kind,
        spec=_written(shape.kind, shape.spec, kinds),
        depends_on=depends_on(name, shape, others),
    )


def _operation(
    name: str, known: KnownResource | None, after: DesiredState | None, kinds: Kinds
) -> Operation:
    before = known.shape if known else None
    action = _action(before, after, kinds)
    return Operation(
        name=name,
        action=action,
        before=before,
        after=after,
        version=known.version if known else 0,
        loses=_loss(name, before, kinds) if action in ("delete", "replace") else None,
    )


def _action(before: DesiredState | None, after: DesiredState | None, kinds: Kinds) -> Action:
    if before is None or after is None:
        return "none" if before is after else "create" if after else "delete"
    if before.kind != after.kind:
        return "replace"
    old, new = _written(before.kind, before.spec, kinds), after.spec
    if any(old.get(part) != new.get(part) for part in kinds[after.kind].identity):
        return "replace"
    same = old == new and sorted(before.depends_on) == after.depends_on
    return "none" if same else "update"


def in_full(request: ChangeRequest, kinds: Kinds) -> ChangeRequest:
    """The change with the defaults of its kinds filled in: the form in which it is admitted."""
    present = [
        each.model_copy(update={"spec": _written(each.kind, each.spec, kinds)})
        for each in request.present
    ]
    return request.model_copy(update={"present": present})


def _written(kind: str, spec: Mapping[str, JsonValue], kinds: Kinds) -> dict[str, JsonValue]:
    """The spec with its defaults, as this version's model writes it; an old one may not fit."""
    try:
        return kinds[kind].model_validate(spec).model_dump(mode="json")
    except (pydantic.ValidationError, KeyError):
        return dict(spec)


def _loss(name: str, before: DesiredState | None, kinds: Kinds) -> str | None:
    if before is None or before.kind not in kinds or not kinds[before.kind].holds_data:
        return None
    return f"the data in {before.kind} {name} is lost for ever"


def _ends(operation: Operation) -> bool:
    """Whether the operation ends the resource as it is now, also where a new one replaces it."""
    return operation.action in ("delete", "replace")


def _ordered(operations: list[Operation]) -> list[Operation]:
    """Sort the operations along their dependencies and fill in `waits_for`. Raises CycleError."""
    by_name = {operation.name: operation for operation in operations}
    waits: dict[str, set[str]] = {operation.name: set() for operation in operations}
    for operation in operations:
        if operation.action == "none":
            continue
        for needed in operation.after.depends_on if operation.after else ():
            if needed in by_name and by_name[needed].action != "none":
                waits[operation.name].add(needed)
        for old in operation.before.depends_on if operation.before else ():
            if old in by_name and _ends(by_name[old]):
                waits[old].add(operation.name)
    order = TopologicalSorter({name: sorted(waits[name]) for name in sorted(waits)}).static_order()
    return [by_name[name].model_copy(update={"waits_for": sorted(waits[name])}) for name in order]


def _circular(cycle: list[str]) -> Refusal:
    names = ", ".join(sorted(set(cycle)))
    return Refusal(
        reason="circular_replacement",
        resource=cycle[0],
        sentence=f"{names} depend on each other while they are replaced: use two changes",
    )


def _unknown_dependencies(
    operations: list[Operation], known: Mapping[str, KnownResource]
) -> list[Refusal]:
    there = {operation.name for operation in operations if operation.after}
    gone = {operation.name for operation in operations if not operation.after}
    there |= {name for name, resource in known.items() if resource.shape} - gone
    return [
        Refusal(
            reason="unknown_dependency",
            resource=operation.name,
            sentence=f"{operation.name} depends on {needed}, which neither the change nor the "
            f"environment has",
        )
        for operation in operations
        for needed in (operation.after.depends_on if operation.after else ())
        if needed not in there
    ]


def _depended_on(operations: list[Operation], known: Mapping[str, KnownResource]) -> list[Refusal]:
    """Refuse to end a resource on which one that the change does not touch depends."""
    changing = {operation.name for operation in operations if operation.action != "none"}
    return [
        Refusal(
            reason="depended_on",
            resource=operation.name,
            sentence=f"{operation.name} can't end: {name} depends on it",
        )
        for operation in operations
        if _ends(operation)
        for name, resource in sorted(known.items())
        if name not in changing and resource.shape and operation.name in resource.shape.depends_on
    ]


def _claimed(operations: list[Operation], known: Mapping[str, KnownResource]) -> list[Refusal]:
    return [
        Refusal(
            reason="claimed",
            resource=operation.name,
            sentence=f"{operation.name} is being changed by {holder}",
        )
        for operation in operations
        if operation.action != "none" and operation.name in known
        for holder in [known[operation.name].claimed_by]
        if holder
    ]


def _over(operations: list[Operation], later: Mapping[str, Sequence[str]]) -> list[Refusal]:
    return [
        Refusal(
            reason="later_change",
            resource=operation.name,
            sentence=f"{operation.name} was changed later by {', '.join(sagas)}",
        )
        for operation in operations
        if operation.action != "none"
        for sagas in [later.get(operation.name)]
        if sagas
    ]


def _notes(request: ChangeRequest, known: Mapping[str, KnownResource]) -> list[str]:
    unknown = [name for name in sorted(set(request.absent)) if name not in known]
    gone = [name for name in sorted(set(request.absent)) if name in known and not known[name].shape]
    return [f"{name} is not known in {request.environment}: nothing to do" for name in unknown] + [
        f"{name} is already absent" for name in gone
    ]
