"""What is said in two places about a kind is the same in both."""

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
    assert {each for each in ours if "kind" in vars(each)} == set(SAGAS)
    assert set(KNOWN) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_names_its_workflow_and_the_readme_lists_it(kind: SagaKind) -> None:
    assert kind.workflow == KNOWN[kind].__name__
    assert kind.queue in (PAYMENTS, INFRASTRUCTURE)
    row = f"| `{kind.workflow}` | `{kind.name}/…` | `{kind.queue.default}` |"
    assert row in (ROOT / "README.md").read_text()


def test_a_worker_carries_every_saga_on_one_queue() -> None:
    carried = [saga for queue in (PAYMENTS, INFRASTRUCTURE) for saga in sagas_of(queue)]
    assert sorted(carried, key=SAGAS.index) == list(SAGAS)


def test_every_kind_of_resource_that_can_be_planned_has_a_provider() -> None:
    provided = providers(Settings(target_url="postgresql://unused"))
    assert {kind for each in provided for kind in each.kinds} == set(known_kinds())


@pytest.mark.parametrize("aggregate_type", AGGREGATE_TYPES.values(), ids=AGGREGATE_TYPES)
def test_a_table_has_the_fields_of_its_state_and_the_head(aggregate_type: AggregateType) -> None:
    assert list(aggregate_type.table.c.keys()) == [*HEAD, *aggregate_type.state.model_fields]
