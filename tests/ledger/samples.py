"""Every event as it is really written, with each optional field given and left out.

`python -m tests.ledger.record_corpus` stores the payloads of new versions from here.
"""

from datetime import UTC, date, datetime

from ledger.aggregates import (
    agent,
    authorization,
    captures,
    case,
    key,
    mandate,
    policy,
    refund,
    resource,
    saga,
    saga_step,
    spend_window,
    statement,
    transfer,
)
from ledger.aggregates.aggregate import Event

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
LATER_ON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
SAGA = "payment/expenses-2026-11"
AUTHORIZATION = "10ee584d-4c7b-5f0e-a94c-16c4a3a3d7a1"
TRANSFER = "ce106094-7a55-5d1c-8f0e-3b1f7c2f9d20"
REFUND = "7a1f7b10-9a44-5a43-9f43-0b9f2c8f6a11"
REFUNDED = {
    "refund_id": REFUND,
    "saga_id": "refund/back-2026-11",
    "payment": SAGA,
    "authorization_id": AUTHORIZATION,
}
CBU = "2850590940090418135201"
HASH = "5f1c3a0b9d8e7f60514233241506f7e8d9cabbac9d8e7f605142332415060718"
STATEMENT = f"mock-{HASH}"
DAY = spend_window.SpendWindow(
    agent_id="expense-bot", currency="ARS", period="daily", starts_on=date(2026, 11, 22)
)
SPENT = [spend_window.SpendChange(window=DAY, amount_minor=4_500_000, count=1)]
RELEASED = [spend_window.SpendChange(window=DAY, amount_minor=-4_500_000, count=-1)]
PAYMENT = {
    "operation_id": "expenses-2026-11",
    "agent_id": "expense-bot",
    "amount": {"minor": 4_500_000, "currency": "ARS"},
    "destination": {"cbu": CBU},
    "description": "building expenses",
}
UNDO = saga_step.UndoPlan(
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


def _asked(policy_version: int | None) -> authorization.AuthorizationRequested:
    asked_of = {"version": policy_version, "daily_limit_minor": 10_000_000}
    return authorization.AuthorizationRequested(
        authorization_id=AUTHORIZATION,
        saga_id=SAGA,
        agent_id="expense-bot",
        amount_minor=4_500_000,
        currency="ARS",
        destination=CBU,
        description="building expenses",
        requested_at=NOON,
        policy_version=policy_version,
        inputs={"policy": asked_of if policy_version else None, "windows": []},
        mandates=["travel-2026", "flights"] if policy_version else [],
        purpose="flight" if policy_version else None,
    )


STEP = {"saga_id": SAGA, "epoch": 1, "input_hash": HASH}
COMMITTED = STEP | {"name": "authorize", "ordinal": 1, "activity": "authorize"}
COMMITTED |= {"result": {"state": "approved", "authorization_id": AUTHORIZATION}}
STARTED = STEP | {"name": "execute transfer", "ordinal": 2, "activity": "execute_transfer"}
STARTED |= {"deadline": NOON}

SAMPLES: tuple[Event, ...] = (
    saga.SagaStarted(
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
    saga.SagaStarted(
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
        signed={"key": "21fe31dfa154a261626bf854046fd227", "value": "5f" * 64, "says": PAYMENT},
    ),
    saga.SagaTakenOver(
        namespace="default",
        namespace_id="01a2035c-60ea-74ed-9887-83f977e2c28a",
        task_queue="amends-payments",
        run_id="run-2",
        epoch=2,
        previous_run_id="run-1",
    ),
    saga.SagaLost(run_id="run-1", epoch=2, found="terminated"),
    saga.SagaLost(run_id="run-1", epoch=2, found="gone", reason="that Temporal burned down"),
    saga.SagaRunPaused(run_id="run-1", found="paused", since=NOON),
    saga.SagaRunResumed(run_id="run-1"),
    saga.SagaRunClosed(run_id="run-1", found="timed_out", since=NOON),
    saga.SagaDuplicateReceived(repeat="run-2"),
    saga.SagaReuseRefused(repeat="update-7", input_hash=HASH),
    saga.SagaWaitStarted(waits_for="approval", waits_on="user", since=NOON, until=LATER_ON),
    saga.SagaWaitStarted(waits_for="capture", waits_on="agent:expense-bot", since=NOON),
    saga.SagaWaitEnded(waits_for="approval"),
    saga.SagaCompensating(epoch=2, cause="provider_refused", reason="the account is closed"),
    saga.SagaCompensating(epoch=2, cause="cancelled"),
    saga.SagaDecisionSigned(
        verb="approve",
        repeat=HASH,
        key="21fe31dfa154a261626bf854046fd227",
        value="5f" * 64,
        says={"actor": "user:ana", "reason": "the invoice is right"},
        ledger="production",
    ),
    saga.SagaDecisionSigned(verb="cancel", repeat=HASH, key=HASH[:32], value=HASH * 2, says={}),
    saga.SagaCommitRefused(step="settle", epoch=1, current_epoch=2),
    saga.SagaCompleted(result={"state": "captured", "residuals": []}, ended_at=NOON),
    saga.SagaCompensated(result={"state": "voided", "residuals": ["a role"]}, ended_at=NOON),
    saga.SagaFailed(result={"state": "failed", "reason": "provider_failed"}, ended_at=NOON),
    saga_step.StepCommitted.read(COMMITTED | {"undo": UNDO}),
    saga_step.StepCommitted.read(COMMITTED | {"undo": None}),
    saga_step.StepStarted.read(STARTED | {"undo": UNDO, "facts": {"existed": False}}),
    saga_step.StepStarted.read(STARTED | {"undo": None, "facts": None}),
    saga_step.StepDone(result={"reference": "M-1042"}),
    saga_step.StepRefused(reason="account_closed"),
    saga_step.StepFailed(reason="provider_failed"),
    saga_step.StepUndone(note="reversed", residual="a fee of 100"),
    saga_step.StepUndone(note="never happened"),
    saga_step.StepLeftUnknown(reason="unknown: no answer within 30 s"),
    saga_step.StepLeftUnknown(reason="unknown: no answer within 30 s", until=LATER_ON),
    saga_step.StepAttentionRequested(reason="unknown", epoch=1, tries=9, undoing=False),
    saga_step.StepAttentionRequested(reason="account_closed", epoch=2, tries=5, undoing=True),
    saga_step.StepUndoDelayed(reason="the bank did not answer reverse", epoch=2, tries=3),
    saga_step.StepRetryRequested(
        reason="the account is open again", epoch=2, tries=5, undoing=True
    ),
    saga_step.StepRetryRequested(reason=None, epoch=1, tries=9, undoing=False),
    saga_step.StepSkipped(
        residual="execute transfer: skipped by user:ana: paid back in cash", tries=5
    ),
    saga_step.StepResolved(outcome="done", evidence="M-1042", result={"reference": "M-1042"}),
    saga_step.StepResolved(outcome="failed", evidence="ticket 17"),
    saga_step.StepResolved(outcome="undone", evidence="ticket 18"),
    saga_step.StepResolved(outcome="undone", evidence="ticket 19", residual="a fee of 100"),
    _asked(policy_version=3),
    _asked(policy_version=None),
    authorization.AuthorizationDenied(
        reason="exceeded_daily_limit", reasons=["exceeded_daily_limit", "exceeded_weekly_count"]
    ),
    authorization.ApprovalRequested(spend=SPENT, expires_at=NOON, binding=HASH),
    authorization.AuthorizationApproved(
        automatic=False, spend=[], binding=HASH, reason="the invoice is right"
    ),
    authorization.ApprovalGiven(by="user:ana"),
    authorization.ApprovalGiven(by="user:ana", reason="the invoice is right"),
    authorization.ApprovalRepeated(by="user:ana"),
    authorization.ApprovalRefused(by="user:ana", reason="not_an_approver", policy_version=2),
    authorization.ApprovalRefused(by="user:ana", reason="no_policy", policy_version=None),
    authorization.AuthorizationApproved(
        automatic=True, spend=SPENT, binding=HASH, policy_version=2, capture_until=LATER_ON
    ),
    authorization.AuthorizationApproved(
        automatic=False, spend=[], binding=HASH, by="user:ana", policy_version=2
    ),
    authorization.AuthorizationCaptureStarted(transfer_id=TRANSFER),
    authorization.AuthorizationCaptureStarted(
        transfer_id=TRANSFER, spend=[*RELEASED, *SPENT], policy_version=2
    ),
    authorization.AuthorizationCaptured(provider_reference="M-1042"),
    captures.AuthorizationReduced(
        by="user:ana", amount_minor=4_000_000, spend=RELEASED, binding=HASH
    ),
    captures.AuthorizationPartStarted(
        transfer_id=TRANSFER,
        amount_minor=4_000_000,
        counted=SPENT,
        spend=[*RELEASED, *SPENT],
        policy_version=2,
        final=True,
        update=HASH,
    ),
    captures.AuthorizationPartStarted(
        transfer_id=TRANSFER, amount_minor=1, counted=SPENT, spend=[], policy_version=None
    ),
    captures.AuthorizationPartCaptured(provider_reference="M-1042"),
    captures.AuthorizationPartReturned(reason="account_closed"),
    captures.AuthorizationRestReleased(spend=RELEASED, reason="voided"),
    captures.AuthorizationRestReleased(spend=RELEASED),
    authorization.AuthorizationRejected(spend=RELEASED, reason="not ours"),
    authorization.AuthorizationRejected(spend=RELEASED),
    authorization.AuthorizationExpired(spend=RELEASED, reason="approval_expired"),
    authorization.AuthorizationExpired(spend=RELEASED),
    authorization.AuthorizationVoided(spend=RELEASED, reason="cancelled"),
    authorization.AuthorizationVoided(spend=RELEASED),
    authorization.AuthorizationCompensated(spend=RELEASED, reason="provider_refused"),
    authorization.AuthorizationCompensated(spend=RELEASED),
    transfer.TransferStarted(
        transfer_id=TRANSFER,
        authorization_id=AUTHORIZATION,
        saga_id=SAGA,
        adapter="mock",
        key=SAGA,
        amount_minor=4_500_000,
        currency="ARS",
        destination=CBU,
    ),
    transfer.TransferExecuted(reference="M-1042"),
    transfer.TransferRefused(reason="account_closed"),
    transfer.TransferCancelled(reason="never_arrived"),
    transfer.TransferReversed(reference="M-1043"),
    transfer.TransferArrived(reference="M-1042", seen_in=STATEMENT, spend=SPENT),
    transfer.TransferRefundReserved(refund_id=REFUND, amount_minor=1_500_000),
    transfer.TransferRefunded(refund_id=REFUND, amount_minor=1_500_000),
    transfer.TransferRefundReleased(refund_id=REFUND, amount_minor=1_500_000),
    refund.RefundRequested(**REFUNDED, amount_minor=1_500_000, currency="ARS", requested_at=NOON),
    refund.RefundRequested(**REFUNDED, amount_minor=None, currency=None, requested_at=NOON),
    refund.RefundDenied(reason="exceeds_captured"),
    refund.RefundReserved(transfer_id=TRANSFER, amount_minor=1_500_000, currency="ARS"),
    refund.RefundStarted(adapter="mock", key="refund/back-2026-11"),
    refund.RefundExecuted(reference="R-1042"),
    refund.RefundRefused(reason="account_closed"),
    refund.RefundCancelled(reason="never_arrived"),
    refund.RefundVoided(reason="cancelled"),
    agent.AgentRegistered(agent_id="expense-bot", user="user:ana"),
    agent.AgentRevoked(reason="left the company"),
    agent.AgentRevoked(),
    mandate.MandateGranted(
        mandate_id="travel-2026",
        agent_id="expense-bot",
        chain=[],
        currency="ARS",
        amount_minor=None,
        count=None,
        destinations=None,
        purposes=None,
        valid_from=NOON,
        valid_until=None,
    ),
    mandate.MandateGranted(
        mandate_id="flights",
        agent_id="flight-bot",
        chain=["travel-2026"],
        currency="ARS",
        amount_minor=9_000_000,
        count=20,
        destinations=[CBU],
        purposes=["flight"],
        valid_from=NOON,
        valid_until=LATER_ON,
    ),
    mandate.MandateRevoked(reason="the trip is over"),
    mandate.MandateRevoked(),
    key.KeyRegistered(key_id=HASH[:32], holder="user:ana", public_key=HASH, valid_from=NOON),
    key.KeyRegistered(
        key_id="21fe31dfa154a261626bf854046fd227",
        holder="agent:expense-bot",
        public_key="d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        valid_from=NOON,
        valid_until=LATER_ON,
        signed_by="5f" * 16,
    ),
    key.KeyRevoked(revoked_at=LATER_ON, reason="the laptop was stolen"),
    key.KeyRevoked(revoked_at=LATER_ON),
    policy.PolicySet(
        agent_id="expense-bot",
        currency="ARS",
        max_per_transaction_minor=6_000_000,
        daily_limit_minor=10_000_000,
        approval_threshold_minor=5_000_000,
        time_zone="America/Argentina/Buenos_Aires",
        terms=policy.Terms(),
    ),
    policy.PolicySet(
        agent_id="expense-bot",
        currency="ARS",
        max_per_transaction_minor=6_000_000,
        daily_limit_minor=10_000_000,
        approval_threshold_minor=5_000_000,
        time_zone="America/Argentina/Buenos_Aires",
        terms=policy.Terms(
            windows={
                "daily": spend_window.SpendLimit(count=20),
                "weekly": spend_window.SpendLimit(amount_minor=30_000_000, count=60),
            },
            further={
                "USD": policy.Limits(
                    max_per_transaction_minor=10_000,
                    approval_threshold_minor=5_000,
                    windows={"total": spend_window.SpendLimit(amount_minor=100_000)},
                )
            },
            allowed_destinations=[CBU],
            refused_destinations=[CBU],
            hours=[policy.Hours(days=["mon", "fri"], start="09:00", end="18:00")],
            approvers=[
                policy.Approver(user="user:ana"),
                policy.Approver(user="user:eva", currency="ARS", limit_minor=7_000_000),
            ],
            approvals=2,
            capture_within_s=604_800,
            mandate_required=True,
            running={"daily": policy.RunningWindow(starts_on=date(2026, 11, 22), ends_at=LATER_ON)},
        ),
    ),
    resource.ResourceChangeStarted(
        environment="dev",
        name="shop-db",
        kind="postgres.database",
        change="change/shop-42",
        action="create",
    ),
    resource.ResourceCreated.read(DATABASE),
    resource.ResourceCreated.read(DATABASE | LATER),
    resource.ResourceUpdated.read(DATABASE),
    resource.ResourceUpdated.read(DATABASE | LATER),
    resource.ResourceReplaced.read(DATABASE),
    resource.ResourceReplaced.read(DATABASE | LATER),
    resource.ResourceDeleted(change="change/shop-42"),
    resource.ResourceDeleted.read(LATER),
    resource.ResourceChangeDropped(change="change/shop-42", reason="undone"),
    statement.StatementReconciled(
        statement_id=STATEMENT,
        adapter="mock",
        name="november.xml",
        saga_id="reconcile/november",
        matched=41,
        differences=1,
        sums=[
            statement.StatementSum(
                statement=0,
                currency="ARS",
                complete=True,
                begins_at="2026-11-22T00:00:00+00:00",
                ends_at="2026-11-23T00:00:00+00:00",
                opening_minor=0,
                closing_minor=-4_500_000,
                credits_minor=0,
                debits_minor=4_500_000,
                booked=1,
                pending=0,
                other=0,
                account="ACC-1",
            )
        ],
        awaited=[f"debit {TRANSFER}"],
        ahead=[],
    ),
    case.CaseOpened(
        case_id=HASH[:32],
        statement_id=STATEMENT,
        kind="different",
        transfer_id=TRANSFER,
        direction="debit",
        entry=7,
        reference="M-1042",
        end_to_end_id="AM-5f1c3a0b9d8e7f60514233241506f7e8",
        booked_minor=4_500_001,
        booked_currency="ARS",
        recorded_minor=4_500_000,
        recorded_currency="ARS",
        detail="amount",
    ),
    case.CaseOpened(case_id=HASH[32:], statement_id=STATEMENT, kind="balance"),
    case.CaseClosed(closed_by="user:ana", evidence="the bank's letter of 24 November"),
)
