"""Checks every signature on record again, by the key that was valid when it was taken."""

from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from ledger.audit.findings import Findings, finding
from ledger.database import Connection
from ledger.read.cursors import Row, rows
from ledger.store.canonical_json import decoded
from ledger.store.ed25519 import is_signed
from ledger.store.signed_form import SUBMIT, key_id, signed_bytes
from ledger.times import parse_duration

# The last event of a revoked key is its revocation. A payment that was denied for its signature is
# on record with that.
_SIGNED = """
    SELECT event.aggregate, event.position, event."timestamp", event.event_type, event.user_id,
        event.payload::text AS payload, key.key_id, key.holder, key.public_key, key.valid_from,
        key.valid_until, CASE WHEN key.state = 'revoked' THEN key.head_at END AS revoked_at
    FROM ledger.event_log event
    LEFT JOIN ledger.keys key ON key.aggregate = 'key/' || CASE event.event_type
        WHEN 'SagaStarted' THEN event.payload #>> '{{signed,key}}'
        ELSE event.payload ->> 'key' END
    WHERE (event.event_type = 'SagaDecisionSigned'
            OR event.event_type = 'SagaStarted'
            AND jsonb_typeof(event.payload -> 'signed') = 'object')
        AND NOT EXISTS (
            SELECT FROM ledger.authorizations denied
            WHERE event.event_type = 'SagaStarted' AND denied.state = 'denied'
                AND denied.reason = 'invalid_signature'
                AND event.aggregate = 'saga/' || denied.saga_id)
        {since}
"""

# The check reads the clock before the commit has its time: no commit is later than this.
_LATE = timedelta(seconds=60)


async def check_signatures(connection: Connection, after: int | None, findings: Findings) -> None:
    """Adds a finding for each signature that its key did not make over what is on record, or could
    not make then; `after`: only those beyond that position."""
    since = "" if after is None else "AND event.position > %(after)s"
    query = _SIGNED.format(since=since)
    told = findings.unjudged
    async with aclosing(rows(connection, "signed", query, {"after": after})) as found:
        async for row in found:
            if row["aggregate"] not in told and (what := wrong_with(row)):
                place = row["aggregate"], what, row["position"], row["timestamp"]
                findings.add(finding("signature", *place))


def wrong_with(row: Row) -> str | None:
    """Why the signature of an event is not valid; None where it is."""
    payload = decoded(row["payload"])
    is_request = row["event_type"] == "SagaStarted"
    signed = payload["signed"] if is_request else payload
    says, value = signed.get("says"), signed.get("value")
    verb = SUBMIT if is_request else signed.get("verb")
    if row["holder"] is None:
        return "the key of its signature is not on record"
    if row["holder"] != row["user_id"] or not _has_its_name(row):
        return "its signature is by the key of another"
    if not _was_valid(row, row["timestamp"]):
        return "the key of its signature was not valid then"
    saga_id = row["aggregate"].removeprefix("saga/")
    try:
        document = says if isinstance(says, Mapping) else {}
        message = signed_bytes(saga_id, str(verb), document, signed.get("ledger"))
    except ValueError:
        return "what was signed has no exact bytes"
    if not is_signed(row["public_key"], str(value), message):
        return "its signature is not over what is on record"
    if is_request and not _agrees(says, payload["input"]):
        return "the request on record is not the one that was signed"
    return None


def _has_its_name(row: Row) -> bool:
    try:
        return bool(key_id(row["public_key"]) == row["key_id"])
    except ValueError:
        return False


def _was_valid(row: Row, at: datetime) -> bool:
    over, revoked = row["valid_until"], row["revoked_at"]
    return (
        row["valid_from"] <= at
        and (over is None or at < over + _LATE)
        and (revoked is None or at <= revoked)
    )


# The words of a specification are of the kind of its resource, which may know other forms.
_FREE = "spec"
_ACCOUNTS = ("cbu", "iban", "allowed_destinations", "refused_destinations")
_TIMES = ("_at", "_from", "_until")


def _agrees(said: Any, stored: Any, name: str = "", *, free: bool = False) -> bool:
    """Whether what a client said in a field is what was stored: as it was, or in the form that our
    models give to a duration, a time, an account, a flag or a number. What was left out is not
    compared: it has the default of its time."""
    if isinstance(said, Mapping) and isinstance(stored, Mapping):
        return all(
            _agrees(value, stored.get(each), each, free=free or each == _FREE)
            for each, value in said.items()
        )
    if isinstance(said, list) and isinstance(stored, list):
        pairs = zip(said, stored, strict=False)
        return len(said) == len(stored) and all(_agrees(*pair, name, free=free) for pair in pairs)
    if type(said) is type(stored):
        return bool(said == stored) or _is_same_text(said, stored, name)
    if said is None:
        return free
    return _is_coerced(said, stored, name)


def _is_same_text(said: Any, stored: Any, name: str) -> bool:
    if not isinstance(said, str):
        return False
    if name.endswith("_within"):
        return _same(parse_duration, said, stored)
    if name == "at" or name.endswith(_TIMES):
        return _same(datetime.fromisoformat, said, stored)
    return name in _ACCOUNTS and _same(_account, said, stored)


def _is_coerced(said: Any, stored: Any, name: str) -> bool:
    """Whether the models read one type as the other: `yes` as true, the seconds of a time."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - few signatures need it, and it takes long

    is_time = isinstance(stored, str) and name.endswith(_TIMES)
    read: TypeAdapter[Any] = TypeAdapter(datetime if is_time else type(stored))
    try:
        known = datetime.fromisoformat(stored) if is_time else stored
        return bool(read.validate_python(said) == known)
    except ValueError:
        return False


def _account(text: str) -> str:
    """The normal form of an account number, as it is stored."""
    return text.replace(" ", "").upper()


def _same(parse: Any, one: str, other: str) -> bool:
    try:
        return bool(parse(one) == parse(other))
    except ValueError:
        return False
