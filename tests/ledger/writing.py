"""What the tests write: agents, payment sagas with their steps, and reserved spend."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from ledger.aggregates import authorization
from ledger.aggregates.agent import AgentRegistered, AgentRevoked, agent_name
from ledger.aggregates.aggregate import Event
from ledger.aggregates.case import CaseClosed, CaseOpened
from ledger.aggregates.key import KeyRegistered
from ledger.aggregates.mandate import MandateGranted
from ledger.aggregates.policy import PolicySet, policy_name
from ledger.aggregates.refund import RefundRequested
from ledger.aggregates.resource import ResourceChangeStarted, ResourceCreated
from ledger.aggregates.saga_step import UndoPlan
from ledger.aggregates.spend_window import SpendChange, SpendLimit, SpendWindow
from ledger.aggregates.statement import StatementReconciled
from ledger.aggregates.transfer import TransferExecuted, TransferStarted
from ledger.database import Database
from ledger.errors import StateRefused
from ledger.sagas.fingerprint import Fingerprint
from ledger.sagas.saga_log import Compensation, Opened, Opening, Run, begin_compensation, open_saga
from ledger.sagas.step_log import Started, StepClaim, commit_step, start_step
from ledger.store.commit import Author, Decision, Loaded, Ref, commit

AUTHOR = Author("user:u-17", metadata={"ip": "203.0.113.7"})
LIMIT = 100_000
WITHIN = timedelta(minutes=5)
BOT = agent_name("expense-bot")
UNDO = UndoPlan(activity="release_funds", request={"hold": 1}, outside=False)


async def write(database: Database, aggregate: str, *events: Event) -> None:
    """Append events to one aggregate, in one commit."""
    decision = Decision(None, [(aggregate, event) for event in events])
    await commit(database, AUTHOR, [Ref(aggregate)], lambda _: decision)


async def register(database: Database, agent_id: str = "expense-bot") -> None:
    await write(database, agent_name(agent_id), AgentRegistered(agent_id=agent_id, user="u-17"))


async def revoke(database: Database, agent_id: str = "expense-bot", reason: str = "left") -> None:
    await write(database, agent_name(agent_id), AgentRevoked(reason=reason))


async def set_policy(database: Database, agent_id: str = "expense-bot") -> None:
    policy = PolicySet(
        agent_id=agent_id,
        currency="ARS",
        max_per_transaction_minor=60_000,
        daily_limit_minor=LIMIT,
        approval_threshold_minor=50_000,
        time_zone="UTC",
    )
    await write(database, policy_name(agent_id), policy)


def key_registered(key_id: str) -> KeyRegistered:
    """A key that signs nothing."""
    since = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return KeyRegistered(key_id=key_id, holder="user:u-17", public_key="5f" * 32, valid_from=since)


def mandate_granted(mandate_id: str, *chain: str, **terms: Any) -> MandateGranted:
    """A mandate of expense-bot over ARS without any limit, but for these terms."""
    open_terms: dict[str, Any] = {
        **dict.fromkeys(("amount_minor", "count", "destinations", "purposes", "valid_until")),
        "agent_id": "expense-bot",
        "currency": "ARS",
        "valid_from": datetime(2026, 11, 22, 12, tzinfo=UTC),
    }
    return MandateGranted(mandate_id=mandate_id, chain=list(chain), **open_terms | terms)


def refund_requested(refund_id: str) -> RefundRequested:
    """A refund that is not decided."""
    return RefundRequested(
        refund_id=refund_id,
        saga_id=f"refund/{refund_id}",
        payment="payment/rent",
        authorization_id="a-0",
        amount_minor=100,
        currency="ARS",
        requested_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )


def run(run_id: str) -> Run:
    """A run in Temporal."""
    return Run("default", "namespace-1", "amends-payments", run_id)


def opening(operation_id: str, run_id: str = "run-1", input_hash: str = "first") -> Opening:
    """A request for a payment."""
    return Opening(
        saga_id=f"payment/{operation_id}",
        actor="user:u-17",
        kind="payment",
        operation_id=operation_id,
        input={"operation_id": operation_id},
        fingerprint=Fingerprint(given=input_hash),
        run=run(run_id),
    )


def replace_kind(asked: Opening, kind: str) -> Opening:
    """The same request of another kind of saga."""
    changed = {"kind": kind, "saga_id": f"{kind}/{asked.operation_id}"}
    return asked.model_copy(update=changed)


async def open_payment(
    database: Database, operation_id: str = "rent", run_id: str = "run-1", input_hash: str = "first"
) -> Opened:
    return await open_saga(database, AUTHOR, opening(operation_id, run_id, input_hash))


def claim(
    step: str = "hold", epoch: int = 1, input_hash: str = "first", ordinal: int = 1
) -> StepClaim:
    """A step of payment/rent."""
    return StepClaim("payment/rent", step, ordinal, epoch, "hold_funds", input_hash, UNDO)


def hold(_: Loaded) -> Decision[dict[str, object]]:
    """What a step that only touches our database decides."""
    return Decision({"held": 1})


def facts(_: Loaded) -> Decision[dict[str, object] | None]:
    """What a step that calls the outside reads there first."""
    return Decision({"seen": "nothing"})


async def take_step(
    database: Database, step: StepClaim | None = None, author: Author = AUTHOR
) -> dict[str, object]:
    """Carry out a step that only touches our database: it holds 1."""
    return await commit_step(database, author, step or claim(), [], hold)


async def begin_step(database: Database, step: StepClaim | None = None) -> Started:
    """Begin a step that calls the outside, and has seen nothing there."""
    return await start_step(database, AUTHOR, step or claim(), [], facts, within=WITHIN)


def changed(_: Loaded) -> Decision[Any]:
    """What a step that was done may not be asked for."""
    raise AssertionError("what is done is not decided again")


def refuse(_: Loaded) -> Decision[dict[str, object]]:
    """What a step decides that refuses."""
    raise StateRefused("agent revoked", "agent_revoked")


async def compensate(
    database: Database,
    epoch: int = 1,
    run_id: str = "run-1",
    cause: str = "cancelled",
    reason: str | None = None,
) -> Compensation:
    """Begin to undo payment/rent."""
    return await begin_compensation(database, AUTHOR, "payment/rent", epoch, run_id, cause, reason)


def resource_begun(
    name: str = "db",
    environment: str = "dev",
    kind: str = "postgres.database",
    change: str = "payment/rent",
) -> ResourceChangeStarted:
    return ResourceChangeStarted(
        environment=environment, name=name, kind=kind, change=change, action="create"
    )


def resource_made(
    kind: str = "postgres.database", change: str = "payment/rent", **spec: object
) -> ResourceCreated:
    return ResourceCreated(change=change, kind=kind, spec=spec, depends_on=[], outputs={})


def transfer_started(authorization_id: str, amount_minor: int) -> TransferStarted:
    """transfer/t-1, of payment/rent."""
    return TransferStarted(
        transfer_id="t-1",
        authorization_id=authorization_id,
        saga_id="payment/rent",
        adapter="mock",
        key="payment/rent",
        amount_minor=amount_minor,
        currency="ARS",
        destination="2850590940090418135201",
    )


def window(agent_id: str = "expense-bot") -> SpendWindow:
    """Today's spend of an agent."""
    today: date = datetime.now(UTC).date()
    return SpendWindow(agent_id=agent_id, currency="ARS", period="daily", starts_on=today)


