"""Each kind of saga and of resource is complete; a failure says the next step of its recipe
(docs/recipes/)."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from activities.providers.kinds import BUILT_IN, ProviderType
from ledger.aggregates.aggregate import AggregateType
from ledger.aggregates.authorization import AUTHORIZATION, AuthorizationPhase, AuthorizationState
from ledger.aggregates.names import NAMED
from ledger.aggregates.registry import AGGREGATE_TYPES
from starter.cli.lists import COLUMNS, PHASES
from worker.wiring import undos
from workflows.contract.fields import Result, Signable
from workflows.contract.kinds import INFRASTRUCTURE, KINDS, PAYMENTS, SagaKind
from workflows.contract.public import WORKFLOWS, PublicWorkflow
from workflows.engine.workflow import SagaWorkflow
from workflows.kinds import SAGAS, sagas_of

ROOT = Path(__file__).parent.parent
HEAD = ["aggregate_id", "aggregate", "version", "base", "head_at", "head_hash", "xid"]
KNOWN = {saga.kind: saga for saga in SAGAS}


def _subclasses(saga: type[Any]) -> Iterator[type[Any]]:
    for each in type.__subclasses__(saga):
        yield each
        yield from _subclasses(each)


def test_every_workflow_of_a_saga_is_in_the_table_of_kinds() -> None:
    ours = {each for each in _subclasses(SagaWorkflow) if each.__module__.startswith("workflows.")}
    missing = {each for each in ours if "kind" in vars(each)} ^ set(SAGAS)
    assert not missing, f"list {missing} in SAGAS of workflows/kinds.py"
    without = {kind.name for kind in set(KINDS) ^ set(KNOWN)}
    assert not without, (
        f"{without}: each kind in KINDS of workflows/contract/kinds.py needs a workflow with "
        f"`kind = ...` in workflows/, listed in SAGAS of workflows/kinds.py, and vice versa"
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_names_its_workflow_and_a_queue(kind: SagaKind) -> None:
    assert kind.workflow == KNOWN[kind].__name__, "name the class of the workflow in its kind"
    assert kind.queue in (PAYMENTS, INFRASTRUCTURE), "a queue that worker/wiring.py works on"


def test_a_worker_carries_every_saga_on_one_queue() -> None:
    carried = [saga for queue in (PAYMENTS, INFRASTRUCTURE) for saga in sagas_of(queue)]
    assert sorted(carried, key=SAGAS.index) == list(SAGAS)


def _used(saga: type[Any]) -> tuple[set[str], bool]:
    """The undos that the file of a saga names, and whether its story has a pivot."""
    tree = list(ast.walk(ast.parse(inspect.getsource(inspect.getmodule(saga) or saga))))
    undos = {
        word.value.attr
        for node in tree
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "undo" and isinstance(word.value, ast.Attribute)
    }
    return undos, any(isinstance(node, ast.Attribute) and node.attr == "pivot" for node in tree)


@pytest.mark.parametrize("saga", SAGAS, ids=lambda saga: saga.__name__)
def test_recovery_knows_the_undos_of_a_saga_and_its_pivot(saga: type[Any]) -> None:
    # A story may be told in several classes.
    stories = [
        base
        for base in saga.__mro__
        if base.__module__.startswith("workflows.")
        and not base.__module__.startswith("workflows.engine")
    ]
    used = [_used(story) for story in stories]
    named, has_pivot = {undo for undos, _ in used for undo in undos}, any(it for _, it in used)
    unknown = named - undos()
    assert not unknown, f"add the class of {unknown} to undos() of worker/wiring.py"
    assert saga.kind.pivot_step or not has_pivot, (
        "name the step before pivot() as pivot_step of the kind, or recovery undoes past the pivot"
    )
    pivot = saga.kind.pivot_step
    sources = [inspect.getsource(inspect.getmodule(story) or story) for story in stories]
    assert pivot is None or any(f'"{pivot}"' in source for source in sources), (
        f"no step of the story is called {pivot}: correct pivot_step of the kind"
    )


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_what_a_saga_is_asked_for_can_be_signed_and_its_result_says_where_it_was_not(
    workflow: PublicWorkflow,
) -> None:
    for model in workflow.updates.values():
        assert issubclass(model, Signable), f"let {model.__name__} be a Signable"
    if workflow.updates:
        assert issubclass(workflow.result, Result), f"let {workflow.result.__name__} be a Result"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_has_the_models_of_its_story_and_ends_that_its_result_may_have(
    kind: SagaKind,
) -> None:
    bases = [vars(it).get("__orig_bases__", ()) for it in KNOWN[kind].__mro__]
    base = next(each for found in bases for each in found if get_args(each))
    assert get_args(base) in ((kind.request, kind.result), (kind.request,))
    states = set(get_args(kind.result.model_fields["state"].annotation))
    assert kind.good_ends <= states
    assert not kind.good_ends & {"denied", "refused", "compensated", "rejected", "voided"}


# What the providers of this repository read; see the `create` of each.
ENVIRONMENT = {"AMENDS_POSTGRES_TARGET_URL": "postgresql://unused"}


@pytest.mark.parametrize("provider_type", BUILT_IN.values(), ids=BUILT_IN)
def test_every_kind_of_resource_that_can_be_planned_has_a_provider(
    provider_type: ProviderType,
) -> None:
    made = provider_type.create(ENVIRONMENT)
    assert made is not None, "add the variables that its `create` needs to ENVIRONMENT of this test"
    assert dict(made.kinds) == dict(provider_type.kinds), (
        "the `kinds` of the ProviderType are those of the provider that its `create` makes"
    )
    assert provider_type.create({}) is None, "a worker without its settings goes without it"


def test_every_provider_of_this_repository_is_built_in() -> None:
    packages = {path.name for path in (ROOT / "activities/providers").iterdir() if path.is_dir()}
    missing = packages - set(BUILT_IN) - {"__pycache__"}
    assert not missing, f"add the ProviderType of {missing} to BUILT_IN of providers/kinds.py"


@pytest.mark.parametrize("aggregate_type", AGGREGATE_TYPES.values(), ids=AGGREGATE_TYPES)
def test_a_table_has_the_fields_of_its_state_and_the_head(aggregate_type: AggregateType) -> None:
    assert list(aggregate_type.table.c.keys()) == [
        *HEAD,
        *aggregate_type.state.__struct_fields__,
    ], "the columns of the table are those of the head and then the fields of the state, in order"


@pytest.mark.parametrize("name", NAMED)
def test_an_aggregate_type_is_named_as_its_model_and_its_table_are(name: str) -> None:
    named, aggregate_type = NAMED[name], AGGREGATE_TYPES[name]
    assert aggregate_type.name == name
    assert aggregate_type.columns.name == named.table, "correct the table in aggregates/names.py"
    assert named.bare_name is None or named.bare_name in aggregate_type.state.__struct_fields__


def test_the_states_and_columns_of_amends_payments_are_those_of_an_authorization() -> None:
    assert get_args(AuthorizationPhase) == PHASES
    fields = set(AuthorizationState.__struct_fields__)
    assert set(COLUMNS) - {"refunded_minor"} == fields - AUTHORIZATION.json_columns
