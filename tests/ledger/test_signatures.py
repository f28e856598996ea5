"""`verify` checks every signature again, by the key that was valid when it was taken."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from ledger.aggregates.key import KeyRevoked, key_name
from ledger.aggregates.saga import SagaDecisionSigned, SagaStarted, saga_name
from ledger.audit.signatures import _agrees
from ledger.database import Database
from ledger.errors import NotFound, NotSigned
from ledger.sagas.decision_log import record_decision
from ledger.sagas.saga_log import Opening, close_saga, open_saga
from ledger.sagas.signatures import Signed
from ledger.signing import Signing
from ledger.store.commit import database_time
from starter.client.keys import Key
from tests.ledger import writing
from tests.ledger.conftest import Clone
from tests.ledger.samples import PAYMENT, SAMPLES
from tests.ledger.writing import write
from tests.support.signing import SIGNATURE, new_key, registered

HOLDER = writing.AUTHOR.user_id
[STARTED, *_] = [each for each in SAMPLES if isinstance(each, SagaStarted)]
Json = dict[str, Any]


def signed(key: Key, saga_id: str, verb: str, says: Mapping[str, Any]) -> Json:
    return {**key.signed(saga_id, verb, says)[SIGNATURE], "says": dict(says)}


async def take(database: Database, name: str, proof: Json | None, **changed: Any) -> str:
    """A saga with this signature on record, as whoever bypasses the engine writes it."""
    saga_id = f"payment/{name}"
    event = STARTED.changed(operation_id=name, workflow_id=saga_id, signed=proof, **changed)
    await write(database, saga_name(saga_id), event)
    return saga_name(saga_id)


async def test_a_signature_that_was_not_valid_then_or_is_over_something_else_is_found(
    clone: Clone, database: Database
) -> None:
    key = await registered(database, HOLDER)
    other, nobody = await registered(database, "user:bob"), new_key()
    expired = await registered(database, HOLDER, since_s=-600, until_s=-300)
    coming = await registered(database, HOLDER, since_s=86_400)
    revoked = await registered(database, HOLDER, revoked=True)
    right = signed(key, "payment/right", "submit", PAYMENT)
    said = {**PAYMENT, "description": "rent"}
    wrong = {
        "not on record": await take(
            database, "unknown", signed(nobody, "payment/unknown", "submit", PAYMENT)
        ),
        "the key of another": await take(
            database, "other", signed(other, "payment/other", "submit", PAYMENT)
        ),
        "is not over what is on record": await take(database, "replayed", right),
        "the request on record is not the one": await take(
            database, "input", signed(key, "payment/input", "submit", said)
        ),
    }
    for each in (expired, coming, revoked):
        name = f"then-{each.id}"
        proof = signed(each, f"payment/{name}", "submit", PAYMENT)
        wrong[f"was not valid then {name}"] = await take(database, name, proof)
    altered = right | {"value": "0" * 128}
    wrong["is not over what is on record, by its value"] = await take(database, "value", altered)
    no_form = right | {"says": ["no document"], "value": 7}
    wrong["is not over what is on record, without a form"] = await take(database, "form", no_form)
    good = await take(database, "right", right)
    told = {"actor": HOLDER, "reason": "it is due"}
    for name, verb in (("right", "approve"), ("decided", "reject")):
        proof = signed(key, "payment/right", "approve", told)
        event = SagaDecisionSigned(verb=verb, repeat="u-1", **proof)
        if name == "decided":
            wrong["is not over what is on record, of another verb"] = await take(
                database, name, None
            )
        await write(database, saga_name(f"payment/{name}"), event)
    # What a key signed before it was revoked stays signed.
    await write(database, key_name(key.id), KeyRevoked(revoked_at=await database_time(database)))
    found = {
        each.where: each.message
        for each in (await clone.verify()).findings
        if each.kind == "signature"
    }
    assert good not in found
    assert set(found) == set(wrong.values())
    for words, where in wrong.items():
        assert words.split(",")[0].split(" then-")[0] in found[where]


async def test_a_request_in_another_form_is_the_one_that_was_signed(
    clone: Clone, database: Database
) -> None:
    """Durations, times and defaults stand on record in the form of our models."""
    key = await registered(database, HOLDER)
    says = {**PAYMENT, "approve_within": "PT24H", "at": "2026-12-01T09:00:00-03:00", "to": None}
    stored = {**PAYMENT, "approve_within": "P1D", "at": "2026-12-01T12:00:00Z", "capture": "manual"}
    await take(database, "same", signed(key, "payment/same", "submit", says), input=stored)
    found = (await clone.verify()).findings
    assert [each for each in found if each.kind == "signature"] == []


async def test_a_revocation_comes_before_a_signed_request_or_after_it(
    clone: Clone, database: Database
) -> None:
    """The commit that takes a request holds the row of its key."""
    database.signing = Signing(required=True)
    key = await registered(database, HOLDER)

    def asked(name: str) -> Opening:
        opening = writing.opening(name)
        opening = opening.model_copy(update={"input": {**opening.input, "actor": HOLDER}})
        proof = signed(key, opening.saga_id, "submit", opening.input)
        by = Signed(saga_id=opening.saga_id, verb="submit", **proof)
        return opening.model_copy(update={"signed": by})

    async def revoke() -> None:
        now = await database_time(database)
        await write(database, key_name(key.id), KeyRevoked(revoked_at=now))

    async def ask(number: int) -> str:
        try:
            return (await open_saga(database, writing.AUTHOR, asked(f"n-{number}"))).how
        except NotSigned as refused:
            return refused.reason

    answers = await asyncio.gather(*map(ask, range(12)), revoke(), *map(ask, range(12, 24)))
    assert {each for each in answers if each} <= {"new", "invalid_signature"}
    assert await ask(24) == "invalid_signature"
    assert [each for each in (await clone.verify()).findings if each.kind == "signature"] == []
    with pytest.raises(NotSigned, match="missing_signature"):
        await open_saga(database, writing.AUTHOR, writing.opening("unsigned"))


async def test_a_signed_decision_is_recorded_once_and_on_no_saga_that_has_ended(
    clone: Clone, database: Database
) -> None:
    key, saga = await registered(database, HOLDER), writing.opening("rent")
    await open_saga(database, writing.AUTHOR, saga)
    told = {"actor": HOLDER, "reason": "it is due"}
    proof = signed(key, saga.saga_id, "approve", told)
    decision = Signed(saga_id=saga.saga_id, verb="approve", **proof)

    async def record(update: str, by: Signed = decision) -> int:
        await record_decision(database, writing.AUTHOR, by, update)
        [(count,)] = await clone.fetch(
            "SELECT count(*) FROM ledger.event_log WHERE event_type = 'SagaDecisionSigned'"
        )
        return int(str(count))

    # An activity whose answer was lost comes again.
    assert [await record("u-1"), await record("u-1")] == [1, 1]
    with pytest.raises(NotSigned):
        await record("u-2", decision.model_copy(update={"verb": "reject"}))
    proof = signed(key, "payment/x", "approve", told)
    other = Signed(saga_id="payment/x", verb="approve", **proof)
    with pytest.raises(NotFound):
        await record("u-3", other)
    await writing.compensate(database)
    await close_saga(database, writing.AUTHOR, saga.saga_id, 2, "failed", {"state": "failed"})
    assert await record("u-4") == 1


@pytest.mark.parametrize(
    ("said", "stored", "agrees"),
    [
        ({"capture_within": None}, {"capture_within": "P30D"}, False),
        ({"reason": "approve this"}, {"reason": 7}, False),
        ({"description": "20261130"}, {"description": "2026-11-30"}, False),
        ({"description": "P1W"}, {"description": "P7D"}, False),
        ({"description": "a b"}, {"description": "AB"}, False),
        ({"force": True}, {"force": 1}, True),
        ({"daily_limit_minor": 100}, {"daily_limit_minor": 900}, False),
        ({"booked_within": "P1W"}, {"booked_within": "P7D"}, True),
        ({"valid_from": 1796115600}, {"valid_from": "2026-12-01T09:00:00Z"}, True),
        ({"valid_from": 1796115601}, {"valid_from": "2026-12-01T09:00:00Z"}, False),
        ({"force": "yes"}, {"force": True}, True),
        ({"force": "no"}, {"force": True}, False),
        ({"destination": {"iban": "es91 21"}}, {"destination": {"iban": "ES9121"}}, True),
        ({"present": [{"spec": {"login": None}}]}, {"present": [{"spec": {"login": 1}}]}, True),
    ],
)
def test_what_is_stored_is_what_was_signed_in_another_form_at_most(
    said: Json, stored: Json, agrees: bool
) -> None:
    assert _agrees(said, stored) == agrees
