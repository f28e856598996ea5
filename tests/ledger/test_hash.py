"""The hash link, computed a second time by code that shares nothing with the ledger's."""

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates.aggregate import Event, aggregate_id, id_text
from ledger.aggregates.resource import ResourceCreated
from ledger.database import Database
from ledger.sagas.saga_log import open_saga
from ledger.store.commit import Author, Decision, Ref, commit
from ledger.store.event_log import event_hash, hash_parts
from tests.ledger.conftest import Clone
from tests.ledger.test_fold import jsons, texts
from tests.ledger.writing import opening, register, resource_begun, revoke
from tests.support.hash_link import COLUMNS, link, sha256

DB = "resource/dev/db"
DOCUMENT = Path(__file__).parents[2] / "docs" / "hash.md"
# Key order in RFC 8785 is by UTF-16 code units: U+1F600 (D83D DE00) stands before U+FB33.
ODD = {
    "\U0001f600": 1,
    "דּ": '\u2028\x1f"\\/\b',
    "1": [True, None, {}, []],
    "10": -(2**63),
    "€": 2**53,
    "\r": 2**53 - 1,
    "": "é e\u0301",
}


async def test_every_event_links_to_the_one_before_it(clone: Clone, ledger: Database) -> None:
    await register(ledger)
    await revoke(ledger, reason="ß\u2029 \U0001f600")
    author = Author("system:tests", "payment/odd", "open", ODD)
    await open_saga(ledger, author, opening("odd").model_copy(update={"input": ODD}))
    made = ResourceCreated(
        change="payment/rent",
        kind="postgres.database",
        spec=ODD,
        depends_on=["shop-app"],
        outputs={},
    )
    told: list[tuple[str, Event]] = [(DB, resource_begun()), (DB, made)]
    await commit(ledger, Author("user:u"), [Ref(DB)], lambda _: Decision(None, told))
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    rows = await clone.fetch(f"SELECT {names}, hash FROM ledger.event_log ORDER BY version")
    assert len(rows) == 5
    heads: dict[Any, bytes] = {}
    for *columns, stored in rows:
        event = dict(zip(COLUMNS, columns, strict=True))
        own_id = event["aggregate_id"]
        assert stored == sha256(link(heads.get(own_id, bytes(32)).hex(), event))
        assert isinstance(stored, bytes)
        heads[own_id] = stored
    for table in ("agents", "sagas", "resources"):
        ends = f"SELECT aggregate_id, head_hash FROM ledger.{table}"
        [(own_id, head_hash)] = await clone.fetch(ends)
        assert heads[own_id] == head_hash


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
events = st.fixed_dictionaries(
    {
        "event_id": st.uuids(),
        "aggregate_id": st.uuids(),
        "aggregate": texts,
        "version": st.integers(1, 2**31 - 1),
        "event_type": texts,
        "schema_version": st.integers(1, 2**31 - 1),
        "timestamp": st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=zones),
        "user_id": texts,
        "saga_id": st.none() | texts,
        "step": st.none() | texts,
        "payload": st.dictionaries(texts, jsons, max_size=4),
        "metadata": st.dictionaries(texts, jsons, max_size=4),
    }
)


@settings(deadline=None)
@given(event=events, previous=st.binary(min_size=32, max_size=32))
def test_both_implementations_agree_on_any_event(event: dict[str, Any], previous: bytes) -> None:
    assert event_hash(previous, event) == sha256(link(previous.hex(), event))


def example() -> tuple[dict[str, Any], str, str]:
    """The event of docs/hash.md, its text and its hash."""
    shown = re.findall(r"^```[a-z]+\n(.*?)\n```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    event, text, digest = json.loads(shown[0]), shown[1], shown[2]
    ids = {name: UUID(event[name]) for name in ("event_id", "aggregate_id")}
    return {**event, **ids, "timestamp": datetime.fromisoformat(event["timestamp"])}, text, digest


def test_the_example_of_the_document_is_right_and_it_names_the_fields_that_are_hashed() -> None:
    event, text, digest = example()
    assert tuple(sorted(event)) == tuple(sorted(COLUMNS))
    assert event["aggregate_id"] == aggregate_id(event["aggregate"])
    assert link("0" * 64, event) == text
    assert sha256(text).hex() == digest
    assert event_hash(bytes(32), event).hex() == digest
    rows = re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == list(
        json.loads("".join(hash_parts(event | {"payload": "{}", "metadata": "{}"})))
    )
    assert set(rows) == {*COLUMNS, "previous"}


@pytest.mark.parametrize("field", [*COLUMNS, "previous"])
def test_no_field_can_change_unseen(field: str) -> None:
    event, *_ = example()
    other: dict[str, Any] = {
        **dict.fromkeys(("aggregate", "event_type", "user_id", "saga_id", "step"), "other"),
        **{name: UUID(int=7) for name in ("event_id", "aggregate_id")},
        **dict.fromkeys(("version", "schema_version"), 2),
        **{name: {"attempt": 2} for name in ("payload", "metadata")},
        "timestamp": event["timestamp"] + timedelta(microseconds=1),
    }
    previous = bytes([1] * 32) if field == "previous" else bytes(32)
    changed = {**event, **({} if field == "previous" else {field: other[field]})}
    assert event_hash(previous, changed) != event_hash(bytes(32), event)


@pytest.mark.parametrize("field", ["payload", "metadata"])
@pytest.mark.parametrize("value", [1.5, 1.0, [2.5], {"a": {"b": -0.0}}])
def test_a_float_has_no_hash(field: str, value: Any) -> None:
    event, *_ = example()
    event[field] = {"amount": value}
    with pytest.raises(TypeError):
        event_hash(bytes(32), event)
    with pytest.raises(TypeError):
        link("0" * 64, event)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_text_of_an_id_is_that_of_its_uuid(name: str) -> None:
    assert id_text(name) == str(aggregate_id(name))
