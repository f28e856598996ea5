"""Validates a change by itself, whatever the ledger knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from activities.providers.kinds import Kinds, ProviderNotLoaded, known_kinds
from activities.specs import spec_problems
from ledger.aggregates.resource import DesiredState
from workflows.contract.change import ChangeRequest, Resource

# Clients catch it, and import no activities.
__all__ = [
    "InvalidChange",
    "ProviderNotLoaded",
    "ValidChange",
    "as_admitted",
    "consistent",
    "depends_on",
    "known_kinds",
    "validated",
]


class InvalidChange(Exception):
    """The request contradicts itself or a kind's model. `problems`: field and reason, no values."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{place}: {reason}" for place, reason in problems))
        self.problems = problems


@dataclass(frozen=True)
class ValidChange:
    """A change that is valid by itself: the desired state of each resource as requested, and the
    kinds that its plan goes by."""

    request: ChangeRequest
    wanted: Mapping[str, DesiredState]
    kinds: Kinds

    @property
    def names(self) -> set[str]:
        """The names of all resources that its plan has to know: see
        `ledger.read.environments.resources`."""
        named = set(self.request.absent) | set(self.wanted)
        return named.union(*(each.mentions() for each in self.wanted.values()))


def validated(request: ChangeRequest, kinds: Kinds | None = None) -> ValidChange:
    """Validate a new change by itself. `kinds`: those of this installation unless given.

    Raises InvalidChange, ProviderNotLoaded.
    """
    known = known_kinds() if kinds is None else kinds
    problems = _problems_in(request, known)
    if problems:
        raise InvalidChange(problems)
    return as_admitted(request, known)


def consistent(request: ChangeRequest, kinds: Kinds | None = None) -> ValidChange:
    """Take a change as valid whose specs were validated elsewhere. Raises InvalidChange for one
    that contradicts itself, ProviderNotLoaded."""
    problems = _problems_in(request, None)
    if problems:
        raise InvalidChange(problems)
    return as_admitted(request, kinds)


def as_admitted(request: ChangeRequest, kinds: Kinds | None = None) -> ValidChange:
    """Take a change as valid that was admitted before, whatever the models of its kinds say by now.
    Raises ProviderNotLoaded."""
    known = known_kinds() if kinds is None else kinds
    return ValidChange(request, {each.name: _asked(each) for each in request.present}, known)


def _problems_in(request: ChangeRequest, kinds: Kinds | None) -> list[tuple[str, str]]:
    """The problems of a request by itself: field (`present[1].spec.owner`) and reason. Without
    `kinds`, only its contradictions."""
    problems: list[tuple[str, str]] = []
    seen: set[str] = set()
    for index, resource in enumerate(request.present):
        place = f"present[{index}]"
        if resource.name in seen:
            problems.append((f"{place}.name", "another resource of this change has this name"))
        seen.add(resource.name)
        if kinds is not None:
            problems += [
                (f"{place}.{field}", reason)
                for field, reason in spec_problems(
                    resource.kind, resource.name, resource.spec, kinds
                )
            ]
        problems += _needs_absent(place, resource, set(request.absent))
    for index, name in enumerate(request.absent):
        if name in seen:
            problems.append((f"absent[{index}]", "is also present or absent in this change"))
        seen.add(name)
    return problems or _cycle(request)


def _needs_absent(place: str, resource: Resource, absent: set[str]) -> list[tuple[str, str]]:
    problems = [
        (f"{place}.depends_on[{position}]", "is to be absent in the same change")
        for position, name in enumerate(resource.depends_on)
        if name in absent
    ]
    if not problems and (_asked(resource).mentions() - {resource.name}) & absent:
        problems.append((f"{place}.spec", "names a resource that is to be absent"))
    return problems


def _cycle(request: ChangeRequest) -> list[tuple[str, str]]:
    shapes = {resource.name: _asked(resource) for resource in request.present}
    graph = {name: depends_on(name, shape, shapes) for name, shape in shapes.items()}
    for resource in request.present:
        if resource.name in resource.depends_on:
            graph[resource.name].append(resource.name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        index = next(i for i, known in enumerate(request.present) if known.name == cycle[0])
        return [(f"present[{index}].depends_on", f"a cycle of dependencies: {' -> '.join(cycle)}")]
    return []


def _asked(resource: Resource) -> DesiredState:
    """The desired state of a resource as requested."""
    return DesiredState(
        kind=resource.kind, spec=dict(resource.spec), depends_on=resource.depends_on
    )


def depends_on(name: str, shape: DesiredState, others: Iterable[str]) -> list[str]:
    """The dependencies of a resource: those it names, and every text in its spec that names a
    resource."""
    implied = (shape.mentions() & set(others)) - {name}
    return sorted(implied | set(shape.depends_on) - {name})
