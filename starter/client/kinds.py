"""The kind of saga that a request or a name is of."""

from starter.client.errors import InvalidInput
from workflows.contract.agent import AgentRequest, AgentResult
from workflows.contract.change import ChangeRequest, ChangeResult, RollbackRequest
from workflows.contract.key import KeyRequest, KeyResult
from workflows.contract.kinds import KINDS, SagaKind, kind_named
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

Request = (
    PaymentRequest
    | RefundRequest
    | AgentRequest
    | PolicyRequest
    | MandateRequest
    | KeyRequest
    | ChangeRequest
    | RollbackRequest
    | ReconcileRequest
    | CaseRequest
)
Result = (
    PaymentResult
    | RefundResult
    | AgentResult
    | PolicyResult
    | MandateResult
    | KeyResult
    | ChangeResult
    | ReconcileResult
    | CaseResult
)


def kind_of(request: Request) -> SagaKind:
    """The kind that a request is the input of."""
    return next(kind for kind in KINDS if isinstance(request, kind.request))


def kind_of_saga(saga_id: str) -> SagaKind:
    """The kind that the name of a saga begins with. Raises InvalidInput for a name without one."""
    kind = kind_named(saga_id)
    if kind is None or not saga_id.partition("/")[2]:
        known = ", ".join(f"{kind.name}/..." for kind in KINDS)
        raise InvalidInput("saga_id", f"not the name of a saga: a name begins with {known}")
    return kind