def spend(amount_minor: int, count: int = 1) -> list[SpendChange]:
    return [SpendChange(window=window(), amount_minor=amount_minor, count=count)]


async def begin_transfer(database: Database, authorization_id: str, amount_minor: int) -> None:
    """Begin to capture an approved authorization by transfer/t-1."""
    authorized = authorization.authorization_name(authorization_id)
    events: list[tuple[str, Event]] = [
        (authorized, authorization.AuthorizationCaptureStarted(transfer_id="t-1")),
        ("transfer/t-1", transfer_started(authorization_id, amount_minor)),
    ]
    refs = [Ref(name) for name, _ in events]
    await commit(database, AUTHOR, refs, lambda _: Decision(None, events))


def requested(
    authorization_id: str, amount_minor: int, saga_id: str | None = None
) -> authorization.AuthorizationRequested:
    return authorization.AuthorizationRequested(
        authorization_id=authorization_id,
        # A request has one authorization.
        saga_id=saga_id or f"payment/{authorization_id}",
        agent_id="expense-bot",
        amount_minor=amount_minor,
        currency="ARS",
        destination="2850590940090418135201",
        description="rent",
        requested_at=datetime.now(UTC),
        policy_version=1,
        inputs={},
    )


async def reserve(
    database: Database, authorization_id: str, amount_minor: int, saga_id: str | None = None
) -> str:
    """Ask for an amount within the daily LIMIT: `approved` or `denied`."""
    aggregate = authorization.authorization_name(authorization_id)

    def decide(loaded: Loaded) -> Decision[str]:
        first = requested(authorization_id, amount_minor, saga_id)
        total = loaded.spent(window()).amount_minor + amount_minor
        if total > LIMIT:
            denied = authorization.AuthorizationDenied(
                reason="exceeded_daily_limit", reasons=["exceeded_daily_limit"]
            )
            return Decision("denied", [(aggregate, first), (aggregate, denied)])
        approved = authorization.AuthorizationApproved(
            automatic=True, spend=spend(amount_minor), binding="b"
        )
        events: list[tuple[str, Event]] = [(aggregate, first), (aggregate, approved)]
        return Decision("approved", events, {window(): SpendLimit(amount_minor=LIMIT)})

    return await commit(database, AUTHOR, [Ref(aggregate)], decide, windows_of=["expense-bot"])


