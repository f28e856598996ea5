"""What is said in two places about a kind is the same in both."""

import pytest

from activities.providers.kinds import KINDS as RESOURCE_KINDS
from ledger.aggregates.aggregate import AggregateType
from ledger.aggregates.registry import AGGREGATE_TYPES
from starter.client.kinds import INFRASTRUCTURE, KINDS, PAYMENTS, Kind
from worker.settings import Settings
from worker.wiring import providers
from workflows.kinds import INFRASTRUCTURE_SAGAS, PAYMENT_SAGAS
from workflows.recovery import STORIES

HEAD = ["aggregate_id", "aggregate", "version", "base", "head_at", "head_hash", "xid"]
SAGAS = {
    saga.kind: (saga, queue)
    for queue, sagas in ((PAYMENTS, PAYMENT_SAGAS), (INFRASTRUCTURE, INFRASTRUCTURE_SAGAS))
    for saga in sagas
}


def test_clients_and_recovery_know_every_saga_that_a_worker_carries() -> None:
    assert sorted(SAGAS) == sorted(kind.name for kind in KINDS) == sorted(STORIES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_client_names_workflow_queue_and_models_as_the_worker_does(kind: Kind) -> None:
    saga, queue = SAGAS[kind.name]
    assert kind.workflow == saga.__name__
    assert kind.queue == queue
    assert kind.request is saga.request_model
    assert kind.result is saga.result_model


def test_every_kind_of_resource_that_can_be_planned_has_a_provider() -> None:
    provided = providers(Settings(target_url="postgresql://unused"))
    assert {kind for each in provided for kind in each.kinds} == set(RESOURCE_KINDS)


@pytest.mark.parametrize("aggregate_type", AGGREGATE_TYPES.values(), ids=AGGREGATE_TYPES)
def test_a_table_has_the_fields_of_its_state_and_the_head(aggregate_type: AggregateType) -> None:
    assert list(aggregate_type.table.c.keys()) == [*HEAD, *aggregate_type.state.model_fields]
