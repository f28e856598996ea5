"""Attacks in SQL by worker and auditor: refused, or found by `verify` under the name of the row, or
listed in docs/guarantees.md as a lie that nobody sees. None ends a reader in a traceback."""

import json
import re
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from ledger.aggregates.agent import AGENT
from ledger.aggregates.errors import UnknownEvent
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.aggregates.saga_step import StepDone, StepStarted
from ledger.aggregates.transitions import objection
from ledger.audit.verify import verify
from ledger.database import Database, open_database
from ledger.errors import LedgerError
from ledger.read.diff_and_blame import blame
from ledger.read.log import stream
from ledger.read.queries import Listed, PaymentQuery, payments, present_resources, sagas
from ledger.read.sagas import saga
from ledger.read.show import show
from ledger.read.snapshots import fingerprint
from ledger.read.waits import waiting
from ledger.store import event_rows
from tests.ledger.attacks.forbidden import FORBIDDEN, WAYS
from tests.ledger.attacks.impossible import PREFIX, fitting, history, impossible
from tests.ledger.attacks.lies import Lie, between, of_payments
from tests.ledger.attacks.parts import parts
from tests.ledger.attacks.raw import Raw, event, raw, row
from tests.ledger.attacks.refunds import of_refunds
from tests.ledger.attacks.refused import allowed, refused
from tests.ledger.attacks.requests import beyond
from tests.ledger.attacks.stories import Payment, tell
from tests.ledger.attacks.unseen import UNSEEN
from tests.ledger.conftest import Clone
from tests.ledger.samples import NOON

LIES: list[Lie] = [
    *(*between(), *of_payments(parts), *of_refunds()),
    *(*beyond(), *impossible()),
]
RAW: list[Raw] = raw()
ENDED = Payment("late")
LATE = Lie("a step after the end", (), ENDED.took("late", 4), "step", ENDED.step("late"))
DOCUMENT = Path(__file__).parents[3] / "docs" / "guarantees.md"


