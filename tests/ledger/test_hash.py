"""The hash link, computed a second time by code that shares nothing with the ledger's."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from ledger.commit import Author, Decision, Ref, commit
from ledger.database import Database
from ledger.resources import ResourceChangeStarted, ResourceCreated, resource_name
from ledger.saga_claims import Opening, open_saga
from tests.ledger.conftest import Clone
from tests.ledger.writing import register, revoke

COLUMNS = (
    "aggregate_id::text, version, hash, event_id::text, aggregate, event_type, schema_version, "
    'user_id, saga_id, step, payload, metadata, "timestamp"'
)
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


def json_8785(value: Any) -> str:
    """RFC 8785 for JSON without floats; integers beyond 2^53 - 1 as strings."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{text(key)}:{json_8785(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_8785, value)) + "]"
    if type(value) is int:
        return f'"{value}"' if abs(value) >= 2**53 else str(value)
    return text(value)


def text(value: str | bool | None) -> str:
    return json.dumps(value, ensure_ascii=False)


def expected(previous: str, row: tuple[Any, ...]) -> bytes:
    (aggregate_id, version, _, event_id, aggregate, event_type, schema_version, user_id, *rest) = (
        row
    )
    saga_id, step, payload, metadata, moment = rest
    assert isinstance(moment, datetime)
    utc = moment.astimezone(UTC)
    record = {
        "previous": previous,
        "event_id": event_id,
        "aggregate_id": aggregate_id,
        "aggregate": aggregate,
        "version": version,
        "event_type": event_type,
        "schema_version": schema_version,
        "user_id": user_id,
        "saga_id": saga_id,
        "step": step,
        "payload": payload,
        "metadata": metadata,
        "timestamp": f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}Z",
    }
    return hashlib.sha256(json_8785(record).encode()).digest()


async def test_every_event_links_to_the_one_before_it(clone: Clone, ledger: Database) -> None:
    await register(ledger)
    await revoke(ledger, reason="ß\u2029 \U0001f600")
    await open_saga(
        ledger,
        Author("system:tests", "payment/odd", "open", ODD),
        Opening("payment/odd", "payment", "odd", ODD, "h", "default", "run"),
    )
    await _create_resource(ledger)
    rows = await clone.fetch(
        f"SELECT {COLUMNS} FROM ledger.event_log ORDER BY aggregate_id, version"
    )
    assert len(rows) == 5
    heads: dict[object, bytes] = {}
    for row in rows:
        stored = row[2]
        assert isinstance(stored, bytes)
        assert stored == expected(heads.get(row[0], bytes(32)).hex(), row)
        heads[row[0]] = stored
    for table in ("agents", "sagas", "resources"):
        [(aggregate_id, head_hash)] = await clone.fetch(
            f"SELECT aggregate_id::text, head_hash FROM ledger.{table}"
        )
        assert heads[aggregate_id] == head_hash


async def _create_resource(ledger: Database) -> None:
    aggregate = resource_name("dev", "shop-db")
    started = ResourceChangeStarted(
        environment="dev", name="shop-db", kind="postgres.database", change="c", action="create"
    )
    created = ResourceCreated(
        change="c", kind="postgres.database", spec=ODD, depends_on=["shop-app"], outputs={}
    )
    events = [(aggregate, started), (aggregate, created)]
    await commit(ledger, Author("user:u"), [Ref(aggregate)], lambda _: Decision(None, events))
