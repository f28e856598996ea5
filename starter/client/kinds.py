"""The kinds of sagas a client can ask for: their workflow, its id, queue, input and result."""

from dataclasses import dataclass

from starter.client.errors import InvalidInput
from workflows.contract.agent import AgentRequest, AgentResult, PolicyRequest, PolicyResult
from workflows.contract.change import ChangeRequest, ChangeResult, RollbackRequest
from workflows.contract.payment import PaymentRequest, PaymentResult

Request = PaymentRequest | AgentRequest | PolicyRequest | ChangeRequest | RollbackRequest
Result = PaymentResult | AgentResult | PolicyResult | ChangeResult


@dataclass(frozen=True)
class Queue:
    """A task queue: the setting that names it, and its name otherwise."""

    setting: str
    default: str


PAYMENTS = Queue("AMENDS_PAYMENTS_QUEUE", "amends-payments")
INFRASTRUCTURE = Queue("AMENDS_INFRASTRUCTURE_QUEUE", "amends-infrastructure")
SWEEPS = Queue("AMENDS_SWEEP_QUEUE", "amends-sweep")


@dataclass(frozen=True)
class Kind:
    """One kind of saga. `name` is the first part of its workflow ids."""

    name: str
    workflow: str
    queue: Queue
    request: type[Request]
    result: type[Result]

    def saga_id(self, operation_id: str) -> str:
        """The workflow id, which is the name of the saga: `payment/expenses-2026-11`."""
        return f"{self.name}/{operation_id}"


KINDS = (
    Kind("payment", "PaymentSaga", PAYMENTS, PaymentRequest, PaymentResult),
    Kind("agent", "AgentSaga", PAYMENTS, AgentRequest, AgentResult),
    Kind("policy", "PolicySaga", PAYMENTS, PolicyRequest, PolicyResult),
    Kind("change", "InfrastructureSaga", INFRASTRUCTURE, ChangeRequest, ChangeResult),
    Kind("rollback", "RollbackSaga", INFRASTRUCTURE, RollbackRequest, ChangeResult),
)

# The states of a result that are what the request asked for; all other ends are an exit status 1.
GOOD_ENDS = frozenset({"captured", "registered", "revoked", "set", "applied", "unchanged"})


def kind_of(request: Request) -> Kind:
    """The kind that a request is the input of."""
    return next(kind for kind in KINDS if isinstance(request, kind.request))


def kind_of_saga(saga_id: str) -> Kind:
    """The kind that a saga's name begins with. Raises InvalidInput for a name without one."""
    prefix, _, operation_id = saga_id.partition("/")
    for kind in KINDS:
        if kind.name == prefix and operation_id:
            return kind
    known = ", ".join(f"{kind.name}/..." for kind in KINDS)
    raise InvalidInput("saga_id", f"not the name of a saga: these begin {known}")
