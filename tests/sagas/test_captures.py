"""Captures in parts, the void of the rest, and approvals of a smaller amount."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from ledger.aggregates.policy import PolicyState, Terms
from ledger.database import Database
from ledger.read.policy_simulation import simulate
from tests.sagas.conftest import Inject, NewAgent
from tests.sagas.sweeping import end
from tests.support.driver import USER, Driver, Json, payment, policy, refused, registration, saga_of
from tests.support.mandates import granted
from tests.support.probe import Probe
from tests.support.until import until
from workflows.contract.policy import PolicyRequest


@dataclass(frozen=True)
class Case:
    """What happens to a payment of 45,000 pesos that its agent captures, and how it ends: the
    updates with their amounts in pesos (or a part of the refusal), and what was captured."""

    acts: list[tuple[Any, ...]]
    captured: list[int]
    state: str = "captured"
    more: Json = field(default_factory=dict)


CASES = {
    "two parts": Case([("capture", 20_000), ("capture", 25_000)], [20_000, 25_000]),
    "a part and what is left": Case([("capture", 20_000), ("capture",)], [20_000, 25_000]),
    "the amount that is left": Case([("capture", 45_000)], [45_000]),
    "a final part": Case([("capture", 20_000, "final")], [20_000]),
    "a part and a final part": Case([("capture", 1), ("capture", 2, "final")], [1, 2]),
    "a part, and the rest is void": Case([("capture", 20_000), ("void",)], [20_000]),
    "void before a capture": Case([("void",)], [], "voided"),
    "more than there is": Case(
        [
            ("capture", 45_001, "4500000 minor units are left"),
            ("capture", 20_000),
            ("capture", 25_001, "2500000 minor units are left"),
            ("cancel", "past its pivot"),
            ("approve", "approved and waits for capture"),
            ("void",),
        ],
        [20_000],
    ),
    "the deadline for the rest passes": Case(
        [("capture", 20_000)], [20_000], more={"capture_within": "PT2S"}
    ),
}


def pesos(*parts: int) -> list[int]:
    return [part * 100 for part in parts]


async def act(driver: Driver, request: Json, verb: str, *words: Any) -> None:
    minor = [word * 100 for word in words if isinstance(word, int)]
    amounts = {"amount_minor": minor[0]} if minor else {}
    by = {"actor": f"agent:{request['agent_id']}"} if verb in ("capture", "void") else USER
    final = {"final": True} if "final" in words else {}
    refusals = [word for word in words if isinstance(word, str) and word != "final"]
    argument = {**by, **amounts, **final}
    if not refusals:
        await driver.tell(request, verb, argument)
        return
    refusal = await driver.refusal(request, verb, argument)
    assert (refusal.type, refusals[0] in refusal.message) == ("not_allowed", True), refusal


async def transfers(probe: Probe, request: Json) -> list[Json]:
    """The transfers of a payment, the first one first."""
    return await probe.ledger(
        "SELECT * FROM ledger.transfers WHERE saga_id = %s ORDER BY length(key), key",
        saga_of(request),
    )


@pytest.mark.parametrize("name", CASES)
async def test_a_payment_is_captured_in_parts_and_the_rest_is_released(
    driver: Driver, probe: Probe, agent: str, name: str
) -> None:
    case = CASES[name]
    request = payment(agent, 45_000, capture="manual", **case.more)
    await driver.submit(request)
    for verb, *words in case.acts:
        await act(driver, request, verb, *words)
    result, captured = await driver.result(request), sum(pesos(*case.captured))
    assert result["state"] == case.state
    assert result.get("captured_minor") == (captured or None)
    moved = await transfers(probe, request)
    assert [each["amount_minor"] for each in moved] == pesos(*case.captured)
    numbers = ["", *(f"#{number + 2}" for number in range(len(moved)))]
    assert [each["key"] for each in moved] == [
        saga_of(request) + number for number in numbers[: len(moved)]
    ]
    booked = await probe.bank(
        "SELECT amount_minor FROM mock_bank.transfers WHERE key LIKE %s ORDER BY length(key), key",
        f"{saga_of(request)}%",
    )
    assert [each["amount_minor"] for each in booked] == pesos(*case.captured)
    hold = await probe.authorization(request)
    assert (hold["state"], hold["captured_minor"]) == (case.state, captured)
    assert await probe.spent(agent) == (captured // 100, 1 if captured else 0)


@pytest.mark.parametrize("how", ["the bank refuses", "the policy refuses", "it is in doubt"])
async def test_a_later_part_that_moves_nothing_is_refused_and_the_saga_waits_for_another(
    driver: Driver, probe: Probe, new_agent: NewAgent, inject: Inject, how: str
) -> None:
    agent = await new_agent(daily_limit_minor=4_500_000)
    request = payment(agent, 45_000, capture="manual")
    await driver.submit(request)
    await act(driver, request, "capture", 20_000)
    if how == "the bank refuses":
        await inject(request, "refuse", number=2)
        await act(driver, request, "capture", 10_000, "provider_refused")
    elif how == "the policy refuses":
        await driver.run(registration(agent, "revoke"))
        await act(driver, request, "capture", 10_000, "policy version 1 says agent_revoked")
        await driver.run(registration(agent))
    else:
        await inject(request, "timeout_after", number=2)
        await inject(request, "timeout_before", number=2, operation="find", remaining=2)
        answer = await driver.tell(request, "capture", {**USER, "amount_minor": 1_000_000})
        assert answer["state"] == "resolving"
        refusal = await driver.refusal(request, "capture", {**USER, "amount_minor": 1})
        assert "another capture is under way" in refusal.message
        assert "its outcome comes first" in (await driver.refusal(request, "void")).message
    await until(lambda: _waits(driver, request))
    progress = await driver.progress(request)
    captured = 30_000 if how == "it is in doubt" else 20_000
    assert (progress["captured_minor"], progress["left_minor"]) == (
        captured * 100,
        (45_000 - captured) * 100,
    )
    assert progress["waits"][0]["commands"] == [
        f"amends {verb} {saga_of(request)}" for verb in ("capture", "void")
    ]
    assert (await probe.saga(request))["waits_for"] == "capture"
    # It was reserved all the time: nobody else has used the room up.
    assert (await driver.run(payment(agent, 1)))["reason"] == "exceeded_daily_limit"
    await act(driver, request, "capture")
    assert (await driver.result(request))["captured_minor"] == 4_500_000
    assert await probe.spent(agent) == (45_000, 1)


async def _waits(driver: Driver, request: Json) -> bool:
    return bool((await driver.progress(request))["waits_for"] == "capture")


async def test_the_rest_goes_back_to_every_mandate_above_and_a_part_stays_there(
    driver: Driver, probe: Probe, agent: str
) -> None:
    above = await granted(driver, "another-bot", amount_minor=4_500_000)
    below = await granted(driver, agent, above, amount_minor=4_500_000)
    request = payment(agent, 45_000, capture="manual", mandate=below)
    await driver.submit(request)
    await act(driver, request, "capture", 20_000)
    await act(driver, request, "capture", 10_000)
    held = "SELECT DISTINCT amount_minor, count FROM ledger.spend_windows WHERE agent_id = ANY(%s)"
    windows = [agent, f"mandate/{above}", f"mandate/{below}"]
    assert await probe.ledger(held, windows) == [{"amount_minor": 4_500_000, "count": 1}]
    await act(driver, request, "void")
    assert (await driver.handle(request).query("progress"))["waits_for"] == ""
    assert await probe.ledger(held, windows) == [{"amount_minor": 3_000_000, "count": 1}]


async def test_a_simulated_policy_counts_the_parts_and_not_the_rest(
    driver: Driver, ledger: Database, agent: str
) -> None:
    since, first = datetime.now(UTC), payment(agent, 45_000, capture="manual")
    await driver.submit(first)
    for act_ in (("capture", 20_000), ("void",)):
        await act(driver, first, *act_)
    await driver.result(first)
    await driver.run(second := payment(agent, 35_000))
    for limit, differing in ((5_500_000, []), (5_499_999, [saga_of(second)])):
        asked = PolicyRequest.model_validate(policy(agent, daily_limit_minor=limit))
        amounts = asked.model_dump(include=set(PolicyState.__struct_fields__))
        simulated = PolicyState(terms=Terms.read(asked.terms()), **amounts)
        found = await simulate(ledger, simulated, since, datetime.now(UTC))
        assert [each.saga_id for each in found.differing] == differing


@pytest.mark.parametrize("how", ["lost", "reset"])
async def test_a_part_is_captured_once_by_whatever_run_and_the_next_run_waits_for_the_rest(
    driver: Driver, probe: Probe, agent: str, how: str
) -> None:
    request, part = payment(agent, 45_000, capture="manual"), {"amount_minor": 1_000_000}
    await driver.submit(request)
    by = {"actor": f"agent:{agent}", **part}
    for update in ("first", "second", "second"):
        await driver.handle(request).execute_update("capture", by, id=update)
    if how == "lost":
        await end(driver.handle(request))
        await driver.start(request)
    else:
        await driver.reset(request)
    await until(lambda: _waits(driver, request))
    if how == "lost":
        # Its answer was lost with the run before. A reset applies it again by itself.
        answer = await driver.handle(request).execute_update("capture", by, id="second")
        assert answer["captured_minor"] == 2_000_000
    await act(driver, request, "void")
    assert (await driver.result(request))["captured_minor"] == 2_000_000
    assert len(await transfers(probe, request)) == 2


async def test_a_part_that_the_bank_refuses_first_undoes_the_payment(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await inject(request, "refuse")
    await driver.submit(request)
    answer = await driver.tell(request, "capture", {**USER, "amount_minor": 100})
    assert answer["state"] in ("compensating", "compensated")
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("compensated", "provider_refused")
    assert await probe.spent(agent) == (0, 0)


async def test_a_smaller_amount_is_approved_paid_and_reported(
    driver: Driver, probe: Probe, new_agent: NewAgent
) -> None:
    agent = await new_agent(approvals=2)
    request = payment(agent, 55_000)
    await driver.submit(request)
    seen = (await probe.authorization(request))["binding"]
    refusal = await driver.refusal(request, "approve", {**USER, "amount_minor": 5_500_001})
    assert "5500000 minor units are asked for, not more" in refusal.message
    answer = await driver.tell(request, "approve", {**USER, "amount_minor": 3_000_000})
    assert (answer["waits_for"], await probe.spent(agent)) == ("approval", (30_000, 1))
    other = {"actor": "user:u-18", "binding": seen}
    with pytest.raises(WorkflowUpdateFailedError):
        await driver.tell(request, "approve", other)
    now = (await probe.authorization(request))["binding"]
    await driver.tell(request, "approve", {**other, "binding": now})
    result = await driver.result(request)
    assert (result["state"], result["captured_minor"]) == ("captured", 3_000_000)
    assert (await probe.until_booked(request))["amount_minor"] == 3_000_000
    assert await probe.told_by(request, "AuthorizationReduced") == USER["actor"]
    assert await probe.spent(agent) == (30_000, 1)


async def test_only_the_agent_of_a_payment_or_a_user_voids_it(driver: Driver, agent: str) -> None:
    request = payment(agent, 55_000)
    await driver.submit(request)
    foreign = driver.handle(request).execute_update("void", {"actor": "agent:other"})
    assert "of another agent" in (await refused(foreign)).message
    answer = await driver.tell(request, "void")
    assert answer["state"] in ("compensating", "compensated")
    assert (await driver.result(request))["state"] == "voided"


async def test_a_large_part_repeated_to_the_next_run_is_known(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await driver.submit(request)
    by = {"actor": f"agent:{agent}", "amount_minor": 3_000_000}
    await driver.handle(request).execute_update("capture", by, id="only")
    await end(driver.handle(request))
    await driver.start(request)
    await until(lambda: _waits(driver, request))
    answer = await driver.handle(request).execute_update("capture", by, id="only")
    assert answer["captured_minor"] == 3_000_000
    await act(driver, request, "void")
    assert (await driver.result(request))["captured_minor"] == 3_000_000
