"""The client of Amends: start, follow and steer sagas, and read the log.

from starter import Amends, Destination, Money, PaymentRequest

async with Amends.connect() as amends:
    progress = await amends.submit(PaymentRequest(...))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.aggregates.money import Money
    from ledger.read.queries import PaymentQuery
    from starter.client.client import Amends
    from workflows.contract.agent import AgentRequest
    from workflows.contract.change import ChangeRequest, Resource, RollbackRequest
    from workflows.contract.key import KeyRequest
    from workflows.contract.mandate import MandateRequest
    from workflows.contract.payment import Destination, PaymentRequest
    from workflows.contract.policy import PolicyRequest
    from workflows.contract.refund import RefundRequest

__all__ = [
    "AgentRequest",
    "Amends",
    "ChangeRequest",
    "Destination",
    "KeyRequest",
    "MandateRequest",
    "Money",
    "PaymentQuery",
    "PaymentRequest",
    "PolicyRequest",
    "RefundRequest",
    "Resource",
    "RollbackRequest",
]

_MODULE_OF = {
    "AgentRequest": "workflows.contract.agent",
    "Amends": "starter.client.client",
    "ChangeRequest": "workflows.contract.change",
    "Destination": "workflows.contract.payment",
    "KeyRequest": "workflows.contract.key",
    "MandateRequest": "workflows.contract.mandate",
    "Money": "ledger.aggregates.money",
    "PaymentQuery": "ledger.read.queries",
    "PaymentRequest": "workflows.contract.payment",
    "PolicyRequest": "workflows.contract.policy",
    "RefundRequest": "workflows.contract.refund",
    "Resource": "workflows.contract.change",
    "RollbackRequest": "workflows.contract.change",
}


def __getattr__(name: str) -> Any:
    # Temporal's client takes 0.4 s to import, and `amends --help` does not need it.
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
