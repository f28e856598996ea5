"""Facts of the planner: pure, so without servers."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.providers.postgres.spec import KINDS
from ledger.aggregates.resource import DesiredState
from ledger.read.environments import KnownResource
from tests.infrastructure.driver import database, role, schema
from workflows.contract.change import ChangeRequest, Resource
from workflows.planning import planner
from workflows.planning.plan import Operation, Plan
from workflows.planning.validation import InvalidChange, validated

World = dict[str, DesiredState]

ROLES, DATABASES, SCHEMAS = ("ra", "rb", "rc"), ("da", "db"), ("sa", "sb", "sc")


def change(**parts: Any) -> ChangeRequest:
    return ChangeRequest.model_validate({"operation_id": "c-1", "actor": "user:ana"} | parts)


def known(world: Mapping[str, DesiredState]) -> dict[str, KnownResource]:
    return {name: KnownResource(name=name, version=3, shape=world[name]) for name in world}


def apply(world: Mapping[str, DesiredState], planned: Plan) -> World:
    """What an environment is after a plan, done in its order; each step stands on what is there."""
    now = dict(world)
    for operation in planned.to_do:
        assert now.get(operation.name) == operation.before
        if operation.action in ("delete", "replace"):
            assert not [n for n, shape in now.items() if operation.name in shape.depends_on]
            del now[operation.name]
        if operation.after:
            assert set(operation.after.depends_on) <= set(now) - {operation.name}
            now[operation.name] = operation.after
    return now


def plan(
    request: ChangeRequest,
    known: Mapping[str, KnownResource],
    later: Mapping[str, list[str]] | None = None,
) -> Plan:
    return planner.plan(validated(request, KINDS), known.values(), later)


def applied(*resources: dict[str, Any]) -> World:
    return apply({}, plan(change(present=list(resources)), {}))


def towards(world: Mapping[str, DesiredState], now: Mapping[str, DesiredState]) -> ChangeRequest:
    """The change that makes the environment be `world`."""
    present = [Resource(name=name, **vars(shape)) for name, shape in world.items()]
    return change(present=present, absent=sorted(set(now) - set(world)))


def actions(planned: Plan) -> dict[str, str]:
    return {operation.name: operation.action for operation in planned.operations}


def reasons(planned: Plan) -> list[str]:
    return [refusal.reason for refusal in planned.refusals]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    roles = draw(st.lists(st.sampled_from(ROLES), min_size=1, unique=True))
    databases = draw(st.lists(st.sampled_from(DATABASES), unique=True))
    schemas = draw(st.lists(st.sampled_from(SCHEMAS), unique=True)) if databases else []
    owner = st.sampled_from(roles)
    resources = [
        *(role(name, login=draw(st.booleans())) for name in roles),
        *(database(name, draw(owner)) for name in databases),
        *(schema(name, draw(st.sampled_from(databases)), draw(owner)) for name in schemas),
    ]
    return applied(*draw(st.permutations(resources)))


@given(worlds())
def test_the_plan_of_what_is_already_there_is_empty(world: World) -> None:
    assert plan(towards(world, world), known(world)).to_do == []


@given(worlds(), worlds())
def test_each_operation_waits_for_what_stands_before_it_and_there_and_back_is_where_it_began(
    before: World, after: World
) -> None:
    there = plan(towards(after, before), known(before))
    assert there.refusals == []
    # `apply` asserts that the order respects every dependency.
    assert apply(before, there) == after
    done: set[str] = set()
    for operation in there.to_do:
        assert set(operation.waits_for) <= done
        done.add(operation.name)
    assert apply(after, plan(towards(before, after), known(after))) == before


@given(worlds(), worlds())
def test_a_plan_needs_no_more_of_the_ledger_than_what_it_names(before: World, after: World) -> None:
    request = towards(after, before)
    names = validated(request, KINDS).names
    near = {n: s for n, s in before.items() if n in names or names & set(s.depends_on)}
    assert plan(request, known(near)) == plan(request, known(before))


def test_independent_branches_do_not_wait_for_each_other() -> None:
    planned = plan(
        change(present=[role("ra"), role("rb"), database("da", "ra"), database("db", "rb")]), {}
    )
    waits = {operation.name: operation.waits_for for operation in planned.operations}
    assert waits == {"ra": [], "rb": [], "da": ["ra"], "db": ["rb"]}


def test_a_name_in_a_spec_that_is_in_the_ledger_counts_as_depends_on() -> None:
    world = applied(role("ra"))
    planned = plan(change(present=[database("da", "ra")]), known(world))
    [operation] = planned.operations
    assert operation.after
    assert operation.after.depends_on == ["ra"]
    assert operation.waits_for == []


def test_a_database_may_have_the_name_of_a_role_that_is_no_resource() -> None:
    planned = plan(change(present=[database("shop", "shop")]), {})
    assert [o.after.depends_on for o in planned.operations if o.after] == [[]]


def test_an_absent_name_the_ledger_does_not_know_is_a_no_op_and_says_so() -> None:
    planned = plan(change(absent=["old-db"]), {})
    assert planned.to_do == []
    assert planned.notes == ["old-db is not known in dev: nothing to do"]


def test_another_kind_or_another_place_is_a_replacement() -> None:
    databases = [database("da", "ra"), database("db", "ra")]
    world = applied(role("ra"), *databases, schema("sa", "da", "ra"))
    request = change(present=[role("db"), schema("sa", "da", "ra"), schema("sb", "da", "ra")])
    assert actions(plan(request, known(world))) == {"db": "replace", "sa": "none", "sb": "create"}
    moved = plan(change(present=[schema("sa", "db", "ra")]), known(world))
    assert actions(moved) == {"sa": "replace"}


def test_the_plan_names_the_data_that_is_lost() -> None:
    world = applied(role("ra"), database("da", "ra"), schema("sa", "da", "ra"))
    planned = plan(change(absent=["ra", "da", "sa"]), known(world))
    assert planned.losses == [
        "the data in postgres.schema sa is lost for ever",
        "the data in postgres.database da is lost for ever",
    ]


def test_what_another_resource_depends_on_does_not_end_and_is_not_replaced() -> None:
    world = known(applied(role("ra"), database("da", "ra"), schema("sa", "da", "ra")))
    ended = plan(change(absent=["da"]), world)
    assert reasons(ended) == ["depended_on"]
    assert ended.refusals[0].sentence == "da can't end: sa depends on it"
    replaced = plan(change(present=[role("da"), schema("sa", "da", "ra")]), world)
    assert reasons(replaced) == ["depended_on"]


def test_replacements_that_wait_for_each_other_are_refused() -> None:
    world = applied(role("ra"), role("rb"), database("da", "ra"), schema("sa", "da", "ra"))
    request = change(present=[role("da"), schema("sa", "da", "rb")])
    assert reasons(plan(request, known(world))) == ["circular_replacement"]


def test_a_dependency_that_nobody_knows_is_refused() -> None:
    planned = plan(change(present=[database("da", "ra", depends_on=["nobody"])]), {})
    assert reasons(planned) == ["unknown_dependency"]


def test_a_resource_that_an_open_saga_changes_is_refused() -> None:
    world = {"ra": KnownResource(name="ra", version=1, shape=None, claimed_by="change/shop-41")}
    planned = plan(change(present=[role("ra")]), world)
    assert planned.refusals[0].sentence.startswith("ra is being changed by change/shop-41")


def test_a_later_change_is_taken_back_only_with_force_and_named_unless_it_is_not_touched() -> None:
    world = known(applied(role("ra")))
    later = {"ra": ["change/shop-43"]}
    refused = plan(change(absent=["ra"]), world, later)
    assert reasons(refused) == ["later_change"]
    forced = plan(change(absent=["ra"], force=True), world, later)
    assert forced.refusals == []
    assert forced.notes == ["ra was changed later by change/shop-43"]
    untouched = plan(change(present=[role("ra")]), world, later)
    assert untouched.refusals == []


@pytest.mark.parametrize(
    ("parts", "field", "reason"),
    [
        ({"present": [role("ra"), role("ra")]}, "present[1].name", "another resource"),
        ({"present": [role("ra")], "absent": ["ra"]}, "absent[0]", "also present"),
        ({"absent": ["ra", "ra"]}, "absent[1]", "also present or absent"),
        ({"present": [role("ra") | {"kind": "x.y"}]}, "present[0].kind", "unknown kind"),
        ({"present": [role("pg_x")]}, "present[0].name", "reserved"),
        ({"present": [role("ra", secret="s3cr3t")]}, "present[0].spec.secret", "unknown field"),
        ({"present": [role("ra", login="s3cr3t")]}, "present[0].spec.login", "true or false"),
        (
            {"present": [database("da", "ra", depends_on=["rb"])], "absent": ["rb"]},
            "present[0].depends_on[0]",
            "is to be absent",
        ),
        (
            {"present": [database("da", "ra")], "absent": ["ra"]},
            "present[0].spec",
            "is to be absent",
        ),
        ({"present": [role("ra") | {"depends_on": ["ra"]}]}, "present[0].depends_on", "ra -> ra"),
    ],
)
def test_a_request_that_is_wrong_by_itself_names_field_and_reason_and_no_value(
    parts: dict[str, Any], field: str, reason: str
) -> None:
    request = change(**parts)
    with pytest.raises(InvalidChange) as invalid:
        validated(request, KINDS)
    [(found, why)] = invalid.value.problems
    assert found == field
    assert reason in why
    assert "s3cr3t" not in why


def test_a_cycle_is_named_from_its_start_to_its_start() -> None:
    request = change(
        present=[role("ra") | {"depends_on": ["da"]}, database("da", "ra"), role("rb")]
    )
    with pytest.raises(InvalidChange) as invalid:
        validated(request, KINDS)
    [(field, reason)] = invalid.value.problems
    assert field in ("present[0].depends_on", "present[1].depends_on")
    assert reason in (
        "a cycle of dependencies: ra -> da -> ra",
        "a cycle of dependencies: da -> ra -> da",
    )


def test_a_plan_survives_its_way_through_json() -> None:
    planned = plan(change(present=[role("ra"), database("da", "ra")]), {})
    assert Plan.model_validate_json(planned.model_dump_json()) == planned
    assert all(isinstance(operation, Operation) for operation in planned.operations)
