"""The table of saga kinds, read by clients, workers, recovery and `amends schema`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows.contract.agent import AgentRequest, AgentResult
from workflows.contract.change import ChangeRequest, ChangeResult, RollbackRequest
from workflows.contract.key import KeyRequest, KeyResult
from workflows.contract.mandate import MandateRequest, MandateResult
from workflows.contract.payment import PaymentRequest, PaymentResult
from workflows.contract.policy import PolicyRequest, PolicyResult
from workflows.contract.reconcile import (
    CaseRequest,
    CaseResult,
    ReconcileRequest,
    ReconcileResult,
)
from workflows.contract.refund import RefundRequest, RefundResult


@dataclass(frozen=True)
class Queue:
    """A task queue: the setting that names it, and its default name."""

    setting: str
    default: str


@dataclass(frozen=True)
class SagaKind:
    """One kind of saga.

    `name` is the first part of its workflow ids, `workflow` the workflow type, `good_ends` are the
    states of a result that are what the request asked for (all others are an exit status 1), and
    `pivot_step` is the step after which it goes forward only, also where Temporal has lost the run.
    """

    name: str
    workflow: str
    queue: Queue
    request: type[Any]
    result: type[Any]
    good_ends: frozenset[str]
    pivot_step: str | None = None

    def saga_id(self, operation_id: str) -> str:
        """The workflow id, which is the name of the saga: `payment/expenses-2026-11`."""
        return f"{self.name}/{operation_id}"


PAYMENTS = Queue("AMENDS_PAYMENTS_QUEUE", "amends-payments")
INFRASTRUCTURE = Queue("AMENDS_INFRASTRUCTURE_QUEUE", "amends-infrastructure")
SWEEPS = Queue("AMENDS_SWEEP_QUEUE", "amends-sweep")

PAYMENT = SagaKind(
    name="payment",
    workflow="PaymentSaga",
    queue=PAYMENTS,
    request=PaymentRequest,
    result=PaymentResult,
    good_ends=frozenset({"captured"}),
    pivot_step="execute transfer",
)
REFUND = SagaKind(
    name="refund",
    workflow="RefundSaga",
    queue=PAYMENTS,
    request=RefundRequest,
    result=RefundResult,
    good_ends=frozenset({"refunded"}),
    pivot_step="execute refund",
)
AGENT = SagaKind(
    name="agent",
    workflow="AgentSaga",
    queue=PAYMENTS,
    request=AgentRequest,
    result=AgentResult,
    good_ends=frozenset({"registered", "revoked"}),
)
POLICY = SagaKind(
    name="policy",
    workflow="PolicySaga",
    queue=PAYMENTS,
    request=PolicyRequest,
    result=PolicyResult,
    good_ends=frozenset({"set"}),
    pivot_step="set policy",
)
MANDATE = SagaKind(
    name="mandate",
    workflow="MandateSaga",
    queue=PAYMENTS,
    request=MandateRequest,
    result=MandateResult,
    good_ends=frozenset({"granted", "revoked"}),
)
KEY = SagaKind(
    name="key",
    workflow="KeySaga",
    queue=PAYMENTS,
    request=KeyRequest,
    result=KeyResult,
    good_ends=frozenset({"registered", "revoked"}),
)
CHANGE = SagaKind(
    name="change",
    workflow="InfrastructureSaga",
    queue=INFRASTRUCTURE,
    request=ChangeRequest,
    result=ChangeResult,
    good_ends=frozenset({"applied", "unchanged"}),
)
ROLLBACK = SagaKind(
    name="rollback",
    workflow="RollbackSaga",
    queue=INFRASTRUCTURE,
    request=RollbackRequest,
    result=ChangeResult,
    good_ends=frozenset({"applied", "unchanged"}),
)
RECONCILE = SagaKind(
    name="reconcile",
    workflow="ReconcileSaga",
    queue=PAYMENTS,
    request=ReconcileRequest,
    result=ReconcileResult,
    good_ends=frozenset({"agreed"}),
    pivot_step="compare statement",
)
CASE = SagaKind(
    name="case",
    workflow="CaseSaga",
    queue=PAYMENTS,
    request=CaseRequest,
    result=CaseResult,
    good_ends=frozenset({"closed"}),
)

KINDS = (
    *(PAYMENT, REFUND, AGENT, POLICY, MANDATE, KEY),
    *(CHANGE, ROLLBACK, RECONCILE, CASE),
)
BY_NAME: Mapping[str, SagaKind] = {kind.name: kind for kind in KINDS}


_REPEAT = "repeat/"


def repeat_id(saga_id: str, attempt: str) -> str:
    """The workflow id of a run that answers a repeat of an ended saga from its record."""
    return f"{_REPEAT}{saga_id}/{attempt}"


def saga_of_run(workflow_id: str) -> str:
    """The saga that a run is about: its workflow id or, of a repeat, the one in it."""
    if not workflow_id.startswith(_REPEAT):
        return workflow_id
    return workflow_id.removeprefix(_REPEAT).rpartition("/")[0]


def kind_named(saga_id: str) -> SagaKind | None:
    """The kind that the name of a saga begins with; None for one that this version does not
    know."""
    return BY_NAME.get(saga_id.partition("/")[0])
