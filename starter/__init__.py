"""How people and programs start, follow and steer sagas, and read the log.

from starter import Amends, Destination, Money, PaymentRequest

async with Amends.connect() as amends:
    progress = await amends.submit(PaymentRequest(...))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger.aggregates.money import Money
    from starter.client.client import Amends
    from workflows.contract.messages import (
        AgentRequest,
        ChangeRequest,
        Destination,
        PaymentRequest,
        PolicyRequest,
        Resource,
        RollbackRequest,
    )

__all__ = [
    "AgentRequest",
    "Amends",
    "ChangeRequest",
    "Destination",
    "Money",
    "PaymentRequest",
    "PolicyRequest",
    "Resource",
    "RollbackRequest",
]

_ELSEWHERE = {"Amends": "starter.client.client", "Money": "ledger.money"}


def __getattr__(name: str) -> Any:
    # Temporal's client takes 0.4 s to import, and `amends --help` does not need it.
    if name in __all__:
        return getattr(import_module(_ELSEWHERE.get(name, "workflows.contract.messages")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
