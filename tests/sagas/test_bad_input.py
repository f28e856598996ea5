"""Input that is no request: the run fails at once with field and reason, and nothing is written.

And requests made to hurt: too big, too deep, too often, or in somebody else's name.
"""

import json
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType

from tests.support.driver import (
    CBU,
    IBAN,
    Driver,
    Handle,
    Json,
    new_id,
    payment,
    policy,
    raw,
    refused,
    registration,
)
from tests.support.probe import Probe
from workflows.engine.workflow import MAX_REPEATS

# What stands in each bad value, and must never come out again.
CANARY = "canary"
NUMBER = 424242424242
GOOD = payment("expense-bot", 45_000)
AGENT = registration("expense-bot")
POLICY = policy("expense-bot")


def but(good: Json, **changed: Any) -> list[Any]:
    """The arguments of a request that is good but for this."""
    return [{**good, **changed}]


def amount(minor: Any, currency: Any = "ARS") -> list[Any]:
    return but(GOOD, amount={"minor": minor, "currency": currency})


def cbu(number: Any) -> list[Any]:
    return but(GOOD, destination={"cbu": number})


def iban(number: Any) -> list[Any]:
    return but(GOOD, destination={"iban": number})


def limit(minor: Any) -> list[Any]:
    return but(POLICY, daily_limit_minor=minor)


def written(old: str, new: str) -> list[Any]:
    """A good payment as JSON in which one piece is written otherwise."""
    text = json.dumps(GOOD)
    assert old in text
    return [raw(text.replace(old, new).encode())]


def without(good: Json, name: str) -> list[Any]:
    return [{key: value for key, value in good.items() if key != name}]


