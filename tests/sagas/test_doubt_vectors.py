"""The reply was lost: every fault, before and after the work, whatever a look-up tells, whoever
goes on. docs/payments.md has the table and docs/payment-vectors.json the vectors, both written by
`AMENDS_WRITE_DOUBTS=1 pytest tests/sagas/test_doubt_vectors.py`."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from activities import sending
from activities.arrivals import look_again
from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.store.commit import Author
from tests.sagas.conftest import Place
from tests.sagas.doubt_bank import (
    DECIDED_S,
    LANDS_S,
    Account,
    DoubtBank,
    Fault,
    Find,
    Script,
    Work,
)
from tests.sagas.doubts import Caller, Ended, Play, banks_time
from tests.support.driver import Json, new_id
from tests.support.probe import Probe
from worker.settings import needed

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT, VECTORS = DOCS / "payments.md", DOCS / "payment-vectors.json"
WRITE = "AMENDS_WRITE_DOUBTS"
HEAD = "| the first order | the work | a look-up |"
CALLERS: tuple[Caller, ...] = get_args(Caller)
AT_ONCE = 8

DOUBTS: dict[Fault, str] = {
    "lost": "the connection breaks",
    "silent": "no answer in time",
    "pending": "no outcome yet",
    "never_told": "the bank will never tell",
    "worker_lost": "the worker dies in the call",
}
# A bank may tell so late, and is believed by then; or later than anybody believes.
SHOWS_LATE_S, SHOWS_TOO_LATE_S, ANSWERS_S = 620.0, 200_000.0, 5_000.0
REFUSED_AGAIN = "the connection breaks, and the repeat is refused"
REPEATS: tuple[tuple[str, Work, str], ...] = (
    ("not done", "never", "knows"),
    ("done", "at_once", "lies for ten minutes"),
    ("done later", "on_its_way", "lies for ten minutes"),
)
TOO_LATE = "lies for two days"
FINDS: dict[str, tuple[Find, float]] = {
    "knows": ("truth", 0),
    "does not answer": ("silent", ANSWERS_S),
    "lies for ten minutes": ("none", SHOWS_LATE_S),
    TOO_LATE: ("none", SHOWS_TOO_LATE_S),
}


@dataclass(frozen=True)
class Row:
    fault: str
    work: str
    find: str
    script: Script


def rows() -> list[Row]:
    """The rows of the table."""
    found = []
    for fault, told in DOUBTS.items():
        for work in ("done", "not done"):
            for find, (says, until_s) in FINDS.items():
                if find == TOO_LATE and fault != "lost":
                    continue
                # A look-up that says nothing of an order that is not done yet lies all the same.
                late = work == "not done" and says == "none" and fault != "pending"
                does: Work = "at_once" if work == "done" else "on_its_way" if late else "never"
                words = "done later" if late else work
                found.append(Row(told, words, find, Script(fault, does, says, until_s)))
    return [
        *found,
        Row("certainly not sent", "not done", "knows", Script("not_sent", "never")),
        Row("certainly not sent", "not done", "does not answer",
            Script("not_sent", "never", *FINDS["does not answer"])),
        Row("refused", "not done", "knows", Script("answered", "refused")),
        Row("delivered twice", "done", "knows", Script("twice")),
        Row("another's, under our key", "not done", "knows", Script("foreign", "never")),
        *(
            Row(REFUSED_AGAIN, told, find, Script("lost", does, *FINDS[find], True))
            for told, does, find in REPEATS
        ),
    ]  # fmt: skip


ROWS = rows()
BANKS = {"undoable": "undoes", "final": "does not undo"}
ABOUT = (
    "What a payment engine has to keep when the answer to its order is lost. docs/payments.md "
    "describes the fields. The answers are what Amends got, in order; another engine asks in its "
    "own order, of a bank that follows `bank`, and comes to the same end."
)
HOLDS = ["paid_at_most_once", "undone_only_when_nothing_may_land"]


@dataclass(frozen=True)
class Cell:
    row: Row
    bank: DoubtBank
    caller: Caller
    account: Account
    saga_id: str
    ended: Ended
    agent: str


@pytest.fixture(scope="module")
async def database(place: Place) -> AsyncIterator[Database]:
    url = needed(place.settings.database_url, "the ledger")
    async with open_database(url, size=AT_ONCE) as opened:
        yield opened


async def played(database: Database) -> list[Cell]:
    """Every row, at a bank that undoes and at one that does not, by each caller."""
    banks = [DoubtBank(final=False), DoubtBank(final=True)]
    turn = asyncio.Semaphore(AT_ONCE)

    async def play(row: Row, bank: DoubtBank, caller: Caller) -> Cell:
        async with turn:
            agent, account = new_id("doubt"), Account(row.script)
            one = Play(database, bank, agent, account, caller)
            ended = await one.end()
            return Cell(row, bank, caller, account, one.saga_id, ended, agent)

    async def by_all(row: Row, bank: DoubtBank) -> list[Cell]:
        cells = [await play(row, bank, "retry"), await play(row, bank, "cancel")]
        # Where nobody is asked, there is nothing to tell.
        return cells + ([await play(row, bank, "person")] if cells[0].ended.asked else [])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(by_all(row, bank)) for row in ROWS for bank in banks]
    found = [cell for task in tasks for cell in task.result()]
    for cell in found:
        # All that is under way has landed, and every look-up tells the truth.
        cell.account.settled = len(cell.account.answers)
        cell.account.wait(SHOWS_TOO_LATE_S)
    for _ in range(2):
        # The second look finds nothing new.
        for bank in banks:
            look = f"{bank.name}-look-doubts"
            await look_again(database, bank, Author("system:amends"), look)
    return found


def money_of(cell: Cell) -> str:
    """Where the money is in the end, by the bank's books."""
    if cell.row.script.fault == "foreign":
        return "did not move"
    if cell.account.back:
        return "moved and came back"
    return "moved once" if cell.account.moved else "did not move"


