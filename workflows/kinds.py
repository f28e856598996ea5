"""The sagas there are, by the task queue that carries them.

Wiring and recovery read this table; `starter.client.kinds` names the same sagas for clients, which
need none of their code, and a test holds the two together.
"""

from typing import Any

from workflows.agent import AgentSaga
from workflows.change import InfrastructureSaga
from workflows.engine.workflow import SagaWorkflow
from workflows.payment import PaymentSaga
from workflows.policy import PolicySaga
from workflows.rollback import RollbackSaga

Sagas = tuple[type[SagaWorkflow[Any, Any]], ...]

PAYMENT_SAGAS: Sagas = (PaymentSaga, AgentSaga, PolicySaga)
INFRASTRUCTURE_SAGAS: Sagas = (InfrastructureSaga, RollbackSaga)