# One level less than decoders take: in the input of an activity it would be one too many.
DEEP = '"metadata": ' + '{"a": ' * 198 + '"canary"' + "}" * 198 + ", "
# The arguments, the field that the failure names, and what it must not tell.
PAYMENTS: dict[str, tuple[list[Any], str, str]] = {
    "no input": ([], "input", ""),
    "null": ([None], "input", ""),
    "a number": ([NUMBER], "input", str(NUMBER)),
    "a text": ([CANARY], "input", CANARY),
    "a list": ([[GOOD]], "input", CBU),
    "two arguments": ([GOOD, CANARY], "input", CANARY),
    "no JSON": ([raw(b'{"operation_id": canary')], "input", CANARY),
    "no UTF-8": ([raw(b'{"operation_id": "canary\xff"}')], "input", CANARY),
    "half a character": (written("building", "\\ud800canary"), "input", CANARY),
    "bytes": ([raw(b"canary", "binary/plain")], "input", CANARY),
    "an unknown encoding": ([raw(b"canary", "binary/encrypted")], "input", CANARY),
    "lists in lists": ([raw(b"[" * 3_000 + b"]" * 3_000)], "input", "[[[["),
    "a missing field": (without(GOOD, "amount"), "amount", CBU),
    "an extra field": (but(GOOD, cbu=CANARY), "cbu", CANARY),
    "an id with a space": (but(GOOD, operation_id="can ary"), "operation_id", "can ary"),
    "an id of 65 characters": (but(GOOD, operation_id="z" * 65), "operation_id", "zzz"),
    "an id with a line end": (but(GOOD, operation_id="canary\n"), "operation_id", CANARY),
    "an empty id": (but(GOOD, operation_id=""), "operation_id", ""),
    "an id that is a number": (but(GOOD, operation_id=NUMBER), "operation_id", str(NUMBER)),
    "an agent with a slash": (but(GOOD, agent_id="can/ary"), "agent_id", "can/ary"),
    "a negative amount": (amount(-NUMBER), "amount.minor", str(NUMBER)),
    "nothing": (amount(0), "amount.minor", ""),
    "fractional minor units": (amount(NUMBER + 0.5), "amount.minor", str(NUMBER)),
    "a whole number of floating point": (amount(float(NUMBER)), "amount.minor", str(NUMBER)),
    "an exponent": (written("4500000", "424242e2"), "amount.minor", "424242"),
    "an amount that is a text": (amount(str(NUMBER)), "amount.minor", str(NUMBER)),
    "an amount that is true": (amount(True), "amount.minor", ""),
    "no number": (written("4500000", "NaN"), "amount.minor", "NaN"),
    "more money than there is": (amount(NUMBER * 10**12), "amount.minor", str(NUMBER)),
    "a number of 5,000 digits": (written("4500000", "42" * 2_500), "input", "4242"),
    "an unknown currency": (amount(1, "QQQ"), "amount.currency", "QQQ"),
    "no currency": (amount(1, "XXX"), "amount.currency", "XXX"),
    "a currency for tests": (amount(1, "XTS"), "amount.currency", "XTS"),
    "gold": (amount(1, "XAU"), "amount.currency", "XAU"),
    "a unit of account": (amount(1, "XDR"), "amount.currency", "XDR"),
    "a fund": (amount(1, "CLF"), "amount.currency", "CLF"),
    "a fund that the table forgets": (amount(1, "UYW"), "amount.currency", "UYW"),
    "a currency in small letters": (amount(1, "ars"), "amount.currency", "ars"),
    "a wrong check digit": (cbu(CBU[:-1] + "9"), "destination.cbu", CBU[:-1]),
    "a wrong check digit of the bank": (cbu("9" + CBU[1:]), "destination.cbu", CBU[1:]),
    "a CBU with a letter": (cbu(CBU[:-1] + "x"), "destination.cbu", CBU[:-1]),
    "a CBU that is a number": (cbu(int(CBU)), "destination.cbu", CBU),
    "no account": (but(GOOD, destination={}), "destination", CBU),
    "two accounts": (but(GOOD, destination={"cbu": CBU, "iban": IBAN}), "destination", IBAN),
    "an IBAN with a wrong digit": (iban(IBAN[:-1] + "3"), "destination.iban", IBAN[:-1]),
    "a wrong national check digit": (
        iban("ES71" + IBAN[4:-1] + "3"),
        "destination.iban",
        IBAN[4:-1],
    ),
    "an IBAN with a sign": (iban(IBAN[:-1] + "-"), "destination.iban", IBAN[:-1]),
    "a destination of its own form": (but(GOOD, destination=CANARY), "destination", CANARY),
    "a long description": (but(GOOD, description=CANARY * 40), "description", CANARY),
    "a description with NUL": (but(GOOD, description="canary\0"), "description", CANARY),
    "an unknown capture": (but(GOOD, capture=CANARY), "capture", CANARY),
    "a deadline in words": (but(GOOD, approve_within=CANARY), "approve_within", CANARY),
    "a deadline of letters": (but(GOOD, approve_within="Pcanary"), "approve_within", CANARY),
    "a deadline in the past": (but(GOOD, approve_within="-PT31H"), "approve_within", "PT31H"),
    "no time for it": (but(GOOD, approve_within="PT0S"), "approve_within", "PT0S"),
    "years for it": (but(GOOD, approve_within="P931D"), "approve_within", "P931D"),
    "a deadline in seconds": (but(GOOD, approve_within=NUMBER), "approve_within", str(NUMBER)),
    "metadata with a float": (but(GOOD, metadata={"at": 31.25}), "metadata", "31.25"),
    "metadata with NUL": (but(GOOD, metadata={"ip": "canary\0"}), "metadata", CANARY),
    "metadata with NUL in a name": (but(GOOD, metadata={"canary\0": 1}), "metadata", CANARY),
    "too much metadata": (but(GOOD, metadata={"ip": CANARY * 400}), "metadata", CANARY),
    "deep metadata": (written('"description"', DEEP + '"description"'), "metadata", CANARY),
    "metadata that is a list": (but(GOOD, metadata=[CANARY]), "metadata", CANARY),
}
AGENTS: dict[str, tuple[list[Any], str, str]] = {
    "an unknown action": (but(AGENT, action=CANARY), "action", CANARY),
    "no user": (without(AGENT, "user"), "input", ""),
    "a user that is an agent": (but(AGENT, user="agent:canary"), "user", CANARY),
    "no actor": (without(AGENT, "actor"), "actor", ""),
    "an actor without a kind": (but(AGENT, actor=CANARY), "actor", CANARY),
    "a reason with a line end": (but(AGENT, reason="canary\n"), "reason", CANARY),
}
POLICIES: dict[str, tuple[list[Any], str, str]] = {
    "a negative limit": (limit(-NUMBER), "daily_limit_minor", str(NUMBER)),
    "a limit that is a text": (limit(CANARY), "daily_limit_minor", CANARY),
    "an unknown currency": (but(POLICY, currency="QQQ"), "currency", "QQQ"),
    "silver": (but(POLICY, currency="XAG"), "currency", "XAG"),
    "an unknown time zone": (but(POLICY, time_zone="Mars/Canary"), "time_zone", "Canary"),
    "a time zone of the machine": (but(POLICY, time_zone="localtime"), "time_zone", "localtime"),
    "a path for a time zone": (but(POLICY, time_zone="../canary"), "time_zone", CANARY),
    "a limit that is missing": (without(POLICY, "daily_limit_minor"), "daily_limit_minor", ""),
}
CASES = {
    f"{workflow}: {what}": (workflow, *case)
    for workflow, cases in {
        "PaymentSaga": PAYMENTS,
        "AgentSaga": AGENTS,
        "PolicySaga": POLICIES,
    }.items()
    for what, case in cases.items()
}


async def assert_tells_nothing(handle: Handle, value: str) -> None:
    """No event contains the value but the caller's own: the start, and an update as it was sent."""
    events = list((await handle.fetch_history()).events)
    assert events[0].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
    assert events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED
    if value:
        sent = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
        ours = [event for event in events[1:] if event.event_type != sent]
        assert [event for event in ours if value.encode() in event.SerializeToString()] == []


