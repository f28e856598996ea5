"""`verify` and `rebuild` compare JSON byte by byte: what differs in text is another value."""

import json
from typing import Any

import psycopg
from hypothesis import strategies as st

from ledger.audit.rebuild import rebuild
from ledger.database import Database, open_database
from ledger.read.queries import sagas
from ledger.read.snapshot_writer import SnapshotMaker
from ledger.sagas.saga_log import open_saga
from tests.ledger.conftest import Clone
from tests.ledger.test_fold import draw, jsons, texts
from tests.ledger.writing import AUTHOR, begin_step, open_payment, opening, register

# What Python's == takes for one: of each row the values are all different to a client.
ALIKE: list[list[Any]] = [
    [True, 1, 1.0],
    [False, 0, 0.0, -0.0],
    [2, 2.0],
    [None, "null"],
    [2**60, str(2**60)],
]
# No column holds what is beyond.
floats = st.floats(-1e308, 1e308)
others = st.recursive(jsons | floats, lambda inner: st.lists(inner, max_size=2), max_leaves=4)
# A value, and another one in its place: often one that looks the same.
pairs = st.one_of(
    st.tuples(jsons, others),
    st.tuples(jsons, st.just(...)),
    *(st.tuples(st.just(row[0]), st.sampled_from(row)) for row in ALIKE),
).map(lambda pair: (pair[0], pair[0] if pair[1] is ... else pair[1]))


async def test_finds_exactly_the_rows_whose_json_is_another(
    clone: Clone, database: Database
) -> None:
    """The row is compared with the event as the server writes both: as text."""
    drawn = draw(st.tuples(texts, pairs, st.booleans()), 120)
    touched = set()
    async with await psycopg.AsyncConnection.connect(clone.superuser) as connection:
        for number, (key, (value, other), inner) in enumerate(drawn):
            name = f"payment/{number}"
            asked, changed = ({key: [each] if inner else each} for each in (value, other))
            asked_for = opening(str(number)).model_copy(update={"input": asked})
            await open_saga(database, AUTHOR, asked_for)
            await connection.execute("SET LOCAL session_replication_role = replica")
            cursor = await connection.execute(
                "WITH old AS (SELECT * FROM ledger.sagas WHERE workflow_id = %s) UPDATE "
                "ledger.sagas SET input = %s::jsonb FROM old WHERE old.aggregate = sagas.aggregate "
                "RETURNING sagas.input::text <> old.input::text",
                (name, json.dumps(changed)),
            )
            [(differs,)] = await cursor.fetchall()
            if differs:
                touched.add(f"saga/{name}")
    found = (await clone.verify()).findings
    assert {each.where for each in found} == touched
    assert {each.kind for each in found} == {"state"}
    # So does rebuild, which mends each of them.
    assert (await rebuild(clone.owner, "sagas")).wrong == len(touched) > 20
    assert (await clone.verify()).findings == []


async def test_the_null_of_json_is_not_that_of_sql(clone: Clone, database: Database) -> None:
    await open_payment(database)
    await begin_step(database)
    null = "UPDATE ledger.saga_steps SET result = 'null'"
    await clone.damage(null, "UPDATE ledger.sagas SET result = 'null'")
    found = (await clone.verify()).findings
    steps = ["saga/payment/rent", "step/payment/rent/hold"]
    assert sorted((each.where, each.kind) for each in found) == [(each, "state") for each in steps]
    assert all(each.message.startswith(f"{each.where}: result of the state row") for each in found)
    await rebuild(clone.owner, "saga_steps")
    assert [each.where for each in (await clone.verify()).findings] == steps[:1]


async def test_a_snapshot_is_compared_byte_by_byte(clone: Clone, database: Database) -> None:
    for number in range(2):
        await open_payment(database, str(number))
        await register(database, str(number))
    await SnapshotMaker(database, every=1).make()
    await clone.damage(
        "UPDATE ledger.snapshots SET state = jsonb_set(state, '{epoch}', '1.0') "
        "WHERE aggregate = 'saga/payment/1'",
        "UPDATE ledger.snapshots SET state = jsonb_build_object('n', repeat('1', 5000)::numeric) "
        "WHERE aggregate = 'agent/1'",
    )
    found = sorted((each.kind, each.where) for each in (await clone.verify()).findings)
    assert found == [("snapshot", "agent/1"), ("snapshot", "saga/payment/1")]


async def test_a_number_that_no_event_has_is_never_the_same(
    clone: Clone, database: Database
) -> None:
    """To a float, one beyond all floats is null in JSON, and the last digits are lost."""
    events = {"beyond": {"n": None}, "inner": {"n": [{"m": None}]}, "exact": {"n": 2**53}}
    for name, asked in events.items():
        await open_saga(database, AUTHOR, opening(name).model_copy(update={"input": asked}))
    rows = {
        "beyond": f'{{"n": {10**400}.5}}',
        "inner": f'{{"n": [{{"m": -{10**400}.5}}]}}',
        "exact": f'{{"n": {2**53}.0}}',
    }
    await clone.damage(
        *(
            f"UPDATE ledger.sagas SET input = '{asked}' WHERE workflow_id = 'payment/{name}'"
            for name, asked in rows.items()
        )
    )
    found = [(each.kind, each.where) for each in (await clone.verify()).findings]
    assert sorted(found) == [("state", f"saga/payment/{name}") for name in sorted(rows)]
    # No reader prints what is no JSON.
    async with open_database(clone.auditor, size=1) as auditor:
        listed = (await sagas(auditor, limit=10)).rows
    assert json.dumps(listed, allow_nan=False, default=str).count("payment/exact") > 0
