"""In production a commit in the name of a person or an agent carries what they signed, whoever
calls the activity."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger.aggregates.saga import SagaWaitStarted, saga_name
from ledger.aggregates.saga_step import StepDone, StepRetryRequested, StepUndone
from ledger.database import Database
from ledger.errors import NotSigned
from ledger.sagas.decision_log import record_decision
from ledger.sagas.saga_log import begin_compensation, open_saga
from ledger.sagas.signatures import Signed
from ledger.sagas.step_log import (
    StepOutcome,
    commit_step,
    finish_step,
    note_step,
    start_step,
    undo_step,
)
from ledger.signing import Signing
from ledger.store.commit import Author, Decision, database_time
from starter.client.keys import Key
from tests.ledger import writing
from tests.ledger.conftest import Clone
from tests.ledger.writing import write
from tests.support.signing import ANA, BOB, SIGNATURE, registered

SAGA, HOLDER = "payment/rent", writing.AUTHOR.user_id
Json = dict[str, Any]
Attempt = Callable[[str, Signed | None], Awaitable[object]]


def said(key: Key, verb: str, actor: str = ANA, **told: str) -> Signed:
    says = {"actor": actor, **told}
    return Signed(saga_id=SAGA, verb=verb, says=says, **key.signed(SAGA, verb, says)[SIGNATURE])


async def production(database: Database, key: Key) -> None:
    """A signed saga that is open; from here on nothing unsigned is taken."""
    opening = writing.opening("rent")
    says = {**opening.input, "actor": HOLDER}
    proof = key.signed(SAGA, "submit", says)[SIGNATURE]
    signed = Signed(saga_id=SAGA, verb="submit", says=says, **proof)
    opening = opening.model_copy(update={"input": says, "signed": signed})
    database.signing = Signing(required=True)
    with pytest.raises(NotSigned):
        await open_saga(database, Author(ANA), opening)
    await open_saga(database, writing.AUTHOR, opening)


async def wait_for(database: Database, what: str, *, within_s: float = 60) -> None:
    since = await database_time(database)
    until = since + timedelta(seconds=within_s)
    waits = SagaWaitStarted(waits_for=what, waits_on=ANA, since=since, until=until)
    await write(database, saga_name(SAGA), waits)


async def refused(attempt: Attempt, key: Key, verb: str, **told: str) -> None:
    """Whatever is not this decision of Ana is refused."""
    right = said(key, verb, **told)
    others: list[tuple[str, Signed | None]] = [
        (ANA, None),
        (HOLDER, None),
        ("system:amends", None),
        (BOB, right),
        (HOLDER, right),
        ("system:amends", right),
        (ANA, said(key, "extend", **told)),
        (ANA, right.model_copy(update={"verb": "extend"})),
        (ANA, right.model_copy(update={"says": {**right.says, "reason": "altered"}})),
        (ANA, said(key, verb, BOB, **told)),
        (ANA, right.model_copy(update={"saga_id": "payment/other"})),
        *((ANA, said(key, verb, **{**told, each: "x"})) for each in told if each != "reason"),
    ]
    for actor, decision in others:
        with pytest.raises(NotSigned):
            await attempt(actor, decision)


def forward(database: Database, name: str) -> Attempt:
    async def attempt(actor: str, decision: Signed | None) -> object:
        claim = replace(writing.claim(name), decision=decision, ends_wait=True)
        if name == "approve":
            return await commit_step(database, Author(actor), claim, [], writing.hold)
        within = writing.WITHIN
        return await start_step(database, Author(actor), claim, [], writing.facts, within=within)

    return attempt


@pytest.mark.parametrize(("waits_for", "verb"), [("approval", "approve"), ("capture", "capture")])
async def test_what_a_saga_waits_for_is_decided_by_whoever_signed_it(
    database: Database, waits_for: str, verb: str
) -> None:
    anas, holders = await registered(database, ANA), await registered(database, HOLDER)
    await production(database, holders)
    await writing.take_step(database, writing.claim("authorize"))
    await wait_for(database, waits_for)
    attempt = forward(database, verb)
    await refused(attempt, anas, verb)
    right = said(anas, verb)
    await attempt(ANA, right)
    # A repeat is the same step; another one, in their name, is no part of what they signed.
    await attempt(ANA, right)
    with pytest.raises(NotSigned):
        await forward(database, f"{verb} again")(ANA, right)


async def test_a_decision_is_carried_out_until_a_minute_after_its_key_was_revoked(
    database: Database,
) -> None:
    """The saga has heard it before; what comes later is refused where the saga hears it."""
    just = await registered(database, ANA, revoked=True, revoked_s=-50)
    long_ago = await registered(database, ANA, revoked=True, revoked_s=-61)
    await production(database, await registered(database, HOLDER))
    await wait_for(database, "approval")
    with pytest.raises(NotSigned):
        await record_decision(database, Author(ANA), said(just, "approve"), "u-1")
    with pytest.raises(NotSigned):
        await forward(database, "approve")(ANA, said(long_ago, "approve"))
    await forward(database, "approve")(ANA, said(just, "approve"))


async def test_what_is_left_is_released_by_who_signed_that_or_after_the_deadline(
    database: Database,
) -> None:
    anas, holders = await registered(database, ANA), await registered(database, HOLDER)
    await production(database, holders)
    await wait_for(database, "capture")

    def release(name: str) -> Attempt:
        async def attempt(actor: str, decision: Signed | None) -> object:
            claim = replace(writing.claim(name), activity="release_rest", decision=decision)
            claim = replace(claim, ends_wait=True)
            return await commit_step(database, Author(actor), claim, [], writing.hold)

        return attempt

    await refused(release("rest"), anas, "void")
    with pytest.raises(NotSigned):
        await forward(database, "approve")(ANA, said(anas, "void"))
    await release("rest")(ANA, said(anas, "void"))
    await wait_for(database, "capture", within_s=0)
    for actor in (ANA, HOLDER):
        with pytest.raises(NotSigned):
            await release("late")(actor, None)
    await release("late")("system:amends", None)


async def test_a_person_who_compensates_a_saga_has_signed_that(database: Database) -> None:
    anas, holders = await registered(database, ANA), await registered(database, HOLDER)
    await production(database, holders)

    def attempt(cause: str) -> Attempt:
        async def compensate(actor: str, decision: Signed | None) -> object:
            asked = Author(actor), SAGA, 1, "run-1", cause, None, None, decision
            return await begin_compensation(database, *asked)

        return compensate

    right = said(anas, "reject")
    for actor, decision in ((ANA, None), (HOLDER, None), (HOLDER, right), (BOB, right)):
        with pytest.raises(NotSigned):
            await attempt("rejected")(actor, decision)
    with pytest.raises(NotSigned):
        await attempt("cancelled")(ANA, right)
    await attempt("rejected")(ANA, right)


async def test_an_outcome_that_an_operator_gives_is_the_one_that_they_signed(
    database: Database,
) -> None:
    anas, holders = await registered(database, ANA), await registered(database, HOLDER)
    await production(database, holders)
    step = writing.claim("hold")
    await writing.begin_step(database, step)
    told = {"step": "hold", "evidence": "slip 7"}

    async def retry(actor: str, decision: Signed | None) -> object:
        event = StepRetryRequested(reason=None, epoch=1, tries=1, undoing=False)
        claim = replace(step, decision=decision)
        return await note_step(database, Author(actor), claim, "running", event)

    async def resolve(actor: str, decision: Signed | None) -> object:
        claim = replace(step, decision=decision, evidence="slip 7", outcome="done")
        done = Decision[StepOutcome](StepDone(result={}))
        return await finish_step(database, Author(actor), claim, [], lambda _: done)

    await refused(retry, anas, "retry", step="hold")
    await retry(ANA, said(anas, "retry", step="hold"))
    await refused(resolve, anas, "resolve", **told, outcome="done")
    await resolve(ANA, said(anas, "resolve", **told, outcome="done"))
    await writing.begin_step(database, writing.claim("send", ordinal=2))
    reject = said(anas, "cancel")
    await begin_compensation(
        *(database, Author(ANA), SAGA, 1, "run-1", "cancelled", None, None, reject)
    )

    def undo(name: str, **given: Any) -> Attempt:
        async def undone(actor: str, decision: Signed | None) -> object:
            claim = replace(writing.claim(name, epoch=2), decision=decision, **given)
            nothing = Decision(StepUndone(note="nothing was sent"))
            return await undo_step(database, Author(actor), claim, [], lambda _: nothing)

        return undone

    by_hand = undo("hold", evidence="slip 7", outcome="undone")
    await refused(by_hand, anas, "resolve", **told)
    await by_hand(ANA, said(anas, "resolve", **told))
    # The plan of the step has no end, so nobody but a person gives it up.
    given_up = undo("send", evidence="send: written off", outcome="skipped")
    await refused(given_up, anas, "skip", step="send", reason="written off")
    await given_up(ANA, said(anas, "skip", step="send", reason="written off"))


async def test_a_key_that_development_took_unsigned_signs_nothing_in_production(
    database: Database,
) -> None:
    key = await registered(database, HOLDER, trusted=False)
    opening = writing.opening("rent")
    says = {**opening.input, "actor": HOLDER}
    proof = key.signed(SAGA, "submit", says)[SIGNATURE]
    signed = Signed(saga_id=SAGA, verb="submit", says=says, **proof)
    opening = opening.model_copy(update={"input": says, "signed": signed})
    database.signing = Signing(required=True)
    with pytest.raises(NotSigned):
        await open_saga(database, writing.AUTHOR, opening)
    # An officer is named by the settings.
    database.signing = Signing(required=True, officers=frozenset({key.id}))
    assert (await open_saga(database, writing.AUTHOR, opening)).how == "new"


async def test_what_is_signed_for_one_ledger_is_signed_for_no_other(
    clone: Clone, database: Database
) -> None:
    """Also where one of them has no name; and `verify` finds it signed."""
    key = await registered(database, HOLDER)
    opening = writing.opening("rent")
    says = {**opening.input, "actor": HOLDER}

    async def open_named(here: str | None, signed_for: str | None, claimed: str | None) -> str:
        database.signing = Signing(required=True, ledger=here)
        proof = key.signed(SAGA, "submit", says, signed_for)[SIGNATURE]
        signed = Signed(saga_id=SAGA, verb="submit", says=says, **{**proof, "ledger": claimed})
        asked = opening.model_copy(update={"input": says, "signed": signed})
        return (await open_saga(database, writing.AUTHOR, asked)).how

    for names in (
        *(("live", None, None), ("live", "test", "test"), ("live", "test", "live")),
        *((None, "live", "live"), (None, "live", None), ("live", None, "live")),
    ):
        with pytest.raises(NotSigned):
            await open_named(*names)
    assert await open_named("live", "live", "live") == "new"
    assert [each for each in (await clone.verify()).findings if each.kind == "signature"] == []
