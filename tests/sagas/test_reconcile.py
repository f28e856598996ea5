"""A statement of the bank is compared with the transfers, and each difference is a case."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.adapters.mock import MockBank
from activities.cases import case_of
from activities.reconciliation import CASES_AT_ONCE, ReconciliationActivities
from activities.statements.comparison import Difference
from activities.statements.entry import Entry
from activities.statements.periods import Coverage
from ledger.aggregates.case import CaseOpened
from ledger.database import Database
from ledger.read.statements import seen_in_doubt
from ledger.store.commit import Author
from starter.client.waiting import recorded_todos
from tests.sagas.conftest import Place
from tests.statements.builders import bal, camt, ntry, stmt, tx
from tests.support.driver import USER, Driver, Json, new_id, payment, refund
from tests.support.probe import Probe

# The mock bank books at once.
SOON = {"booked_within": "PT1S"}
# Of these tests the ledger has what it has: the cases and the statements, and all their events.
WRITTEN = "SELECT count(*) AS count FROM ledger.event_log WHERE aggregate ~ '^(case|statement)/'"


class Statements:
    """Makes files in the worker's folder, and asks for their reconciliation."""

    def __init__(self, driver: Driver, probe: Probe, bank: MockBank, folder: Path) -> None:
        self.driver, self.probe, self.bank, self.folder = driver, probe, bank, folder

    async def listed(self, begins: datetime, ends: datetime) -> str:
        return "".join([piece async for piece in self.bank.statement(begins, ends)])

    def request(self, text: str, **more: Any) -> Json:
        name = f"{new_id('file')}.xml"
        (self.folder / name).write_text(text)
        file = {"name": name, "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return {"operation_id": new_id("rec"), "statement": file, **SOON, **USER, **more}

    async def reconciled(self, text: str, **more: Any) -> Json:
        return await self.driver.run(self.request(text, **more))

    async def cases(self, result: Json) -> list[Json]:
        return await self.probe.ledger(
            "SELECT * FROM ledger.cases WHERE statement_id = %s ORDER BY kind, entry",
            result["statement_id"],
        )

    async def written(self) -> int:
        [row] = await self.probe.ledger(WRITTEN)
        return int(row["count"])


@pytest.fixture
def statements(driver: Driver, probe: Probe, bank: MockBank, place: Place) -> Statements:
    folder = place.settings.statements_folder
    assert folder is not None
    return Statements(driver, probe, bank, folder)


async def paid_for(statements: Statements, agent: str) -> tuple[list[Json], datetime, datetime]:
    """Five payments of 1,000 pesos and more, and a time that has them all."""
    begins = datetime.now(UTC) - timedelta(minutes=5)
    paid = [await statements.driver.run(payment(agent, 1_000 + n)) for n in range(5)]
    return paid, begins, datetime.now(UTC) + timedelta(seconds=2)


def spoiled(text: str) -> str:
    """The file with the second amount changed, the third entry doubled, the last one another."""
    lines = text.splitlines(keepends=True)
    numbers = [n for n, line in enumerate(lines) if line.startswith("<Ntry>")][-5:]
    lines[numbers[1]] = lines[numbers[1]].replace("1001.00", "1001.01")
    lines[numbers[2]] *= 2
    stray = lines[numbers[4]].replace("<AcctSvcrRef>", "<AcctSvcrRef>X")
    stray = stray.replace("<EndToEndId>", "<EndToEndId>X")
    lines[numbers[4]] = stray
    return "".join(lines)


async def test_each_difference_is_a_case_and_the_same_file_again_changes_nothing(
    statements: Statements, agent: str, driver: Driver
) -> None:
    paid, begins, ends = await paid_for(statements, agent)
    text = await statements.listed(begins, ends)

    # The bank's own list and its file come to the same, and to no case.
    listing = {"begins_at": begins.isoformat(), "ends_at": ends.isoformat()}
    agreed = await driver.run({"operation_id": new_id("rec"), "listing": listing, **SOON, **USER})
    assert (agreed["state"], agreed["matched"], agreed["differences"]) == ("agreed", 5, 0)
    assert await statements.reconciled(text) == {**agreed, "repeated": True}

    before = await statements.written()
    found = await statements.reconciled(spoiled(text))
    kinds = ("here_not_there", "there_not_here", "different", "twice", "balance")
    assert (found["state"], found["matched"]) == ("differences", 3)
    assert found["kinds"] == dict.fromkeys(kinds, 1)
    # Each case, and the statement.
    assert await statements.written() == before + 6
    cases = {case["kind"]: case for case in await statements.cases(found)}
    assert {case["state"] for case in cases.values()} == {"open"}
    changed, missing = cases["different"], cases["here_not_there"]
    assert (changed["transfer_id"], changed["detail"]) == (paid[1]["transfer_id"], "amount")
    assert (changed["booked_minor"], changed["recorded_minor"]) == (100_101, 100_100)
    assert missing["transfer_id"] == paid[4]["transfer_id"]
    assert cases["twice"]["transfer_id"] == paid[2]["transfer_id"]

    # Once more, by another person and under another name.
    again = await statements.reconciled(spoiled(text), actor="user:other")
    assert again == {**found, "repeated": True}
    assert await statements.written() == before + 6


async def test_a_refund_is_a_credit_that_the_statement_has(
    statements: Statements, agent: str, driver: Driver
) -> None:
    begins = datetime.now(UTC)
    await driver.run(paid := payment(agent, 1_000))
    back = [await driver.run(refund(paid, pesos)) for pesos in (100, 200)]
    text = await statements.listed(begins, datetime.now(UTC) + timedelta(seconds=2))
    agreed = await statements.reconciled(text)
    assert (agreed["matched"], agreed["differences"]) == (3, 0)
    found = await statements.reconciled(text.replace(">200.00<", ">200.01<"))
    [changed] = [each for each in await statements.cases(found) if each["kind"] == "different"]
    assert (changed["transfer_id"], changed["direction"]) == (back[1]["refund_id"], "credit")
    assert (changed["booked_minor"], changed["recorded_minor"]) == (20_001, 20_000)


async def test_a_case_is_on_the_list_until_a_person_closes_it_with_evidence(
    statements: Statements, driver: Driver, probe: Probe, ledger: Database
) -> None:
    found = await statements.reconciled(camt(stmt(ntry("5.00", tx("nobody's")))))
    [case] = await statements.cases(found)
    name = f"case/{case['case_id']}"
    [todo] = [todo for todo in await recorded_todos(ledger) if todo.name == name]
    assert todo.wait.commands == [f"amends case close {case['case_id']} --evidence TEXT"]

    close = {"case_id": case["case_id"], "evidence": "a fee, by the bank's letter", **USER}

    async def why_not(**more: str) -> str:
        asked = {"operation_id": new_id("close"), **close, **more}
        failure = await driver.failure(await driver.start(asked))
        return str(failure.type)

    assert await why_not(actor="agent:bot") == "InvalidInput"
    assert await why_not(evidence="") == "InvalidInput"
    assert await why_not(case_id="0" * 32) == "unknown_case"
    request = {"operation_id": new_id("close"), **close}
    closed = {"state": "closed", "case_id": case["case_id"], "unsigned": True}
    assert await driver.run(request) == closed
    assert await why_not() == "case_closed"
    assert name not in {todo.name for todo in await recorded_todos(ledger)}
    [event] = await probe.events(request, "case/%")
    assert (event["user_id"], event["payload"]["closed_by"]) == ("user:u-17", "user:u-17")


async def test_of_a_file_that_is_not_usable_nothing_is_written(
    statements: Statements, driver: Driver
) -> None:
    before = await statements.written()
    good = camt(stmt(ntry("5.00")))
    requests = {
        "statement_refused": statements.request(good.replace(">5.00<", ">5.001<")),
        "other_file": statements.request(good),
        "file_not_found": statements.request(good),
        "too_many_differences": statements.request(camt(stmt(ntry("5.00") * 10_001))),
    }
    requests["other_file"]["statement"]["sha256"] = "0" * 64
    requests["file_not_found"]["statement"]["name"] = "nowhere.xml"
    for reason, request in requests.items():
        refused = await driver.run(request)
        assert (refused["state"], refused["reason"]) == ("refused", reason)
    assert (
        "line 1 of the statement" in (await driver.result(requests["statement_refused"]))["detail"]
    )
    outside = {**statements.request(good), "statement": {"name": "../x", "sha256": "0" * 64}}
    assert (await driver.failure(await driver.start(outside))).type == "InvalidInput"
    assert await statements.written() == before


async def test_many_cases_are_written_some_at_a_time_and_a_repeat_finds_them(
    statements: Statements, ledger: Database, probe: Probe, bank: MockBank
) -> None:
    count = 2 * CASES_AT_ONCE + 1
    text = camt(stmt(ntry("5.00") * count))
    statement_id = f"mock-{hashlib.sha256(text.encode()).hexdigest()}"
    # What an attempt had written when its worker was lost.
    strays = [
        Entry(
            statement=0,
            number=number,
            status="booked",
            direction="debit",
            amount_minor=500,
            currency="EUR",
        )
        for number in range(CASES_AT_ONCE + 3)
    ]
    lost = [case_of(statement_id, Difference(kind="there_not_here", entry=each)) for each in strays]
    before = await statements.written()
    writer = ReconciliationActivities(ledger, bank, None)
    await writer.open_cases(Author("user:u-17"), lost)
    await writer.open_cases(Author("user:u-17"), lost)
    assert await statements.written() == before + len(lost)

    found = await statements.reconciled(text)
    assert (found["differences"], found["kinds"]) == (count, {"there_not_here": count})
    assert await statements.written() == before + count + 1
    sizes = await probe.ledger(
        "SELECT count(*) AS count FROM ledger.event_log WHERE aggregate LIKE 'case/%%' "
        "AND payload->>'statement_id' = %s GROUP BY xid",
        statement_id,
    )
    assert max(row["count"] for row in sizes) == CASES_AT_ONCE


async def test_files_that_arrived_are_compared_once_and_a_refused_one_stops_no_other(
    statements: Statements, driver: Driver
) -> None:
    async def arrived() -> Json:
        return await driver.run({"operation_id": new_id("rec"), "arrived": True, **SOON, **USER})

    await arrived()
    for text in (camt(stmt(ntry("7.00"))), "no statement", camt(stmt(ntry("8.00"), ntry("9.00")))):
        statements.request(text)
    before = await statements.written()
    found = await arrived()
    assert (found["state"], found["differences"]) == ("refused", 3)
    assert "line 1 of the statement: neither camt.053" in found["detail"]
    # Three cases and two statements.
    assert await statements.written() == before + 5
    again = await arrived()
    assert (again["differences"], again["detail"]) == (0, found["detail"])
    assert await statements.written() == before + 5


async def test_a_file_of_another_account_is_refused_and_one_that_does_not_follow_has_a_case(
    statements: Statements, driver: Driver
) -> None:
    def day(on: int, opening: str, closing: str, *, account: str = "GB1") -> str:
        """A statement of a day in January, of one credit."""
        date = f"2026-01-{on:02}"
        credit = ntry("5.00", way="CRDT", ccy="GBP")
        balances = (
            bal(kind, amount, ccy="GBP", on=date)
            for kind, amount in (("OPBD", opening), ("CLBD", closing))
        )
        return stmt(*balances, credit, period=date).replace("ACC-1", account)

    def kinds(balance: int, credits: int) -> Json:
        return {"there_not_here": credits} | ({"balance": balance} if balance else {})

    first = camt(day(5, "10.00", "15.00"), day(6, "15.00", "20.00"))
    assert (await statements.reconciled(first))["kinds"] == kinds(0, 2)
    # The same account, written with a space, after a day that never came; then a day again.
    lost = camt(day(8, "26.00", "31.00", account="gb 1"))
    found = await statements.reconciled(lost)
    assert found["kinds"] == kinds(1, 1)
    [case, _] = await statements.cases(found)
    assert "the opening balance is off by 6.00 GBP" in case["detail"]
    again = camt(day(6, "15.00", "20.00"), day(8, "27.00", "32.00"))
    assert (await statements.reconciled(again))["kinds"] == kinds(1, 2)

    before = await statements.written()
    other = await statements.reconciled(camt(day(9, "31.00", "36.00", account="GB2")))
    assert (other["state"], other["reason"]) == ("refused", "other_account")
    assert "statement 1 of the file is of another account than came before" in other["detail"]
    assert "GB2" not in other["detail"]
    assert await statements.written() == before


async def test_a_booking_that_came_while_the_transfer_was_in_doubt_is_awaited_no_more(
    ledger: Database, bank: MockBank
) -> None:
    writer, text = ReconciliationActivities(ledger, bank, None), f"mock-{'5f' * 32}"
    cases = [
        CaseOpened(
            case_id=n * 32, statement_id=text, kind="different", detail=why, direction="debit"
        )
        for n, why in (("1", "state"), ("2", "amount"))
    ]
    named = [each.changed(transfer_id=f"t-{each.case_id[0]}") for each in cases]
    await writer.open_cases(Author("user:u-17"), named)
    assert await seen_in_doubt(ledger, "mock") == [("debit", "t-1")]
    day = (datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    coverage = Coverage({"EUR": [day]}, timedelta(hours=1), {}, frozenset({"debit t-1"}))
    assert coverage.due("debit t-1", "EUR", day[0]) == "outside"
    assert coverage.due("debit t-2", "EUR", day[0]) == "due"
