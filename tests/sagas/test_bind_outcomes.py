"""Every status, code and fault of the BIND simulator, played through a payment: docs/bind.md has
the table. `AMENDS_WRITE_BIND=1 pytest tests/sagas/test_bind_outcomes.py` writes it."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from temporalio.client import Client

from activities import sending, transfers
from activities.adapters.bind import connection
from activities.adapters.bind.answers import REFUSALS
from tests.bank.simulator import (
    ACCOUNT_ID,
    PASSWORD,
    USERNAME,
    BindSimulator,
    Fault,
    Transfer,
)
from tests.sagas.bind_payments import BindPayments, check
from tests.sagas.conftest import NewAgent, Place, working_for
from tests.support.driver import CBU, Driver, Json
from tests.support.plain_text import plain_text
from tests.support.probe import Probe

QUEUE = "sagas-bind-outcomes"
DOCUMENT = Path(__file__).parents[2] / "docs" / "bind.md"
WRITE = "AMENDS_WRITE_BIND"
HEAD = "| BIND | the saga | the money | the spend |"
AT_ONCE = 12

# How long it takes until a saga gives up on its own, or asks somebody.
#   ordinary  minutes to send, an hour to ask: as in production
#   absent    half a second to send, and absence is believed soon after
#   asked     a person is asked soon
Pace = Literal["ordinary", "absent", "asked"]
PACES: dict[Pace, dict[str, timedelta]] = {
    "ordinary": {},
    "absent": {
        "SEND_WITHIN": timedelta(seconds=0.5),
        "ABSENT_AFTER": timedelta(seconds=0.5),
    },
    "asked": {"TELL_WITHIN": timedelta(seconds=0.2)},
}

DROP_BEFORE, DROP_AFTER = Fault(cut="drop"), Fault(cut="drop", when="after")
FIND_DROPPED = Fault("find", cut="drop")
ALWAYS = 1_000


@dataclass(frozen=True)
class Foreign:
    """Another party's transfer under our origin id."""

    amount: str = "45000"
    cbu: str = CBU


@dataclass(frozen=True)
class Row:
    told: str
    faults: tuple[Fault, ...] = ()
    pace: Pace = "ordinary"
    foreign: Foreign | None = None


def statuses(*words: str) -> Row:
    return Row(f"status {', then '.join(words)}", (Fault(statuses=words),))


def answer(http: int, code: str = "", **more: object) -> Fault:
    return Fault(http=http, code=code, **more)  # type: ignore[arg-type]


ROWS = [
    statuses("COMPLETED"),
    statuses("FAILED"),
    *(statuses(word, end) for word in ("IN_PROGRESS", "PENDING", "UNKNOWN")
      for end in ("COMPLETED", "FAILED")),
    replace(statuses("IN_PROGRESS"), told="status IN_PROGRESS for good", pace="asked"),
    replace(statuses("UNKNOWN"), told="status UNKNOWN for good", pace="asked"),
    statuses("UNKNOWN_FOREVER"),
    replace(statuses("A_NEW_STATUS"), told="a status that is not documented", pace="asked"),
    *(Row(f"409 {code}", (answer(409, code),)) for code in sorted(REFUSALS)),
    Row("409 TX500, then a repeat is taken", (answer(409, "TX500"),)),
    Row("409 TX500 for good", (answer(409, "TX500", times=ALWAYS),), "absent"),
    Row("a code that is not documented, for good", (answer(409, "TX999", times=ALWAYS),), "absent"),
    Row("503 GE503, then the networks open", (answer(503, "GE503"),)),
    Row("503 GE503 for good", (answer(503, "GE503", times=ALWAYS),), "absent"),
    *(
        Row(f"HTTP {http} {place} the work", (answer(http, when=place),))
        for http in (500, 502, 503, 504)
        for place in ("before", "after")
    ),
    Row("HTTP 400", (answer(400),)),
    Row("HTTP 401 once: the token was revoked", (answer(401),)),
    Row("HTTP 401 twice", (answer(401), answer(401))),
    Row("HTTP 403 once", (answer(403),)),
    Row("HTTP 429 once", (answer(429),)),
    Row("the connection breaks before the work", (DROP_BEFORE,)),
    Row("the connection breaks after the work", (DROP_AFTER,)),
    Row("no answer in time, the work is not done", (Fault(cut="hang"),)),
    Row("no answer in time, the work is done", (Fault(cut="hang", when="after"),)),
    Row("no order arrives", (Fault(cut="drop", times=ALWAYS),), "absent"),
    Row("the order arrives after its repeat", (Fault(held=True),)),
    Row("TX019 at the first look after the work",
        (replace(DROP_AFTER, hidden=1),)),
    Row("a look without answer, then one with", (DROP_AFTER, FIND_DROPPED)),
    Row("no look has an answer", (DROP_AFTER, replace(FIND_DROPPED, times=ALWAYS)), "asked"),
    Row("a look gets GE503", (DROP_AFTER, answer(503, "GE503", call="find"))),
    Row("a look gets HTTP 401 once", (DROP_AFTER, answer(401, call="find"))),
    Row("an answer that is no JSON", (Fault(body="<html>", when="after"),)),
    Row("an answer without the amount", (Fault(body='{"status": "COMPLETED"}', when="after"),)),
    Row("a repeat is refused (TX046) after a broken connection",
        (DROP_BEFORE, answer(409, "TX046", times=ALWAYS)), "absent"),
    Row("our origin id has another amount", foreign=Foreign(amount="45000.01")),
    Row("our origin id has another destination", foreign=Foreign(cbu="0170099220000067797370")),
    Row("our origin id has the same amount and destination", foreign=Foreign()),
]  # fmt: skip


