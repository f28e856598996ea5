"""The workflow of each kind of saga in `workflows.contract.kinds`."""

from typing import Any

from workflows.agent import AgentSaga
from workflows.change import InfrastructureSaga
from workflows.contract.kinds import Queue
from workflows.engine.workflow import SagaWorkflow
from workflows.key import KeySaga
from workflows.mandate import MandateSaga
from workflows.payment import PaymentSaga
from workflows.policy import PolicySaga
from workflows.reconcile import CaseSaga, ReconcileSaga
from workflows.refund import RefundSaga
from workflows.rollback import RollbackSaga

Sagas = tuple[type[SagaWorkflow[Any, Any]], ...]

SAGAS: Sagas = (
    *(PaymentSaga, RefundSaga, AgentSaga, PolicySaga, MandateSaga, KeySaga),
    *(InfrastructureSaga, RollbackSaga),
    *(ReconcileSaga, CaseSaga),
)


def sagas_of(queue: Queue) -> Sagas:
    """The workflows that a worker of this task queue carries."""
    return tuple(saga for saga in SAGAS if saga.kind.queue == queue)