@pytest.mark.parametrize("case", CASES)
async def test_a_raw_start_fails_with_field_and_reason_and_without_the_value(
    driver: Driver, probe: Probe, case: str
) -> None:
    workflow, arguments, field, value = CASES[case]
    before = await probe.size()
    handle = await driver.start_raw(workflow, arguments, id=f"payment/{new_id('bad')}")
    failure = await driver.failure(handle)
    assert (failure.type, failure.non_retryable) == ("InvalidInput", True)
    (problem,) = failure.details
    assert problem["field"] == field
    assert problem["reason"]
    assert failure.message == f"{field}: {problem['reason']}"
    await assert_tells_nothing(handle, value)
    assert await probe.size() == before


async def test_all_that_is_wrong_is_named_at_once(driver: Driver) -> None:
    arguments = but(GOOD, operation_id=CANARY + "!", capture=CANARY, destination={"cbu": CANARY})
    handle = await driver.start_raw("PaymentSaga", arguments, id=f"payment/{new_id('bad')}")
    failure = await driver.failure(handle)
    fields = [problem["field"] for problem in failure.details]
    assert fields == ["operation_id", "destination.cbu", "capture"]
    await assert_tells_nothing(handle, CANARY)


async def test_submit_is_refused_with_field_and_reason_and_without_the_value(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    before = await probe.size()
    for what in ("a missing field", "a wrong check digit", "a list", "no JSON"):
        (argument,), field, value = PAYMENTS[what]
        failure = await refused(driver.handle(request).execute_update("submit", argument))
        assert failure.type == "InvalidInput"
        assert [problem["field"] for problem in failure.details] == [field]
        assert value not in failure.message + str(failure.details)
    assert await probe.size() == before
    await driver.tell(request, "reject")
    assert (await driver.result(request))["state"] == "rejected"


async def test_bad_input_by_update_with_start_is_refused_and_its_operation_id_is_still_free(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000)
    bad, before = {**request, "capture": CANARY}, await probe.size()
    assert (await refused(driver.submit(bad))).type == "InvalidInput"
    assert (await driver.failure(driver.handle(bad))).type == "InvalidInput"
    await assert_tells_nothing(driver.handle(bad), CANARY)
    assert (await driver.failure(await driver.start(bad))).type == "InvalidInput"
    assert await probe.size() == before
    assert (await driver.run(request))["state"] == "captured"


def nested(depth: int) -> Json:
    inner: Json = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({f"field_{number}": 1 for number in range(2_000)}, "field_"),
        ({f"field_{number}": "x" * 100 for number in range(4_000)}, "input"),
        ({"metadata": nested(17)}, "metadata"),
        ({"metadata": nested(198)}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
    ],
    ids=["2,000 fields", "half a megabyte", "deep", "very deep", "NUL", "NaN"],
)
async def test_it_fails_at_once_and_writes_nothing(
    driver: Driver, probe: Probe, more: Json, field: str
) -> None:
    before = await probe.size()
    request = payment("expense-bot", 100, **more)
    failure = await driver.failure(await driver.start(request))
    assert failure.type == "InvalidInput"
    assert len(failure.details) <= 21
    assert failure.details[0]["field"].startswith(field)
    assert await probe.size() == before


async def test_text_that_only_looks_like_nul_is_welcome(driver: Driver, agent: str) -> None:
    request = payment(agent, 100, metadata={"path": "C:\\u0000"})
    assert (await driver.run(request))["state"] == "captured"


async def test_the_name_of_an_unknown_field_is_not_repeated(driver: Driver) -> None:
    request = payment("expense-bot", 100, **{CBU: 1})
    failure = await driver.failure(await driver.start(request))
    # It is this field that was refused: another failure would not repeat its name either.
    assert failure.type == "InvalidInput"
    [problem] = failure.details
    assert problem["reason"] == "unknown field: leave it out"
    assert CBU not in str(failure)
    assert CBU not in str(failure.details)


async def test_who_repeats_without_end_or_with_nul_in_an_update_id_leaves_room_for_people(
    driver: Driver, agent: str
) -> None:
    request = payment(agent, 55_000)
    # One that came with the start would be no repeat.
    handle = await driver.until_waits(request, "approval")
    again = await handle.execute_update("submit", request, id=f"a\0{uuid4().hex}")
    assert again["decision"] == "pending_approval"
    for _ in range(MAX_REPEATS - 1):
        await handle.execute_update("submit", request)
    assert (await refused(handle.execute_update("submit", request))).type == "not_allowed"
    await driver.tell(request, "approve")
    assert (await driver.result(request))["state"] == "captured"


async def test_an_agent_does_not_set_its_own_policy(driver: Driver) -> None:
    request = policy("expense-bot", actor="agent:expense-bot", operation_id=new_id("own"))
    failure = await driver.failure(await driver.start(request))
    assert (failure.type, failure.details[0]["field"]) == ("InvalidInput", "actor")
