"""Each kind of saga and of resource is complete; a failure says the next step of its recipe
(docs/recipes/)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activities.providers.kinds import known_kinds
from ledger.aggregates.aggregate import AggregateType
from ledger.aggregates.registry import AGGREGATE_TYPES
from worker.settings import Settings
from worker.wiring import providers
from workflows.contract.kinds import INFRASTRUCTURE, KINDS, PAYMENTS, SagaKind
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
def test_a_kind_names_its_workflow_and_the_readme_lists_it(kind: SagaKind) -> None:
    assert kind.workflow == KNOWN[kind].__name__, "name the class of the workflow in its kind"
    assert kind.queue in (PAYMENTS, INFRASTRUCTURE), "a queue that worker/wiring.py works on"
    row = f"| `{kind.workflow}` | `{kind.name}/…` | `{kind.queue.default}` |"
    assert row in (ROOT / "README.md").read_text(), f"add a row to the README: {row}"


def test_a_worker_carries_every_saga_on_one_queue() -> None:
    carried = [saga for queue in (PAYMENTS, INFRASTRUCTURE) for saga in sagas_of(queue)]
    assert sorted(carried, key=SAGAS.index) == list(SAGAS)


def test_every_kind_of_resource_that_can_be_planned_has_a_provider() -> None:
    provided = providers(Settings(target_url="postgresql://unused"))
    without = {kind for each in provided for kind in each.kinds} ^ set(known_kinds())
    assert not without, (
        f"{without}: the `kinds` of a ProviderType in activities/providers/kinds.py are those of "
        f"the provider that its `create` makes"
    )


@pytest.mark.parametrize("aggregate_type", AGGREGATE_TYPES.values(), ids=AGGREGATE_TYPES)
def test_a_table_has_the_fields_of_its_state_and_the_head(aggregate_type: AggregateType) -> None:
    assert list(aggregate_type.table.c.keys()) == [*HEAD, *aggregate_type.state.model_fields], (
        "the columns of the table are those of the head and then the fields of the state, in order"
    )
