"""Does what a commit does, and takes it back: less does not show that the ledger takes commits.

The first events of a probe of each aggregate type are written by the statements of a commit, with
all rules checked. Each rehearsal has names of its own, so that none waits for another. What stays
are used positions of the log, and dead rows for the server's autovacuum.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

from psycopg import Error, errors

from ledger.aggregates.agent import AgentRegistered
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import AuthorizationApproved, AuthorizationRequested
from ledger.aggregates.names import NAMED
from ledger.aggregates.policy import PolicySet
from ledger.aggregates.refund import RefundRequested
from ledger.aggregates.resource import ResourceChangeStarted
from ledger.aggregates.saga import SagaStarted
from ledger.aggregates.saga_step import StepStarted
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.aggregates.transfer import TransferStarted
from ledger.database import UNAVAILABLE, Connection, Database, describe, within
from ledger.errors import Unwritable
from ledger.holders import Watch
from ledger.store.commit import ANSWERED_FOR, load
from ledger.store.decision import Author, Decision, Ref
from ledger.store.event_rows import writing
from ledger.store.statements import write_statement

# A commit takes milliseconds: who waits longer for a lock stands behind somebody who keeps it.
_LOCK_TIMEOUT, _LOOK_AFTER_S = "SET LOCAL lock_timeout = '1s'", 0.5
# As at the COMMIT, but after each statement: so the table is known.
_CHECKED = "SET CONSTRAINTS ALL IMMEDIATE"
# A row is written once in a transaction, so that only the right and the lock are tried.
_UPDATE = "UPDATE ledger.{} SET {} = {} WHERE false"
_AUTHOR = Author("system:health")
_REFUSED = {
    errors.InsufficientPrivilege.sqlstate: "this role may not",
    errors.ReadOnlySqlTransaction.sqlstate: (
        "the server takes no writes (a standby, or set to read only)"
    ),
    errors.QueryCanceled.sqlstate: "the statement was cancelled",
    errors.DiskFull.sqlstate: "the disk of the database server is full",
    ANSWERED_FOR: "the server's clock is behind a moment of the closed past: set it right, or wait",
}


async def rehearse(database: Database) -> None:
    """Writes a probe of each aggregate type, and takes all of it back.

    Raises Unwritable, which names the table, what is refused and who is in the way, and
    DatabaseUnavailable.
    """
    async with database.connection() as connection:
        await within(None, connection, _try_and_take_back(database, connection))


async def _try_and_take_back(database: Database, connection: Connection) -> None:
    await connection.begin()
    try:
        with Watch(database, connection, _LOOK_AFTER_S) as watch:
            try:
                await try_to_commit(connection)
            except Unwritable as error:
                if isinstance(error.__cause__, errors.LockNotAvailable):
                    raise Unwritable(f"{error}{await watch.by_whom()}") from None
                raise
    finally:
        await connection.rollback()


async def try_to_commit(connection: Connection) -> None:
    """Writes a probe of each aggregate type, in the open transaction of the caller. Raises
    Unwritable."""
    await connection.execute(_LOCK_TIMEOUT)
    await connection.execute(_CHECKED)
    name = f"health-{uuid4().hex}"
    for aggregate, events in _probes(name).items():
        table = NAMED[aggregate.split("/")[0]].table
        try:
            await connection.execute(_UPDATE.format(table, "version", "version").encode())
            spends = table == "authorizations"
            if spends:
                await connection.execute(_UPDATE.format("spend_windows", "count", "count").encode())
            refs, windows_of = {aggregate: Ref(aggregate, new=True)}, [name] if spends else []
            loaded = await load(connection, refs, windows_of, locked=False)
            written = [(aggregate, event) for event in events]
            made = writing(_AUTHOR, loaded, Decision(None, written))
            statement = write_statement(made.parts, made.events)
            await connection.execute_raw(statement.text, statement.values(made.values))
        except Error as error:
            raise _reason(table, error) from error


def _reason(table: str, error: Error) -> Exception:
    if isinstance(error, errors.LockNotAvailable):
        return Unwritable(f"ledger.{table}: what a commit needs is locked")
    reason = _REFUSED.get(error.sqlstate)
    if reason is None:
        # What is wrong with the connection is said elsewhere.
        other = Unwritable(f"ledger.{table}: {describe(error)}")
        return error if isinstance(error, UNAVAILABLE) else other
    if isinstance(error, errors.InsufficientPrivilege):
        # The name of the table, the schema or the function, and nothing else.
        reason += f": {error.diag.message_primary}"
    return Unwritable(f"ledger.{table}: {reason}")


def _probes(name: str) -> Mapping[str, list[Event]]:
    """The first events of an aggregate of each type, all with this name."""
    saga_id, now, digest = f"health/{name}", datetime.now(UTC), "0" * 64
    amount = {"amount_minor": 1, "currency": "XXX", "destination": name}
    window = SpendWindow(agent_id=name, currency="XXX", period="daily", starts_on=now.date())
    spend = [SpendChange(window=window, amount_minor=1, count=1)]
    run = {"namespace": name, "namespace_id": name, "task_queue": name, "run_id": name}
    events: Mapping[str, list[Event]] = {
        f"saga/{saga_id}": [
            SagaStarted.read(
                run
                | {"kind": "health", "operation_id": name, "input_hash": digest, "input": {}}
                | {"workflow_id": saga_id, "started_at": now}
            )
        ],
        f"step/{saga_id}/{name}": [
            StepStarted.read(
                {"saga_id": saga_id, "name": name, "ordinal": 1, "epoch": 1, "activity": name}
                | {"input_hash": digest, "undo": None, "deadline": now}
            )
        ],
        f"authorization/{name}": [
            AuthorizationRequested.read(
                {"authorization_id": name, "saga_id": saga_id, "agent_id": name, "inputs": {}}
                | {"description": name, "requested_at": now, "policy_version": None, **amount}
            ),
            AuthorizationApproved(automatic=True, spend=spend, binding=digest),
        ],
        f"transfer/{name}": [
            TransferStarted.read(
                {"transfer_id": name, "authorization_id": name, "saga_id": saga_id, "key": name}
                | {"adapter": name, **amount}
            )
        ],
        f"refund/{name}": [
            RefundRequested.read(
                {"refund_id": name, "saga_id": saga_id, "payment": saga_id, "requested_at": now}
                | {"authorization_id": name, "amount_minor": 1, "currency": "XXX"}
            )
        ],
        f"agent/{name}": [AgentRegistered(agent_id=name, user=_AUTHOR.user_id)],
        f"policy/{name}": [
            PolicySet(
                agent_id=name,
                currency="XXX",
                max_per_transaction_minor=1,
                daily_limit_minor=1,
                approval_threshold_minor=1,
                time_zone="UTC",
            )
        ],
        f"resource/{name}/{name}": [
            ResourceChangeStarted(
                environment=name, name=name, kind=name, change=saga_id, action="create"
            )
        ],
    }
    return events
