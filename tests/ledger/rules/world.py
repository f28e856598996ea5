"""The ledger that is attacked: a row in every state table; and the SQL of legal and illegal writes.

Every statement is built so that it is legal together with its counterpart: a row that moves by one
version and the one event that says so, both at now(), the time at which the transaction began.
"""

from dataclasses import dataclass

from ledger.aggregates.agent import agent_name
from ledger.aggregates.aggregate import aggregate_id
from ledger.aggregates.case import CaseOpened
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.database import Database
from ledger.sagas.saga_log import open_saga
from tests.ledger import writing
from tests.ledger.conftest import EVENT_ID


@dataclass(frozen=True)
class Known:
    """An aggregate of the world: one of each aggregate type."""

    aggregate: str
    version: int

    @property
    def id(self) -> str:
        return str(aggregate_id(self.aggregate))

    @property
    def table(self) -> str:
        return AGGREGATE_TYPES[self.aggregate.split("/", 1)[0]].table.name


BOT = agent_name("expense-bot")
AGENT = Known(BOT, 1)
POLICY = Known("policy/expense-bot", 1)
OTHERS = {"saga/payment/rent": 1, "step/payment/rent/hold": 1, "authorization/a-1": 3}
OTHERS |= {"transfer/t-1": 1, "resource/dev/shop-db": 1, "statement/mock-1": 1, "case/c-1": 1}
OTHERS |= {"key/k-1": 1, "mandate/m-1": 1, "refund/r-1": 1}
_KNOWN = (AGENT, POLICY, *(Known(name, version) for name, version in OTHERS.items()))
WORLD = {known.table: known for known in _KNOWN}
NOBODY = "agent/nobody"
COUNTED = "ledger.count_events(gen_random_uuid(), now(), '3', 0, 1)"
NO_HASH = "decode(repeat('00', 32), 'hex')"


async def fill(database: Database) -> None:
    """Write the world, by the one way to write."""
    await writing.register(database)
    await writing.set_policy(database)
    await writing.open_payment(database)
    await writing.take_step(database)
    await writing.reserve(database, "a-1", 100, "payment/rent")
    await writing.begin_transfer(database, "a-1", 100)
    await writing.write(database, "mandate/m-1", writing.mandate_granted("m-1"))
    await writing.write(database, "key/k-1", writing.key_registered("k-1"))
    back = writing.replace_kind(writing.opening("r-1"), "refund")
    await open_saga(database, writing.AUTHOR, back)
    await writing.write(database, "refund/r-1", writing.refund_requested("r-1"))
    await open_saga(database, writing.AUTHOR, writing.replace_kind(writing.opening("db"), "change"))
    begun = writing.resource_begun("shop-db", change="change/db")
    await writing.write(database, "resource/dev/shop-db", begun)
    found = CaseOpened(case_id="c-1", statement_id="mock-1", kind="balance")
    await writing.write(database, "case/c-1", found)
    await writing.write(database, "statement/mock-1", writing.statement_reconciled("mock-1", 1))


def event(
    version: int = 2,
    aggregate: str = BOT,
    /,
    at: str = "now()",
    table: str = "event_log",
    **given: str,
) -> str:
    """SQL that appends an event; `given` are SQL values for other columns, or other values."""
    identity = given.get("aggregate_id", f"'{aggregate_id(aggregate)}'")
    columns = {
        "event_id": EVENT_ID.format(f"({identity})::uuid", version),
        "aggregate_id": identity,
        "aggregate": f"'{aggregate}'",
        "version": str(version),
        "event_type": "'AgentRevoked'",
        "schema_version": "1",
        '"timestamp"': at,
        "user_id": "'user:x'",
        "payload": "'{}'",
        "metadata": "'{}'",
        "hash": NO_HASH,
    } | given
    # Only the owner may: the column is GENERATED ALWAYS.
    overriding = "OVERRIDING SYSTEM VALUE " if "position" in given else ""
    return (
        f"INSERT INTO ledger.{table} ({', '.join(columns)}) "
        f"{overriding}VALUES ({', '.join(columns.values())})"
    )


def row(version: int = 2, /, at: str = "now()", known: Known = AGENT, **given: str) -> str:
    """SQL that moves a state row."""
    changes = {"version": str(version), "head_at": at} | given
    assignments = ", ".join(f'"{column}" = {value}' for column, value in changes.items())
    return f"UPDATE ledger.{known.table} SET {assignments} WHERE aggregate_id = '{known.id}'"


def new_row(aggregate: str = NOBODY, version: int = 1, /, at: str = "now()", **given: str) -> str:
    """SQL that writes the state row of another agent."""
    columns = {
        "aggregate_id": f"'{aggregate_id(aggregate)}'",
        "aggregate": f"'{aggregate}'",
        "version": str(version),
        "base": "0",
        "head_at": at,
        "head_hash": NO_HASH,
        "xid": "'3'",
        "agent_id": f"'{aggregate.removeprefix('agent/')}'",
        '"user"': "'u'",
        "state": "'active'",
    } | given
    return (
        f"INSERT INTO ledger.agents ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"
    )


def moved(known: Known, **given: str) -> tuple[str, str]:
    """The next version of an aggregate of the world: its row and its event, a legal commit."""
    version = known.version + 1
    return row(version, known=known, **given), event(version, known.aggregate)
