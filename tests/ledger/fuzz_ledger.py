"""A ledger for the fuzz: groups of one aggregate of each type, in the states in which they wait,
run, are stuck, and have ended."""

import asyncio
from datetime import UTC, datetime

from ledger.aggregates.agent import AgentRegistered, AgentRevoked
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import (
    AuthorizationApproved,
    AuthorizationCaptured,
    AuthorizationCaptureStarted,
)
from ledger.aggregates.saga import (
    SagaCompensating,
    SagaCompleted,
    SagaLost,
    SagaStarted,
    SagaWaitStarted,
)
from ledger.aggregates.saga_step import (
    StepAttentionRequested,
    StepCommitted,
    StepDone,
    StepLeftUnknown,
    StepStarted,
)
from ledger.aggregates.spend_window import SpendChange
from ledger.aggregates.transfer import TransferExecuted, TransferStarted
from ledger.database import Database, open_database
from ledger.store.commit import Author, Decision, Ref, commit
from tests.ledger import writing

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


async def fill(url: str, groups: int, namespace_id: str) -> None:
    """Writes so many groups, by the one way to write; their runs are said to be of a namespace."""
    numbers = iter(range(groups))
    async with open_database(url, size=6, writes=True) as database:

        async def some() -> None:
            for number in numbers:
                await _group(database, number, namespace_id)

        await asyncio.gather(*(some() for _ in range(6)))


async def _write(database: Database, saga_id: str, aggregate: str, *events: Event) -> None:
    run = {"workflow_id": saga_id, "run_id": "run-1", "activity": "authorize", "attempt": 1}
    author = Author("agent:bot", saga_id, "transfer", run)
    decision = Decision(None, [(aggregate, event) for event in events])
    await commit(database, author, [Ref(aggregate)], lambda _: decision)


async def _group(database: Database, n: int, namespace_id: str) -> None:
    agent, saga, transfer = f"bot-{n}", f"payment/p-{n}", f"t-{n}"
    ended = n % 4 == 1
    await _write(database, saga, f"agent/{agent}", AgentRegistered(agent_id=agent, user="user:ana"))
    asked_for = {
        "agent_id": agent,
        "amount": {"minor": 100, "currency": "ARS"},
        "destination": {"cbu": "2850590940090418135201"},
    }
    await _write(
        database, saga, f"saga/{saga}", _started("payment", f"p-{n}", namespace_id, **asked_for)
    )
    if n % 2:
        await _write(database, saga, f"agent/{agent}", AgentRevoked(reason="left"))
    await writing.set_policy(database, agent)
    window = writing.window(agent)
    asked = writing.requested(f"a-{n}", 100).changed(saga_id=saga, agent_id=agent)
    spend = [SpendChange(window=window, amount_minor=100, count=1)]
    approved = AuthorizationApproved(automatic=True, spend=spend, binding="b")
    begun = AuthorizationCaptureStarted(transfer_id=transfer)
    await _write(database, saga, f"authorization/a-{n}", asked, approved, begun)
    sent = TransferStarted(
        transfer_id=transfer,
        authorization_id=f"a-{n}",
        saga_id=saga,
        adapter="mock",
        key=saga,
        amount_minor=100,
        currency="ARS",
        destination="2850590940090418135201",
    )
    await _write(database, saga, f"transfer/{transfer}", sent)
    begin = StepStarted(
        saga_id=saga,
        name="transfer",
        ordinal=1,
        epoch=1,
        activity="execute_transfer",
        input_hash="h",
        undo=writing.UNDO,
        deadline=NOW,
        facts={"seen": "nothing"},
    )
    await _write(database, saga, f"step/{saga}/transfer", begin)
    if ended:
        await _write(database, saga, f"transfer/{transfer}", TransferExecuted(reference=f"M-{n}"))
        captured = AuthorizationCaptured(provider_reference=f"M-{n}")
        await _write(database, saga, f"authorization/a-{n}", captured)
    await _write(database, saga, f"step/{saga}/transfer", _step_event(n))
    await _write(database, saga, f"saga/{saga}", _saga_event(n))
    await _change(database, n, namespace_id)


async def _change(database: Database, n: int, namespace_id: str) -> None:
    change = f"change/c-{n}"
    await _write(database, change, f"saga/{change}", _started("change", f"c-{n}", namespace_id))
    made = [
        writing.resource_begun(f"db-{n}", change=change),
        writing.resource_made(change=change, owner="app", limits={"connections": 5}),
    ]
    await _write(database, change, f"resource/dev/db-{n}", *made)
    applied = StepCommitted(
        saga_id=change,
        name="apply",
        ordinal=1,
        epoch=1,
        activity="apply_resource",
        input_hash="h",
        undo=None,
        result={},
    )
    await _write(database, change, f"step/{change}/apply", applied)
    changes = [{"action": "create", "kind": "postgres.role", "name": f"db-{n}", "outputs": {}}]
    result = {"state": "applied", "reason": None, "changes": changes, "residuals": ["x"]}
    end = SagaCompleted(result=result, ended_at=NOW)
    await _write(database, change, f"saga/{change}", end)


def _started(kind: str, operation_id: str, namespace_id: str, **asked: object) -> SagaStarted:
    return SagaStarted(
        kind=kind,
        operation_id=operation_id,
        input_hash="h",
        input={"operation_id": operation_id, **asked},
        namespace="default",
        namespace_id=namespace_id,
        task_queue="amends-payments",
        workflow_id=f"{kind}/{operation_id}",
        run_id="run-1",
        started_at=NOW,
    )


def _step_event(n: int) -> Event:
    if n % 4 == 1:
        return StepDone(result={"reference": f"M-{n}"})
    if n % 4 == 2:
        return StepAttentionRequested(reason="unknown", epoch=1, tries=9, undoing=False)
    return StepLeftUnknown(reason="no answer")


def _saga_event(n: int) -> Event:
    match n % 4:
        case 0:
            return SagaWaitStarted(waits_for="capture", waits_on="user", since=NOW)
        case 1:
            names = {"authorization_id": f"a-{n}", "transfer_id": f"t-{n}"}
            names |= {"state": "captured", "provider_reference": f"M-{n}"}
            return SagaCompleted(result={**names, "residuals": []}, ended_at=NOW)
        case 2:
            return SagaCompensating(epoch=2, cause="cancelled")
        case _:
            return SagaLost(run_id="run-1", epoch=2, found="terminated")
