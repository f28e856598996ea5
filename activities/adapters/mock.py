"""The mock bank: a bank with books of its own, and faults that a test or a demo scripts by key.

Faults are rows of `mock_bank.faults`; each hits `remaining` calls of its operation:

    refuse          a transfer or a refund is refused, `note` is the reason
    timeout_before  after `delay_ms` the call breaks off and no work was done
    timeout_after   the work is done and committed; after `delay_ms` the call breaks off
    answer_twice    the call is delivered twice at the same moment, as by a network that repeats
    slow            the work begins `delay_ms` late
    slow_after      the work is done and committed; its answer comes `delay_ms` late
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from activities.adapters.mock_statement import pieces
from activities.adapters.payment import (
    ACCOUNT_KINDS,
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    PaymentError,
    RefundOrder,
    TransferOrder,
    TransferReport,
)
from ledger.session import connect, set_up

FaultName = Literal[
    "refuse", "timeout_before", "timeout_after", "answer_twice", "slow", "slow_after"
]
Operation = Literal["transfer", "find", "cancel", "reverse", "refund"]
Answer = TypeVar("Answer")

DELAYED_BEFORE = ("slow", "refuse", "timeout_before")
DELAYED_AFTER = ("slow_after", "timeout_after")

# A local bank answers in milliseconds: after this it is away, not slow.
ANSWER_WITHIN_S = 5
# No I, L, O, U: a reference is read aloud on the telephone (Crockford's alphabet).
REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REPORTED = "key, status, reference, reason, amount_minor, currency, destination, refund_of"

# One statement looks the key up and books the order; a key that is there keeps what it has, and
# whoever comes second waits for the first to commit and then sees its row.
TRANSFER = f"""
    INSERT INTO mock_bank.transfers AS known
        (key, status, reference, reason, amount_minor, currency, destination, description,
         deliveries)
    VALUES (%(key)s, %(status)s, %(reference)s, %(reason)s, %(amount_minor)s, %(currency)s,
            %(destination)s, %(description)s, 1)
    ON CONFLICT (key) DO UPDATE SET deliveries = known.deliveries + 1
    RETURNING {REPORTED}"""
FIND = f"SELECT {REPORTED} FROM mock_bank.transfers WHERE key = %(key)s"
# The row of a cancelled key stands in the way of every later order.
CANCEL = f"""
    INSERT INTO mock_bank.transfers AS known (key, status, reason, cancelled_at)
    VALUES (%(key)s, 'cancelled', 'cancelled', clock_timestamp())
    ON CONFLICT (key) DO UPDATE SET status = known.status
    RETURNING {REPORTED}"""
REVERSIBLE = "known.status = 'executed' AND known.refund_of IS NULL AND known.refunded_minor = 0"
REVERSE = f"""
    INSERT INTO mock_bank.transfers AS known (key, status, reason, cancelled_at)
    VALUES (%(key)s, 'cancelled', 'cancelled', clock_timestamp())
    ON CONFLICT (key) DO UPDATE SET
        status = CASE WHEN {REVERSIBLE} THEN 'reversed' ELSE known.status END,
        reversed_at = CASE WHEN {REVERSIBLE} THEN clock_timestamp() ELSE known.reversed_at END,
        changed_at = CASE WHEN {REVERSIBLE} THEN clock_timestamp() ELSE known.changed_at END
    RETURNING {REPORTED}"""
# Whoever refunds holds the row of the transfer, so that the next sees what is left of it.
REFUNDED = """
    SELECT status, amount_minor, currency, destination, refunded_minor FROM mock_bank.transfers
    WHERE key = %(transfer_key)s AND refund_of IS NULL FOR UPDATE"""
REFUND = f"""
    INSERT INTO mock_bank.transfers AS known
        (key, status, reference, reason, amount_minor, currency, destination, description,
         deliveries, refund_of)
    VALUES (%(key)s, %(status)s, %(reference)s, %(reason)s, %(amount_minor)s, %(currency)s,
            %(destination)s, %(description)s, 1, %(refund_of)s)
    ON CONFLICT (key) DO UPDATE SET deliveries = known.deliveries + 1
    RETURNING {REPORTED}, known.xmax = 0 AS is_new"""
TAKE_BACK = """
    UPDATE mock_bank.transfers
    SET refunded_minor = refunded_minor + %(amount_minor)s, changed_at = clock_timestamp()
    WHERE key = %(transfer_key)s"""
# The lock on the row makes two calls at once take two different strokes of the fault.
TAKE_FAULT = """
    UPDATE mock_bank.faults SET remaining = remaining - 1
    WHERE id = (SELECT id FROM mock_bank.faults
                WHERE key = %(key)s AND operation = %(operation)s AND remaining > 0
                ORDER BY id LIMIT 1 FOR UPDATE)
    RETURNING fault, delay_ms, note"""
ADD_FAULT = """
    INSERT INTO mock_bank.faults (key, operation, fault, remaining, delay_ms, note)
    VALUES (%(key)s, %(operation)s, %(fault)s, %(remaining)s, %(delay_ms)s, %(note)s)"""


@dataclass(frozen=True)
class Fault:
    """A fault that hits the next `remaining` calls of `operation` for `key`."""

    key: str
    fault: FaultName
    operation: Operation = "transfer"
    remaining: int = 1
    delay_ms: int = 0
    note: str | None = None


async def create_mock_bank(url: str) -> None:
    """Creates the bank's schema and tables where they are missing, in one transaction.

    Raises psycopg.Error.
    """
    schema = files(__package__).joinpath("mock_bank.sql").read_bytes()
    async with await connect(url) as connection:
        await connection.execute(schema)


class MockBank:
    """The payment adapter `mock`. Use it by `async with`, or `open()` and `close()`."""

    name = "mock"
    can_reverse = True
    can_cancel = True
    can_refund = True
    pays_to = ACCOUNT_KINDS

    def __init__(self, url: str, max_connections: int = 10) -> None:
        """`url`: the bank's own database, made by `create_mock_bank`. Connects to nothing yet."""
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] = AsyncConnectionPool(
            url,
            connection_class=psycopg.AsyncConnection[DictRow],
            kwargs={"autocommit": True, "row_factory": dict_row},
            configure=set_up,
            # A broken connection is found before the order is on its way: that is NothingSent.
            check=AsyncConnectionPool.check_connection,
            min_size=1,
            max_size=max_connections,
            timeout=ANSWER_WITHIN_S,
            open=False,
        )

    async def open(self) -> None:
        """Starts the pool, which connects by itself as soon as the bank is there."""
        await self._pool.open()

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def inject(self, fault: Fault) -> None:
        """Scripts a fault. Raises NothingSent, OutcomeUnknown like any call to the bank."""
        async with self._connection(broken=OutcomeUnknown) as connection:
            await connection.execute(ADD_FAULT, vars(fault))

    @property
    def account(self) -> str:
        """The bank has one account."""
        return self.name

    def known_as(self, key: str) -> str:
        """The key itself."""
        return key

    async def transfer(self, order: TransferOrder) -> TransferReport:
        """See PaymentAdapter."""
        report = await self._call("transfer", order.key, lambda fault: self._book(order, fault))
        _compare(order, report)
        return report

    async def refund(self, order: RefundOrder) -> TransferReport:
        """See PaymentAdapter."""
        report = await self._call("refund", order.key, lambda fault: self._refund(order, fault))
        if report.amount_minor is None:  # cancelled before any order arrived
            return report
        ours = (order.amount_minor, order.currency, order.transfer_key)
        if (report.amount_minor, report.currency, report.refund_of) != ours:
            raise NotTheSameTransfer(f"key {order.key} is known for another refund")
        return report

    async def find(self, key: str) -> TransferReport | None:
        """See PaymentAdapter."""
        try:
            return await self._call("find", key, lambda _: self._look_up(key))
        except NothingSent as error:
            # Of a question there is no such thing as "nothing was sent": the answer is missing.
            raise OutcomeUnknown(str(error)) from error

    async def cancel(self, key: str) -> TransferReport:
        """See PaymentAdapter."""
        return await self._call("cancel", key, lambda _: self._write(CANCEL, {"key": key}))

    async def reverse(self, key: str) -> TransferReport:
        """See PaymentAdapter."""
        return await self._call("reverse", key, lambda _: self._write(REVERSE, {"key": key}))

    async def statement(self, begins_at: datetime, ends_at: datetime) -> AsyncGenerator[str]:
        """See Listing: the pieces of a file in camt.053.001.08."""
        async with (
            self._connection(broken=OutcomeUnknown, within_s=None) as connection,
            aclosing(pieces(connection, begins_at, ends_at)) as found,
        ):
            async for piece in found:
                yield piece

    async def _book(self, order: TransferOrder, fault: DictRow | None) -> TransferReport:
        if fault is not None and fault["fault"] == "refuse":
            reason = fault["note"] or "refused by the bank"
            booking = {"status": "refused", "reference": None, "reason": reason}
        else:
            booking = {"status": "executed", "reference": _new_reference(), "reason": None}
        return await self._write(TRANSFER, vars(order) | booking)

    async def _refund(self, order: RefundOrder, fault: DictRow | None) -> TransferReport:
        async with (
            self._connection(broken=OutcomeUnknown) as connection,
            connection.transaction(),
        ):
            paid = await (await connection.execute(REFUNDED, vars(order))).fetchone()
            refused = _refusal(order, paid, fault)
            booking = {
                "status": "refused" if refused else "executed",
                "reference": None if refused else _new_reference("RFD"),
                "reason": refused,
                "destination": paid["destination"] if paid else "",
                "refund_of": order.transfer_key,
            }
            row = await (await connection.execute(REFUND, vars(order) | booking)).fetchone()
            assert row is not None  # every writing statement returns its row
            if row.pop("is_new") and not refused:
                await connection.execute(TAKE_BACK, vars(order))
        return TransferReport(**row)

    async def _call(
        self, operation: Operation, key: str, work: Callable[[DictRow | None], Awaitable[Answer]]
    ) -> Answer:
        """Does the work of one call, with the fault that is scripted for it."""
        fault = await self._take_fault(operation, key)
        name, delay_s = (fault["fault"], fault["delay_ms"] / 1000) if fault else (None, 0)
        if name in DELAYED_BEFORE:
            await asyncio.sleep(delay_s)
        if name == "timeout_before":
            raise OutcomeUnknown(f"the bank did not answer {operation}")
        if name == "answer_twice":
            answer, _ = await asyncio.gather(work(fault), work(fault))
        else:
            answer = await work(fault)
        if name in DELAYED_AFTER:
            await asyncio.sleep(delay_s)
        if name == "timeout_after":
            raise OutcomeUnknown(f"the bank did not answer {operation}")
        return answer

    async def _take_fault(self, operation: Operation, key: str) -> DictRow | None:
        # The order itself is not on its way yet.
        async with self._connection(broken=NothingSent) as connection:
            cursor = await connection.execute(TAKE_FAULT, {"key": key, "operation": operation})
            return await cursor.fetchone()

    async def _look_up(self, key: str) -> TransferReport | None:
        async with self._connection(broken=OutcomeUnknown) as connection:
            row = await (await connection.execute(FIND, {"key": key})).fetchone()
        return TransferReport(**row) if row is not None else None

    async def _write(self, statement: str, values: Mapping[str, Any]) -> TransferReport:
        async with self._connection(broken=OutcomeUnknown) as connection:
            row = await (await connection.execute(statement, values)).fetchone()
        assert row is not None  # every writing statement returns its row
        return TransferReport(**row)

    @asynccontextmanager
    async def _connection(
        self, broken: type[PaymentError], within_s: float | None = ANSWER_WITHIN_S
    ) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """A connection for one statement. A failure while it is in use is raised as `broken`."""
        try:
            connection = await self._pool.getconn()
        except (PoolTimeout, PoolClosed) as error:
            raise NothingSent("the bank can't be reached") from error
        try:
            async with asyncio.timeout(within_s):
                yield connection
        except (psycopg.OperationalError, TimeoutError) as error:
            raise broken("the connection to the bank broke off") from error
        finally:
            await self._pool.putconn(connection)


def _refusal(order: RefundOrder, paid: DictRow | None, fault: DictRow | None) -> str | None:
    """Why the bank does not carry a refund out."""
    if fault is not None and fault["fault"] == "refuse":
        return fault["note"] or "refused by the bank"
    if paid is None or paid["status"] != "executed" or paid["currency"] != order.currency:
        return "no such transfer to refund"
    if order.amount_minor > paid["amount_minor"] - paid["refunded_minor"]:
        return "more than what is left of the transfer"
    return None


def _compare(order: TransferOrder, report: TransferReport) -> None:
    if report.amount_minor is None:  # cancelled before any order arrived
        return
    if (report.amount_minor, report.currency) != (order.amount_minor, order.currency):
        raise NotTheSameTransfer(
            f"key {order.key} is known with {report.amount_minor} {report.currency}, "
            f"not {order.amount_minor} {order.currency}"
        )
    if report.destination != order.destination or report.refund_of is not None:
        raise NotTheSameTransfer(f"key {order.key} is known with another destination")


def _new_reference(kind: str = "TRF") -> str:
    tail = "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(6))
    return f"{kind}-{datetime.now(UTC):%Y%m%d}-{tail}"
