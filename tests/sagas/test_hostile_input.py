"""Requests made to hurt: too big, too deep, too often, or in somebody else's name."""

from uuid import uuid4

import pytest

from tests.support.driver import Driver, Json, new_id, payment, policy, refused
from tests.support.probe import Probe
from workflows.engine.workflow import MAX_REPEATS


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
    number = "2850590940090418135201"
    request = payment("expense-bot", 100, **{number: 1})
    failure = await driver.failure(await driver.start(request))
    # It is this field that was refused: another failure would not repeat its name either.
    assert failure.type == "InvalidInput"
    [problem] = failure.details
    assert problem["reason"] == "unknown field: leave it out"
    assert number not in str(failure)
    assert number not in str(failure.details)


async def test_who_repeats_without_end_or_with_nul_in_an_update_id_leaves_room_for_people(
    driver: Driver, agent: str
) -> None:
    request = payment(agent, 55_000)
    handle = await driver.start(request)
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