async def tell_all(database: Database, lies: list[Lie], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the truth by the one way to write, and then each lie as SQL would: without the rule of
    transitions, which the writer's own process keeps."""
    await tell(database, Payment("steps").started())
    for lie in lies:
        for true in lie.first:
            await tell(database, true)
    monkeypatch.setattr(event_rows, "objection", lambda *_: None)
    for lie in lies:
        await tell(database, lie.lie)


async def test_every_well_formed_lie_is_found_and_nothing_else(
    clone: Clone, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tell_all(database, LIES, monkeypatch)
    [(end,)] = await clone.fetch("SELECT max(position) FROM ledger.event_log")
    await tell(database, ENDED.captured())
    await tell(database, LATE.lie)
    async with open_database(clone.auditor, size=2) as auditor:
        since = (await verify(auditor, since=int(str(end)))).findings
    assert LATE.where in {each.where for each in since}
    found = Counter((each.kind, each.where) for each in (await clone.verify()).findings)
    expected = {(lie.kind, lie.where): lie.name for lie in [*LIES, LATE]}
    assert len(expected) == len(LIES) + 1
    missed = {expected[place]: place for place in expected if place not in found}
    strange = {place: found[place] for place in found if place not in expected or found[place] > 1}
    assert missed == {}
    assert strange == {}
    await _is_read(clone, {lie.where for lie in LIES})


async def test_a_row_event_window_or_snapshot_of_its_own_is_refused_or_found(
    clone: Clone, database: Database
) -> None:
    await tell(database, Payment("steps").started())
    for attack in RAW:
        if attack.first:
            await tell(database, attack.first)
    expected, refusals = {}, set[str | None]()
    async with await psycopg.AsyncConnection.connect(clone.worker) as connection:
        for attack in RAW:
            try:
                for statement in attack.statements:
                    text = statement.replace("%(fold)s", f"'{fingerprint(AGENT)}'")
                    await connection.execute(text.encode())
                await connection.commit()
                expected[attack.name] = attack.where
            except psycopg.Error as error:
                refusals.add(error.sqlstate)
                await connection.rollback()
    findings = (await clone.verify()).findings
    found = {each.where for each in findings}
    assert {name: where for name, where in expected.items() if where not in found} == {}
    # Of some of the true stories the saga is left out.
    assert found <= {attack.where for attack in RAW}
    assert refusals <= {"23514", "ZA008"}
    await _is_read(clone, {attack.where for attack in RAW if attack.first})


async def _is_read(clone: Clone, names: set[str]) -> None:
    """No reader ends in an error that is none of the ledger's own, which commands say in a line."""
    async with open_database(clone.auditor, size=2) as auditor:
        for name in sorted(names):
            for reader in (show, blame):
                try:
                    await reader(auditor, name)
                except (LedgerError, UnknownEvent):
                    continue
        assert len([event async for event in stream(auditor)]) > len(names)
        for name in names:
            if name.startswith("saga/"):
                await saga(auditor, name.removeprefix("saga/"))
        for many in (sagas, payments_of_all, waiting, resources_of_all):
            assert await many(auditor, limit=1_000)


async def payments_of_all(auditor: Database, limit: int) -> Listed:
    return await payments(auditor, PaymentQuery(), limit=limit)


async def resources_of_all(auditor: Database, limit: int) -> Listed:
    return await present_resources(auditor, "dev", limit=limit)


@pytest.mark.parametrize("role", ["worker", "auditor"])
async def test_what_was_never_granted_is_refused(clone: Clone, role: str) -> None:
    attacks = list(refused(role))
    told = {}
    async with await psycopg.AsyncConnection.connect(getattr(clone, role)) as connection:
        for name, state, statement in attacks:
            try:
                await connection.execute(statement.encode())
                told[name] = (state, "done")
            except psycopg.Error as error:
                if error.sqlstate != state:
                    told[name] = (state, str(error.sqlstate))
            await connection.rollback()
    assert told == {}
    assert len({name for name, _, _ in attacks}) == len(attacks) > 150


@pytest.mark.parametrize("role", ["worker", "auditor"])
async def test_what_is_allowed_changes_nothing(clone: Clone, role: str) -> None:
    """Each is committed; the next session neither sees nor feels it."""
    for name, statement in allowed(role).items():
        try:
            await clone.execute(getattr(clone, role), statement)
        except psycopg.Error as error:
            raise AssertionError(name) from error
    assert (await clone.verify()).findings == []


async def test_a_lie_that_nobody_sees_stands_in_the_document(
    clone: Clone, database: Database
) -> None:
    for unseen in UNSEEN.values():
        if unseen.first:
            await tell(database, unseen.first)
    before = (await clone.verify()).events
    for unseen in UNSEEN.values():
        async with await psycopg.AsyncConnection.connect(clone.worker) as connection:
            for statement in unseen.statements[:1]:
                await connection.execute(statement.encode())
            if unseen.lie:
                await tell(database, unseen.lie)
            for statement in unseen.statements[1:]:
                await connection.execute(statement.encode())
            await connection.commit()
    verified = await clone.verify()
    assert verified.events > before
    assert verified.findings == []
    section = DOCUMENT.read_text().split("## Lies that nobody sees")[1].split("\n## ")[0]
    listed = re.findall(r"^- (.*?)\.$", section, re.MULTILINE | re.DOTALL)
    assert [" ".join(each.split()) for each in listed] == list(UNSEEN)


async def test_a_step_written_before_the_end_is_not_late_by_its_clock(
    clone: Clone, database: Database
) -> None:
    """The end has an earlier time: the clock was set back, or its transaction is the older one."""
    early = Payment("early")
    [(_, end)] = early.completed("denied")
    begun = StepStarted(deadline=NOON, facts=None, **early.claim("early", 2))
    await tell(database, [*early.denied(), (early.step("early"), begun)])
    result = f"'{json.dumps(early.result('denied'))}'"
    ended = {"state": "'completed'", "result": result, "ended_at": f"'{NOON}'"}
    async with await psycopg.AsyncConnection.connect(clone.worker) as connection:
        await connection.execute("SELECT now()")
        await tell(database, [(early.step("early"), StepDone(result={}))])
        for statement in (event(early.saga, 2, end), row(early.saga, 2, ended)):
            await connection.execute(statement.encode())
        await connection.commit()
    assert (await clone.verify()).findings == []


def test_what_may_follow_is_what_the_business_does_not_forbid() -> None:
    """For each state and each event: the list of the attacks is written by hand."""
    assert FORBIDDEN.keys() == AGGREGATE_TYPES.keys()
    differ = {}
    for of, states in FORBIDDEN.items():
        for where, kinds in states.items():
            name = f"{PREFIX.get(of, f'{of}/')}x"
            state, _ = history(AGGREGATE_TYPES[of], WAYS[of].get(where, ""), name)
            for kind in (known.__name__ for known in AGGREGATE_TYPES[of].events):
                refused = objection(of, state, fitting(state, kind, name)) or ""
                if bool(re.search("can't (be the first|follow in)", refused)) != (
                    kind in kinds.split()
                ):
                    differ[f"{kind} in {where} {of}"] = refused
    assert differ == {}


def test_there_are_enough_attacks() -> None:
    """Beside those on each rule of the database (tests/ledger/rules)."""
    by_sql = [*refused("worker"), *refused("auditor")]
    counts = [len(LIES), len(RAW), len(by_sql), len(UNSEEN)]
    assert all(n > at_least for n, at_least in zip(counts, (200, 100, 300, 10), strict=True))
