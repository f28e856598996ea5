"""A stretch of a busy log: payments, a change and an agent, with `%(n)s` for its number."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ledger.aggregates.agent import AgentRegistered, AgentRevoked, agent_name
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import (
    AuthorizationApproved,
    AuthorizationCaptured,
    AuthorizationCaptureStarted,
    AuthorizationRequested,
    authorization_name,
)
from ledger.aggregates.resource import ResourceChangeStarted, ResourceCreated, resource_name
from ledger.aggregates.saga import SagaCompleted, SagaStarted, saga_name
from ledger.aggregates.saga_step import StepCommitted, StepDone, StepStarted, UndoPlan, step_name
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.aggregates.transfer import TransferExecuted, TransferStarted, transfer_name

PAYMENTS, REGISTRATIONS = 4, 6
AMOUNT_MINOR = 4_500_000
AGENT = "bot-%(n)s"
THEN = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
WINDOW = SpendWindow(agent_id=AGENT, currency="ARS", period="daily", starts_on=THEN.date())
METADATA = {"workflow_id": "%(n)s", "run_id": "0198-%(n)s", "activity": "authorize", "attempt": 1}
Told = Iterator[tuple[str, Event]]


def events() -> Told:
    """All events of the stretch, in order: aggregate and event."""
    for _ in range(REGISTRATIONS):
        yield agent_name(AGENT), AgentRegistered(agent_id=AGENT, user="user:ana")
        yield agent_name(AGENT), AgentRevoked(reason="for the night")
    for number in range(PAYMENTS):
        yield from _payment(f"%(n)s-{number}")
    yield from _change("%(n)s")


def _payment(operation: str) -> Told:
    saga, authorization, transfer = f"payment/{operation}", f"a-{operation}", f"t-{operation}"
    spend = [SpendChange(window=WINDOW, amount_minor=AMOUNT_MINOR, count=1)]
    asked: dict[str, Any] = {
        "saga_id": saga,
        "amount_minor": AMOUNT_MINOR,
        "currency": "ARS",
        "destination": "2850590940090418135201",
    }
    names = {"authorization_id": authorization, "transfer_id": transfer}
    yield _started(
        saga,
        agent_id=AGENT,
        amount={"minor": AMOUNT_MINOR, "currency": "ARS"},
        destination={"cbu": asked["destination"]},
    )
    yield (
        authorization_name(authorization),
        AuthorizationRequested(
            authorization_id=authorization,
            agent_id=AGENT,
            description="building expenses",
            requested_at=THEN,
            policy_version=1,
            inputs={
                "max_per_transaction_minor": 6_000_000,
                "daily": {"spent_minor": 0, "count": 0},
            },
            **asked,
        ),
    )
    yield (
        authorization_name(authorization),
        AuthorizationApproved(automatic=True, spend=spend, binding="5f" * 32),
    )
    yield (
        step_name(saga, "authorize"),
        StepCommitted(result={"state": "approved"}, **_claim(saga, "authorize", 1)),
    )
    yield authorization_name(authorization), AuthorizationCaptureStarted(transfer_id=transfer)
    yield (
        transfer_name(transfer),
        TransferStarted(
            transfer_id=transfer,
            authorization_id=authorization,
            adapter="mock",
            key=saga,
            **asked,
        ),
    )
    yield step_name(saga, "transfer"), StepStarted(deadline=THEN, **_claim(saga, "transfer", 2))
    yield transfer_name(transfer), TransferExecuted(reference="mock-1")
    yield step_name(saga, "transfer"), StepDone(result={"reference": "mock-1"})
    yield authorization_name(authorization), AuthorizationCaptured(provider_reference="mock-1")
    yield _completed(saga, "captured", provider_reference="mock-1", **names)


def _change(operation: str) -> Told:
    saga, name = f"change/{operation}", f"db-{operation}"
    yield _started(saga)
    yield (
        resource_name("dev", name),
        ResourceChangeStarted(
            environment="dev", name=name, kind="postgres.database", change=saga, action="create"
        ),
    )
    yield step_name(saga, "create"), StepStarted(deadline=THEN, **_claim(saga, "create", 1))
    yield (
        resource_name("dev", name),
        ResourceCreated(
            change=saga,
            kind="postgres.database",
            spec={"owner": "shop-app", "encoding": "UTF8"},
            depends_on=["shop-app"],
            outputs={"name": name, "oid": 16_384},
        ),
    )
    yield step_name(saga, "create"), StepDone(result={"outputs": {"name": name}})
    yield _completed(saga, "applied")


def _started(saga: str, **asked: Any) -> tuple[str, Event]:
    kind, operation_id = saga.split("/")
    return saga_name(saga), SagaStarted(
        kind=kind,
        operation_id=operation_id,
        input_hash="ab" * 32,
        input={"operation_id": operation_id, **asked},
        namespace="default",
        namespace_id="01a2035c-60ea-74ed-9887-83f977e2c28a",
        task_queue="amends-payments",
        workflow_id=saga,
        run_id="0198-%(n)s",
        started_at=THEN,
    )


def _completed(saga: str, state: str, **names: str) -> tuple[str, Event]:
    return saga_name(saga), SagaCompleted(result={"state": state, **names}, ended_at=THEN)


def _claim(saga: str, name: str, ordinal: int) -> dict[str, Any]:
    undo = UndoPlan(activity=f"undo {name}", request={"saga_id": saga}, outside=True)
    return {
        "saga_id": saga,
        "name": name,
        "ordinal": ordinal,
        "epoch": 1,
        "activity": name,
        "input_hash": "cd" * 32,
        "undo": undo,
    }