async def release(database: Database, authorization_id: str, amount_minor: int) -> None:
    """Void it, and give the amount back to the window it came from."""
    voided = authorization.AuthorizationVoided(spend=spend(-amount_minor, -1), reason="cancelled")
    await write(database, authorization.authorization_name(authorization_id), voided)


async def fill(database: Database) -> None:
    """Rows in every table, some of several events in one commit."""
    await register(database)
    await set_policy(database)
    await write(database, "key/k-1", key_registered("k-1"))
    await write(database, "mandate/m-1", mandate_granted("m-1"))
    await open_saga(database, AUTHOR, replace_kind(opening("r-1"), "refund"))
    await write(database, "refund/r-1", refund_requested("r-1"))
    await open_payment(database)
    await take_step(database)
    await reserve(database, "a-0", 300, "payment/rent")
    await begin_transfer(database, "a-0", 300)
    await open_payment(database, "undone")
    await begin_compensation(database, AUTHOR, "payment/undone", 1, "run-1", "cancelled", None)
    await reserve(database, "a-1", 100, "payment/undone")
    await open_payment(database, "later")
    await begin_compensation(database, AUTHOR, "payment/later", 1, "run-1", "cancelled", None)
    await reserve(database, "a-2", 200, "payment/later")
    await release(database, "a-1", 100)
    await revoke(database)
    await write(database, "transfer/t-1", TransferExecuted(reference="M-1"))
    await open_saga(database, AUTHOR, replace_kind(opening("db"), "change"))
    begun, made = resource_begun(change="change/db"), resource_made(change="change/db", x=None)
    await write(database, "resource/dev/db", begun)
    await write(database, "resource/dev/db", made, begun)
    opened = CaseOpened(case_id="c-1", statement_id="mock-1", kind="balance")
    await write(database, "case/c-1", opened, CaseClosed(closed_by=AUTHOR.user_id, evidence="fee"))
    await write(database, "statement/mock-1", statement_reconciled("mock-1", 1))


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE by which the database refused."""
    assert isinstance(error, psycopg.Error)
    return error.sqlstate


def statement_reconciled(statement_id: str, differences: int) -> StatementReconciled:
    return StatementReconciled(
        statement_id=statement_id,
        adapter="mock",
        name="file.xml",
        saga_id="reconcile/r-1",
        matched=1,
        differences=differences,
        sums=[],
        awaited=[],
        ahead=[],
    )