def words_of(cell: Cell, transfer: str) -> str:
    """The cell of the table."""
    end = "captured" if cell.ended.state == "captured" else "undone"
    by = "*, " if cell.ended.told else ", "
    case = ": a case" if transfer == "arrived" else ""
    return f"{end}{by}{money_of(cell)}{case}"


def check(cell: Cell, transfer: str, spent: int) -> None:
    """The laws of a cell."""
    account, where = cell.account, (cell.row, cell.bank.name, cell.caller, cell.account)
    out = account.moved - account.back
    assert account.moved <= 1, where
    if cell.ended.state == "captured":
        assert (out, transfer) == (1, "executed"), where
    elif cell.row.find == TOO_LATE:
        # Nobody can know better; what is shown at last is not lost.
        assert out == (transfer == "arrived"), where
    else:
        assert not cell.ended.could_land, where
        assert (out, transfer in ("cancelled", "refused", "reversed")) == (0, True), where
    # What left the account is counted, once.
    assert spent == (4_500_000 if out else 0), where
    if cell.caller == "cancel" and cell.bank.name == "final":
        # Whoever cancelled wants no second order.
        assert account.orders <= 1, where


def vector(cell: Cell, transfer: str) -> Json:
    """The cell for other engines."""
    script = cell.row.script
    lands = {"at_once": 0, "on_its_way": LANDS_S, "never": None, "refused": None}[script.work]
    if script.fault == "pending":
        lands = DECIDED_S if script.work == "at_once" else None
    return {
        "name": " / ".join((cell.row.fault, cell.row.work, cell.row.find, cell.caller)),
        "bank": {
            "can_cancel": cell.bank.can_cancel,
            "can_reverse": cell.bank.can_reverse,
            "first_order": script.fault if script.work != "refused" else "refused",
            "executes_at_s": lands,
            "repeat": "refused" if script.repeat_is_refused else "by its key",
            "find": script.find,
            "find_until_s": script.find_until_s,
        },
        "caller": cell.caller,
        "answers": [list(each) for each in cell.account.answers[: cell.account.settled]],
        "holds": HOLDS,
        "end": "captured" if cell.ended.state == "captured" else "undone",
        "told_by_a_person": cell.ended.told,
        "money": money_of(cell),
        "arrived": transfer == "arrived",
    }


def table_of(words: dict[tuple[Row, str, Caller], str]) -> str:
    """The table: one row for each fault, work and look-up, one column for each bank and caller."""
    lines = [" | ".join((HEAD[:-2], *(f"{BANKS[b]}: {c}" for b in BANKS for c in CALLERS))) + " |"]
    lines.append("|---" * (3 + len(BANKS) * len(CALLERS)) + "|")
    for row in ROWS:
        columns = [(bank, caller) for bank in BANKS for caller in CALLERS]
        cells = (words.get((row, *column), "nobody is asked") for column in columns)
        lines.append(f"| {row.fault} | {row.work} | {row.find} | {' | '.join(cells)} |")
    return "\n".join(lines)


def document_of(vectors: list[Json]) -> str:
    """The file of vectors, one a line, so that a change shows."""
    lines = ",\n".join(json.dumps(each) for each in vectors)
    return f'{{"about": {json.dumps(ABOUT)},\n"vectors": [\n{lines}\n]}}\n'


async def test_a_lost_reply_is_never_paid_twice_nor_undone_while_it_may_land(
    database: Database, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "database_time", banks_time)
    cells = await played(database)
    found = await probe.ledger("SELECT saga_id, state FROM ledger.transfers")
    states = {row["saga_id"]: row["state"] for row in found}
    rows = await probe.ledger(
        "SELECT agent_id, amount_minor FROM ledger.spend_windows WHERE period = 'total'"
    )
    spent = {row["agent_id"]: row["amount_minor"] for row in rows}
    for cell in cells:
        check(cell, states[cell.saga_id], spent[cell.agent])
    cases = await probe.ledger("SELECT kind, transfer_id FROM ledger.cases")
    arrived = [state for state in states.values() if state == "arrived"]
    assert [case["kind"] for case in cases] == arrived
    async with open_database(probe.ledger_url, size=1) as opened:
        assert (await verify(opened)).findings == []
    words = {
        (cell.row, cell.bank.name, cell.caller): words_of(cell, states[cell.saga_id])
        for cell in cells
    }
    table = table_of(words)
    vectors = document_of([vector(cell, states[cell.saga_id]) for cell in cells])
    text = DOCUMENT.read_text()
    before, head, rest = text.partition(HEAD)
    old, gap, after = rest.partition("\n\n")
    if os.environ.get(WRITE):
        DOCUMENT.write_text(before + table + gap + after)
        VECTORS.write_text(vectors)
        return
    assert (head + old).splitlines() == table.splitlines()
    assert VECTORS.read_text() == vectors
