"""Who may speak in production: requests and decisions are signed by a valid key of their actor."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from activities.runs import namespace_id
from ledger.database import Database
from ledger.sagas.saga_log import Opening, Run, open_saga
from ledger.sagas.signatures import Signed
from ledger.store.commit import Author
from starter.client.keys import Key
from tests.sagas.conftest import Inject, NewAgent, Place, working_for
from tests.support.driver import Driver, Json, new_id, policy, registration, saga_of
from tests.support.probe import Probe
from tests.support.signing import (
    ANA,
    BOB,
    SIGNATURE,
    Bot,
    by,
    forgeries_of,
    key_registration,
    new_key,
    registered,
    unsigned,
)
from tests.support.until import until
from workflows.contract.key import KeyRequest

QUEUE = "signed-payments"
# The second one is on record already.
OFFICER, DEPUTY = new_key(), new_key()
OFFICER_NAME, DEPUTY_NAME = "user:officer", "user:deputy"


@pytest.fixture(scope="module")
async def working(
    place: Place, client: Client, quick_bank: None, ledger: Database
) -> AsyncIterator[None]:
    """The worker as it is in production."""
    await registered(ledger, DEPUTY_NAME, key=DEPUTY)
    rules = {"environment": "production", "key_officers": f"{OFFICER.id}, {DEPUTY.id}"}
    async with working_for(client, place, QUEUE, **rules):
        yield


@pytest.fixture
async def driver(client: Client, probe: Probe, working: None) -> AsyncIterator[Driver]:
    yield Driver(client, QUEUE)
    await probe.check()


@pytest.fixture(scope="module")
async def anas(ledger: Database) -> Key:
    return await registered(ledger, ANA)


@pytest.fixture
async def bot(new_agent: NewAgent, ledger: Database) -> Bot:
    agent = await new_agent()
    return Bot(agent, await registered(ledger, f"agent:{agent}"))


async def test_a_signed_payment_is_captured_and_its_signature_is_on_record(
    driver: Driver, probe: Probe, bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    request = bot.asks(45_000, approve_within="PT24H")
    result = await driver.run(request)
    assert (result["state"], "unsigned" in result) == ("captured", False)
    assert not (await driver.progress(request))["unsigned"]
    started = (await probe.event(request, "SagaStarted"))["payload"]
    assert started["signed"] == {**request[SIGNATURE], "says": unsigned(request)}
    assert SIGNATURE not in started["input"]
    # Who asks again is known by the request, whoever has signed it.
    assert await driver.run(request) == result
    assert request[SIGNATURE]["value"] not in caplog.text


Forge = Callable[[Bot, Json, Database], Awaitable[Json]]


async def _unsigned(bot: Bot, request: Json, _: Database) -> Json:
    return unsigned(request)


async def _by_a_key_that_nobody_registered(bot: Bot, request: Json, _: Database) -> Json:
    return new_key().signed(saga_of(request), "submit", unsigned(request))


async def _of_another_agent(bot: Bot, request: Json, ledger: Database) -> Json:
    return await _by(ledger, request, "agent:other-bot")


async def _of_a_person(bot: Bot, request: Json, ledger: Database) -> Json:
    return await _by(ledger, request, "user:u-17")


async def _by_a_revoked_key(bot: Bot, request: Json, ledger: Database) -> Json:
    return await _by(ledger, request, f"agent:{bot.agent}", revoked=True)


async def _by_an_expired_key(bot: Bot, request: Json, ledger: Database) -> Json:
    return await _by(ledger, request, f"agent:{bot.agent}", until_s=-1)


async def _by_a_key_of_tomorrow(bot: Bot, request: Json, ledger: Database) -> Json:
    return await _by(ledger, request, f"agent:{bot.agent}", since_s=86_400)


async def _altered(bot: Bot, request: Json, _: Database) -> Json:
    return {**request, "amount": {"minor": 4_500_001, "currency": "ARS"}}


async def _of_another_operation(bot: Bot, request: Json, _: Database) -> Json:
    return {**request, "operation_id": new_id("replayed")}


async def _without_an_operation(bot: Bot, request: Json, _: Database) -> Json:
    """Signed without an operation id, for another saga than the one that is started."""
    signed = bot.key.signed(saga_of(request), "submit", unsigned(request))
    return {**request, SIGNATURE: signed[SIGNATURE], "operation_id": new_id("other")}


async def _of_an_update(bot: Bot, request: Json, _: Database) -> Json:
    return bot.key.signed(saga_of(request), "approve", unsigned(request))


async def _by(ledger: Database, request: Json, holder: str, **more: Any) -> Json:
    key = await registered(ledger, holder, **more)
    return key.signed(saga_of(request), "submit", unsigned(request))


FORGERIES: dict[str, Forge] = {
    forge.__name__.strip("_"): forge
    for forge in (
        *(_unsigned, _by_a_key_that_nobody_registered, _of_another_agent, _of_a_person),
        *(_by_a_revoked_key, _by_an_expired_key, _by_a_key_of_tomorrow, _altered),
        *(_of_another_operation, _without_an_operation, _of_an_update),
    )
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_a_payment_that_its_agent_did_not_sign_is_denied_on_record_and_moves_nothing(
    driver: Driver, probe: Probe, bot: Bot, ledger: Database, forge: Forge
) -> None:
    request = await forge(bot, bot.asks(45_000), ledger)
    result = await driver.run(request)
    reason = "invalid_signature" if SIGNATURE in request else "missing_signature"
    assert (result["state"], result["reason"]) == ("denied", reason)
    told = ["AuthorizationRequested", "AuthorizationDenied"]
    assert await probe.told(request, "authorization/%") == told
    assert (await probe.event(request, "AuthorizationDenied"))["payload"]["reason"] == reason
    assert await probe.spent(bot.agent) == (0, 0)
    assert await probe.booked(request) is None


async def test_a_second_key_signs_beside_the_first_and_goes_on_when_that_is_revoked(
    driver: Driver, bot: Bot, ledger: Database
) -> None:
    second = Bot(bot.agent, await registered(ledger, f"agent:{bot.agent}"))
    for signer in (bot, second):
        assert (await driver.run(signer.asks(10_000)))["state"] == "captured"
    request = {"holder": f"agent:{bot.agent}", "action": "revoke", "key": bot.key.id}
    assert (await change_key(driver, DEPUTY, request, DEPUTY_NAME))["state"] == "revoked"
    assert (await driver.run(bot.asks(10_000)))["reason"] == "invalid_signature"
    assert (await driver.run(second.asks(10_000)))["state"] == "captured"


async def refused_alike(driver: Driver, request: Json, verb: str, forgeries: Json) -> None:
    for name, forged in forgeries.items():
        refusal = await driver.refusal(request, verb, forged)
        assert (refusal.type, refusal.details[0]["field"]) == ("InvalidInput", SIGNATURE), name
        word = "missing_signature" if name == "unsigned" else "invalid_signature"
        assert word in refusal.details[0]["reason"] or "not signed" in refusal.message
        assert "altered" not in refusal.message


@pytest.mark.parametrize(
    ("verb", "end"), [("approve", "captured"), ("reject", "rejected"), ("cancel", "voided")]
)
async def test_a_waiting_payment_hears_only_what_its_person_signed(
    driver: Driver, probe: Probe, bot: Bot, anas: Key, ledger: Database, verb: str, end: str
) -> None:
    request = bot.asks(55_000)
    await driver.submit(request)
    forgeries = await forgeries_of(anas, request, verb, ledger, reason="it is due")
    await refused_alike(driver, request, verb, forgeries)
    assert (await driver.progress(request))["waits_for"] == "approval"
    right = by(anas, request, verb, reason="it is due")
    await driver.tell(request, verb, right)
    result = await driver.result(request)
    assert (result["state"], "unsigned" in result) == (end, False)
    decision = await probe.event(request, "SagaDecisionSigned")
    assert decision["user_id"] == ANA
    recorded = {**right[SIGNATURE], "says": unsigned(right), "verb": verb}
    assert decision["payload"].items() >= recorded.items()


async def test_of_signed_decisions_at_once_one_counts(
    driver: Driver, probe: Probe, bot: Bot, anas: Key, ledger: Database
) -> None:
    request = bot.asks(55_000, capture="manual")
    await driver.submit(request)
    verbs = ["approve", "reject", "approve", "cancel"]
    answers = await asyncio.gather(
        *(driver.tell(request, verb, by(anas, request, verb)) for verb in verbs),
        return_exceptions=True,
    )
    assert any(isinstance(answer, dict) for answer in answers)
    if (await driver.progress(request))["waits_for"] == "capture":
        key = await registered(ledger, f"agent:{bot.agent}")
        agent = {"actor": f"agent:{bot.agent}"}
        assert (await driver.refusal(request, "capture", agent)).type == "InvalidInput"
        await driver.tell(request, "capture", key.signed(saga_of(request), "capture", agent))
    ends = ("captured", "rejected", "voided")
    assert (await driver.result(request))["state"] in ends


Scene = Callable[[], Awaitable[Json]]


@pytest.fixture
def scenes(
    driver: Driver, probe: Probe, bot: Bot, anas: Key, inject: Inject, soon_asked: None
) -> dict[str, Scene]:
    """By update, a signed payment whose transfer waits for it."""

    async def in_doubt() -> Json:
        request = bot.asks(20_000)
        await inject(request, "timeout_after")
        await inject(request, "timeout_before", operation="find", remaining=1_000)
        await driver.start(request)
        return request

    async def not_undone() -> Json:
        request = bot.asks(20_000)
        await inject(request, "timeout_before", operation="reverse", remaining=1_000)
        await inject(request, "slow_after", delay_ms=300)
        await driver.start(request)
        await probe.until_booked(request)
        await driver.tell(request, "cancel", by(anas, request, "cancel"))
        return request

    return {"resolve": in_doubt, "retry": in_doubt, "skip": not_undone}


@pytest.mark.parametrize("verb", ["resolve", "retry", "skip"])
async def test_an_operator_signs_what_they_do_about_a_step(
    driver: Driver,
    probe: Probe,
    scenes: dict[str, Scene],
    anas: Key,
    ledger: Database,
    verb: str,
) -> None:
    request = await scenes[verb]()
    await until(partial(driver.is_in, request, "needs_attention"))
    booked = await probe.until_booked(request)
    told = {"step": "execute transfer"}
    told |= {
        "resolve": {"evidence": booked["reference"], "outcome": "done"},
        "skip": {"reason": "written off"},
    }.get(verb, {})
    await refused_alike(
        driver, request, verb, await forgeries_of(anas, request, verb, ledger, **told)
    )
    if verb == "retry":
        await probe.heal(request)
    await driver.tell(request, verb, by(anas, request, verb, **told))
    result = await driver.result(request)
    assert (result["state"] == "captured", "unsigned" in result) == (verb != "skip", False)
    assert await probe.has_told(request, "SagaDecisionSigned")


async def change_key(driver: Driver, key: Key, request: Json, actor: str) -> Json:
    """What becomes of a request to register or revoke a key."""
    request = {"operation_id": new_id("key"), "actor": actor, **request}
    saga_id = f"key/{request['operation_id']}"
    document = key.signed(saga_id, "submit", request)
    handle = await driver.start_raw("KeySaga", [document], id=saga_id)
    return dict(await handle.result())


async def refused_to_register(driver: Driver, key: Key, holder: str, actor: str) -> str:
    request = {"action": "register", "holder": holder, "public_key": new_key().public_key}
    with pytest.raises(WorkflowFailureError) as failed:
        await change_key(driver, key, request, actor)
    assert isinstance(failed.value.cause, ApplicationError)
    return str(failed.value.cause.type)


async def test_the_first_key_is_of_an_officer_whom_the_settings_name_and_all_others_follow(
    driver: Driver, bot: Bot, ledger: Database
) -> None:
    """The bootstrap: an officer registers themselves, a person by the officer, the next key by the
    first one, and an agent by its user."""

    async def register(key: Key, new: Key, holder: str, actor: str) -> str:
        request = {"action": "register", "holder": holder, "public_key": new.public_key}
        result = await change_key(driver, key, request, actor)
        return str(result["key"])

    stranger = new_key()
    assert await refused_to_register(driver, stranger, ANA, ANA) == "InvalidInput"
    assert await register(OFFICER, OFFICER, OFFICER_NAME, OFFICER_NAME) == OFFICER.id
    carol, first, second, agents = "user:u-17", new_key(), new_key(), new_key()
    assert await register(OFFICER, first, carol, OFFICER_NAME) == first.id
    assert await register(first, second, carol, carol) == second.id
    assert await register(second, agents, f"agent:{bot.agent}", carol) == agents.id
    assert await refused_to_register(driver, second, BOB, carol) == "not_holder"
    assert await refused_to_register(driver, second, "agent:of-another", carol) == "not_holder"
    again = {"action": "register", "holder": carol, "public_key": second.public_key}
    with pytest.raises(WorkflowFailureError) as failed:
        await change_key(driver, first, again, carol)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "key_exists"
    assert (await driver.run(Bot(bot.agent, agents).asks(45_000)))["state"] == "captured"


async def test_whoever_takes_a_saga_over_has_the_powers_of_the_key_that_opened_it(
    driver: Driver, ledger: Database, client: Client
) -> None:
    """A repeat of a request is not checked, so nobody becomes an officer by it."""
    carol = "user:carol"
    key, new = await registered(ledger, carol), new_key()
    request = key_registration(new, BOB) | {"actor": carol}
    saga_id, model = saga_of(request), KeyRequest.model_validate(request)
    proof = key.signed(saga_id, "submit", request)[SIGNATURE]
    opening = Opening(
        saga_id=saga_id,
        actor=carol,
        kind="key",
        operation_id=request["operation_id"],
        input=model.model_dump(mode="json"),
        fingerprint=model.fingerprint(),
        signed=Signed(saga_id=saga_id, verb="submit", says=request, **proof),
        run=Run(client.namespace, await namespace_id(client), QUEUE, str(uuid4())),
    )
    await open_saga(ledger, Author(carol, saga_id), opening)
    forged = {**request, SIGNATURE: {"key": DEPUTY.id, "value": "0" * 128}}
    failure = await driver.failure(await driver.start(forged))
    assert failure.type == "not_holder"


@pytest.mark.parametrize("action", ["register", "revoke"])
async def test_an_agent_is_changed_by_its_user_and_by_nobody_else_who_signs(
    driver: Driver, anas: Key, bot: Bot, action: str
) -> None:
    request = {**registration(bot.agent, action), "actor": ANA}
    request |= {"user": ANA} if action == "register" else {}
    saga_id = f"agent/{request['operation_id']}"
    signed = anas.signed(saga_id, "submit", request)
    handle = await driver.start_raw("AgentSaga", [signed], id=saga_id, task_queue=QUEUE)
    assert (await driver.failure(handle)).type == "not_holder"


async def test_a_saga_of_any_other_kind_that_nobody_signed_is_refused_and_leaves_its_id_free(
    driver: Driver, probe: Probe, anas: Key, bot: Bot, ledger: Database
) -> None:
    name = new_id("other")
    agent = {**registration(new_id("bot")), "actor": ANA}
    limits = {**policy(bot.agent), "actor": ANA}
    change: Json = {"operation_id": name, "actor": ANA, "absent": [name]}
    rollback: Json = {"operation_id": name, "actor": ANA, "to": "1", "resources": [name]}
    key: Json = {"operation_id": name, "actor": ANA, "holder": ANA, "action": "register"}
    key["public_key"] = new_key().public_key
    for kind, workflow, request, good in (
        ("policy", "PolicySaga", limits, "set"),
        ("key", "KeySaga", key, "registered"),
        ("agent", "AgentSaga", agent, "registered"),
        ("change", "InfrastructureSaga", change, "unchanged"),
        ("rollback", "RollbackSaga", rollback, "unchanged"),
    ):
        saga_id = f"{kind}/{request['operation_id']}"
        queue = f"{QUEUE}-changes" if kind in ("change", "rollback") else QUEUE
        others = await registered(ledger, BOB)
        forged = others.signed(saga_id, "submit", request)
        for document in (request, forged, {**forged, "actor": BOB}):
            handle = await driver.start_raw(workflow, [document], id=saga_id, task_queue=queue)
            failure = await driver.failure(handle)
            assert failure.type == "InvalidInput"
            assert failure.details[0]["field"] == SIGNATURE
        assert (
            await probe.ledger("SELECT 1 FROM ledger.sagas WHERE workflow_id = %s", saga_id) == []
        )
        signed = anas.signed(saga_id, "submit", request)
        handle = await driver.start_raw(workflow, [signed], id=saga_id, task_queue=queue)
        assert (await handle.result())["state"] == good
