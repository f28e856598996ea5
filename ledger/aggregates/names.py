"""Names of aggregates, and the aggregate types by name: what a reader needs before it reads any.

The module of an aggregate type is imported when that type is read: models take time to build.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1
from importlib import import_module
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from ledger.aggregates.aggregate import AggregateType

# Fixed for ever: every aggregate_id is a UUIDv5 in this namespace.
NAMESPACE = UUID("6f1c9d0a-52f5-5b0e-9f7e-3f2f6a4f9f10")


@dataclass(frozen=True)
class Named:
    """An aggregate type before it is imported: its module in this folder, its constant there, its
    state table, and the column by which a person may call an aggregate of it."""

    module: str
    constant: str
    table: str
    bare_name: str | None


# A policy is called by its full name: its agent has the same id.
NAMED: dict[str, Named] = {
    "saga": Named("saga", "SAGA", "sagas", "operation_id"),
    "step": Named("saga_step", "STEP", "saga_steps", None),
    "authorization": Named("authorization", "AUTHORIZATION", "authorizations", "authorization_id"),
    "transfer": Named("transfer", "TRANSFER", "transfers", "transfer_id"),
    "refund": Named("refund", "REFUND", "refunds", "refund_id"),
    "agent": Named("agent", "AGENT", "agents", "agent_id"),
    "policy": Named("policy", "POLICY", "policies", None),
    "mandate": Named("mandate", "MANDATE", "mandates", "mandate_id"),
    "key": Named("key", "KEY", "keys", "key_id"),
    "resource": Named("resource", "RESOURCE", "resources", "name"),
    "statement": Named("statement", "STATEMENT", "statements", "statement_id"),
    "case": Named("case", "CASE", "cases", "case_id"),
}


def aggregate_id(aggregate: str) -> UUID:
    """The id of an aggregate by its name (`agent/expense-bot`): UUIDv5, so names never collide."""
    return uuid5(NAMESPACE, aggregate)


# A commit asks for the same few several times.
@lru_cache(maxsize=1024)
def id_text(aggregate: str) -> str:
    """The text of `aggregate_id`, computed in half the time: for callers that need millions."""
    digest = sha1(NAMESPACE.bytes + aggregate.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def saga_name(saga_id: str) -> str:
    """The aggregate name of a saga (`saga/payment/expenses-2026-11`), from its workflow id."""
    return f"saga/{saga_id}"


def payment_saga(name: str) -> str:
    """The saga of a payment by its name, or by its operation id: `payment/expenses-2026-11`."""
    return name if name.startswith("payment/") else f"payment/{name}"


def step_name(saga_id: str, step: str) -> str:
    """The aggregate name of a step: `step/payment/expenses-2026-11/authorize`."""
    return f"step/{saga_id}/{step}"


def mandate_name(mandate_id: str) -> str:
    """The aggregate name of a mandate: `mandate/travel-2026`."""
    return f"mandate/{mandate_id}"


# The aggregate types that were asked for, by name.
LOADED: "dict[str, AggregateType]" = {}


def aggregate_type_named(name: str) -> "AggregateType":
    """The aggregate type of this name. Raises KeyError for an unknown one."""
    if name not in LOADED:
        named = NAMED[name]
        LOADED[name] = getattr(import_module(f"ledger.aggregates.{named.module}"), named.constant)
    return LOADED[name]


def aggregate_type_of(aggregate: str) -> "AggregateType":
    """The aggregate type in the first part of an aggregate's name. Raises KeyError for an unknown
    one."""
    return aggregate_type_named(aggregate.split("/", 1)[0])
