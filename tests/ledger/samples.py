"""Every event as it is really written, with each optional field given and left out.

`python -m tests.ledger.record_corpus` stores the payloads of new versions from here.
"""

from datetime import UTC, date, datetime

from ledger.aggregates.agent import AgentRegistered, AgentRevoked
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import (
    ApprovalRequested,
    AuthorizationApproved,
    AuthorizationCaptured,
    AuthorizationCaptureStarted,
    AuthorizationCompensated,
    AuthorizationDenied,
    AuthorizationExpired,
    AuthorizationRejected,
    AuthorizationRequested,
    AuthorizationVoided,
)
from ledger.aggregates.policy import PolicySet
from ledger.aggregates.resource import (
    ResourceChangeDropped,
    ResourceChangeStarted,
    ResourceCreated,
    ResourceDeleted,
    ResourceReplaced,
    ResourceUpdated,
)
from ledger.aggregates.saga import (
    SagaCommitRefused,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaDuplicateReceived,
    SagaFailed,
    SagaLost,
    SagaReuseRefused,
    SagaStarted,
    SagaTakenOver,
)
from ledger.aggregates.saga_step import (
    StepAttentionRequested,
    StepCommitted,
    StepDone,
    StepFailed,
    StepLeftUnknown,
    StepRefused,
    StepResolved,
    StepRetryRequested,
    StepSkipped,
    StepStarted,
    StepUndone,
    UndoPlan,
)
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.aggregates.transfer import (
    TransferCancelled,
    TransferExecuted,
    TransferRefused,
    TransferReversed,
    TransferStarted,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
SAGA = "payment/expenses-2026-11"
AUTHORIZATION = "10ee584d-4c7b-5f0e-a94c-16c4a3a3d7a1"
TRANSFER = "ce106094-7a55-5d1c-8f0e-3b1f7c2f9d20"
CBU = "2850590940090418135201"
HASH = "5f1c3a0b9d8e7f60514233241506f7e8d9cabbac9d8e7f605142332415060718"
DAY = SpendWindow(
    agent_id="expense-bot", currency="ARS", period="daily", starts_on=date(2026, 11, 22)
)
SPENT = [SpendChange(window=DAY, amount_minor=4_500_000, count=1)]
RELEASED = [SpendChange(window=DAY, amount_minor=-4_500_000, count=-1)]
PAYMENT = {
    "operation_id": "expenses-2026-11",
    "agent_id": "expense-bot",
    "amount": {"minor": 4_500_000, "currency": "ARS"},
    "destination": {"cbu": CBU},
    "description": "building expenses",
}
UNDO = UndoPlan(
    activity="release_authorization",
    request={"authorization_id": AUTHORIZATION, "reason": None},
    outside=False,
)
LATER = {"change": "rollback/undo-shop-42", "undoes": "change/shop-42"}
DATABASE = {
    "change": "change/shop-42",
    "kind": "postgres.database",
    "spec": {"owner": "shop-app", "extensions": []},
    "depends_on": ["shop-app"],
    "outputs": {"oid": "16384", "created": True},
}


def _asked(policy_version: int | None) -> AuthorizationRequested:
    policy = {"version": policy_version, "daily_limit_minor": 10_000_000}
    return AuthorizationRequested(
        authorization_id=AUTHORIZATION,
        saga_id=SAGA,
        agent_id="expense-bot",
        amount_minor=4_500_000,
        currency="ARS",
        destination=CBU,
        description="building expenses",
        requested_at=NOON,
        policy_version=policy_version,
        inputs={"policy": policy if policy_version else None, "windows": []},
    )


def _committed(undo: UndoPlan | None) -> StepCommitted:
    return StepCommitted(
        saga_id=SAGA,
        name="authorize",
        ordinal=1,
        epoch=1,
        activity="authorize",
        input_hash=HASH,
        undo=undo,
        result={"state": "approved", "authorization_id": AUTHORIZATION},
    )


def _started(undo: UndoPlan | None, facts: dict[str, object] | None) -> StepStarted:
    return StepStarted(
        saga_id=SAGA,
        name="execute transfer",
        ordinal=2,
        epoch=1,
        activity="execute_transfer",
        input_hash=HASH,
        undo=undo,
        deadline=NOON,
        facts=facts,
    )


SAMPLES: tuple[Event, ...] = (
    SagaStarted(
        kind="payment",
        operation_id="expenses-2026-11",
        input_hash=HASH,
        input=PAYMENT,
        namespace="default",
        namespace_id="01a2035c-60ea-74ed-9887-83f977e2c28a",
        task_queue="amends-payments",
        workflow_id=SAGA,
        run_id="019abd1c-6f0c-7d0a-8d4a-0f6f8f0f7c11",
        started_at=NOON,
    ),
    SagaTakenOver(
        namespace="default",
        namespace_id="01a2035c-60ea-74ed-9887-83f977e2c28a",
        task_queue="amends-payments",
        run_id="run-2",
        epoch=2,
        previous_run_id="run-1",
    ),
    SagaLost(run_id="run-1", epoch=2, found="terminated"),
    SagaLost(run_id="run-1", epoch=2, found="gone", reason="that Temporal burned down"),
    SagaDuplicateReceived(repeat="run-2"),
    SagaReuseRefused(repeat="update-7", input_hash=HASH),
    SagaCompensating(epoch=2, cause="provider_refused", reason="the account is closed"),
    SagaCompensating(epoch=2, cause="cancelled"),
    SagaCommitRefused(step="settle", epoch=1, current_epoch=2),
    SagaCompleted(result={"state": "captured", "residuals": []}, ended_at=NOON),
    SagaCompensated(result={"state": "voided", "residuals": ["a role"]}, ended_at=NOON),
    SagaFailed(result={"state": "failed", "reason": "provider_failed"}, ended_at=NOON),
    _committed(UNDO),
    _committed(None),
    _started(UNDO, {"existed": False}),
    _started(None, None),
    StepDone(result={"reference": "M-1042"}),
    StepRefused(reason="account_closed"),
    StepFailed(reason="provider_failed"),
    StepUndone(note="reversed", residual="a fee of 100"),
    StepUndone(note="never happened"),
    StepLeftUnknown(reason="unknown: no answer within 30 s"),
    StepAttentionRequested(reason="unknown", epoch=1, tries=9, undoing=False),
    StepAttentionRequested(reason="account_closed", epoch=2, tries=5, undoing=True),
    StepRetryRequested(reason="the account is open again", epoch=2, tries=5, undoing=True),
    StepRetryRequested(reason=None, epoch=1, tries=9, undoing=False),
    StepSkipped(residual="execute transfer: skipped by user:ana: paid back in cash", tries=5),
    StepResolved(outcome="done", evidence="M-1042", result={"reference": "M-1042"}),
    StepResolved(outcome="failed", evidence="ticket 17"),
    StepResolved(outcome="undone", evidence="ticket 18"),
    StepResolved(outcome="undone", evidence="ticket 19", residual="a fee of 100"),
    _asked(policy_version=3),
    _asked(policy_version=None),
    AuthorizationDenied(reason="exceeded_daily_limit"),
    ApprovalRequested(spend=SPENT, expires_at=NOON, binding=HASH),
    AuthorizationApproved(automatic=False, spend=[], binding=HASH, reason="the invoice is right"),
    AuthorizationApproved(automatic=True, spend=SPENT, binding=HASH),
    AuthorizationCaptureStarted(transfer_id=TRANSFER),
    AuthorizationCaptured(provider_reference="M-1042"),
    AuthorizationRejected(spend=RELEASED, reason="not ours"),
    AuthorizationRejected(spend=RELEASED),
    AuthorizationExpired(spend=RELEASED, reason="approval_expired"),
    AuthorizationExpired(spend=RELEASED),
    AuthorizationVoided(spend=RELEASED, reason="cancelled"),
    AuthorizationVoided(spend=RELEASED),
    AuthorizationCompensated(spend=RELEASED, reason="provider_refused"),
    AuthorizationCompensated(spend=RELEASED),
    TransferStarted(
        transfer_id=TRANSFER,
        authorization_id=AUTHORIZATION,
        saga_id=SAGA,
        adapter="mock",
        key=SAGA,
        amount_minor=4_500_000,
        currency="ARS",
        destination=CBU,
    ),
    TransferExecuted(reference="M-1042"),
    TransferRefused(reason="account_closed"),
    TransferCancelled(reason="never_arrived"),
    TransferReversed(reference="M-1043"),
    AgentRegistered(agent_id="expense-bot", user="user:ana"),
    AgentRevoked(reason="left the company"),
    AgentRevoked(),
    PolicySet(
        agent_id="expense-bot",
        currency="ARS",
        max_per_transaction_minor=6_000_000,
        daily_limit_minor=10_000_000,
        approval_threshold_minor=5_000_000,
        time_zone="America/Argentina/Buenos_Aires",
    ),
    ResourceChangeStarted(
        environment="dev",
        name="shop-db",
        kind="postgres.database",
        change="change/shop-42",
        action="create",
    ),
    ResourceCreated.model_validate(DATABASE),
    ResourceCreated.model_validate(DATABASE | LATER),
    ResourceUpdated.model_validate(DATABASE),
    ResourceUpdated.model_validate(DATABASE | LATER),
    ResourceReplaced.model_validate(DATABASE),
    ResourceReplaced.model_validate(DATABASE | LATER),
    ResourceDeleted(change="change/shop-42"),
    ResourceDeleted.model_validate(LATER),
    ResourceChangeDropped(change="change/shop-42", reason="undone"),
)