@pytest.fixture(scope="module")
async def bank() -> AsyncIterator[BindSimulator]:
    async with BindSimulator() as running:
        yield running


@pytest.fixture(scope="module")
async def working(place: Place, client: Client, bank: BindSimulator) -> AsyncIterator[None]:
    given = bank.settings() | {"AMENDS_BIND_LOOK_AGAIN": "PT0.1S"}
    names = {name.removeprefix("AMENDS_").lower(): text for name, text in given.items()}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(connection, "ANSWER_WITHIN_S", 1.5)
        async with working_for(client, place, QUEUE, **names):
            yield


@pytest.fixture
async def driver(
    client: Client, probe: Probe, bank: BindSimulator, working: None
) -> AsyncIterator[Driver]:
    yield Driver(client, QUEUE)
    await check(probe, bank)


async def played(payments: BindPayments, row: Row) -> str:
    """The row of the table, as it came out."""
    request = await payments.new(*row.faults)
    origin = payments.origin(request)
    if row.foreign is not None:
        theirs = Decimal(row.foreign.amount)
        payments.bank.transfers[origin] = Transfer(
            "1-foreign", origin, row.foreign.cbu, "ARS", theirs, "another's", ["COMPLETED"]
        )
    await payments.driver.start(request)
    ends = await end_of(payments, request)
    payments.bank.release(origin)
    history = await payments.driver.handle(request).fetch_history()
    assert_silent(b"".join(event.SerializeToString() for event in history.events).decode("latin1"))
    # A whole account number is in payloads alone.
    assert CBU not in "".join(plain_text(event) for event in history.events)
    money = money_of(payments, request, row)
    return f"| {row.told} | {ends} | {money} | {await spend_of(payments, request, ends)} |"


def assert_silent(text: str) -> None:
    """No credential, and not the account that pays."""
    secrets = (USERNAME, PASSWORD, ACCOUNT_ID, "token-")
    assert [secret for secret in secrets if secret in text] == []


def money_of(payments: BindPayments, request: Json, row: Row) -> str:
    booked = payments.bank.transfers.get(payments.origin(request))
    if row.foreign is not None:
        del payments.bank.transfers[payments.origin(request)]
        return "ours did not move"
    if booked is not None and booked.statuses[-1] not in ("COMPLETED", "FAILED"):
        return "BIND does not know"
    moved = "moved once" if payments.paid(request) else "did not move"
    return f"{moved}, ordered again" if booked and booked.orders > 1 else moved


async def end_of(payments: BindPayments, request: Json) -> str:
    handle = payments.driver.handle(request)

    async def asked() -> None:
        await payments.until_in(request, "needs_attention")

    waits, ended = asyncio.ensure_future(asked()), asyncio.ensure_future(handle.result())
    await asyncio.wait((waits, ended), return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        ended.cancel()
        return "asks an operator"
    waits.cancel()
    result = ended.result()
    return f"{result['state']}, {result['reason']}" if result["reason"] else str(result["state"])


async def spend_of(payments: BindPayments, request: Json, ends: str) -> str:
    if await payments.probe.spent(request["agent_id"]) == (0, 0):
        return "released"
    return "spent" if ends == "captured" else "reserved"


def table_of(rows: list[str]) -> str:
    return "\n".join([HEAD, "|---" * 4 + "|", *rows])


async def test_every_status_code_and_fault_ends_as_the_table_says(
    driver: Driver,
    probe: Probe,
    bank: BindSimulator,
    new_agent: NewAgent,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    payments, found = BindPayments(driver, probe, bank, new_agent), dict[str, str]()
    turn = asyncio.Semaphore(AT_ONCE)

    async def play(row: Row) -> None:
        async with turn:
            found[row.told] = await played(payments, row)

    monkeypatch.setattr(sending, "MARGIN_S", 0.05)
    for pace, constants in PACES.items():
        with pytest.MonkeyPatch.context() as patched:
            for name, value in constants.items():
                patched.setattr(transfers if name == "TELL_WITHIN" else sending, name, value)
            async with asyncio.TaskGroup() as group:
                for row in ROWS:
                    if row.pace == pace:
                        group.create_task(play(row))
    assert_silent(caplog.text)
    assert CBU not in caplog.text
    assert_silent(str(await probe.ledger("SELECT * FROM ledger.event_log")))
    made = table_of([found[row.told] for row in ROWS])
    text = DOCUMENT.read_text()
    before, head, rest = text.partition(HEAD)
    table, gap, after = rest.partition("\n\n")
    if os.environ.get(WRITE):
        DOCUMENT.write_text(before + made + gap + after)
        return
    assert (head + table).splitlines() == made.splitlines()
