"""What persons may say of a payment that can't get on alone, what is refused, and whose undo they
mend."""

from activities.adapters.mock import MockBank
from tests.sagas.conftest import Inject, Stuck
from tests.support.driver import Driver, Json, payment, saga_of
from tests.support.probe import Probe
from tests.support.until import until

STEP = "execute transfer"
ANA = {"actor": "user:ana", "step": STEP}


NOT_ALLOWED: list[tuple[str, Json, str]] = [
    ("retry", {"step": "settle"}, "it does not wait for a person"),
    ("retry", {"actor": "agent:bot"}, "a user decides, not an agent"),
    ("skip", {"reason": "let it be"}, "it takes retry or resolve"),
    ("resolve", {"evidence": "e"}, "can't resolve execute transfer: its outcome may be done or"),
    ("resolve", {"evidence": "e", "outcome": "undone"}, "its outcome may be done or failed"),
]
NOT_ALLOWED_OF_AN_UNDO: list[tuple[str, Json, str]] = [
    ("retry", {"step": "authorize"}, "it does not wait for a person"),
    ("skip", {"actor": "agent:bot", "reason": "let it be"}, "a user decides, not an agent"),
    ("resolve", {"evidence": "e", "outcome": "done"}, "its outcome may be undone"),
    ("resolve", {"evidence": "e", "outcome": "failed"}, "its outcome may be undone"),
]
BAD: list[tuple[str, Json, str]] = [
    ("skip", {}, "reason: is missing"),
    ("skip", {"reason": ""}, "reason: at least 1 characters are needed"),
    ("resolve", {"outcome": "done"}, "evidence: is missing"),
    ("resolve", {"evidence": "e", "outcome": "perhaps"}, "outcome: one of"),
    ("retry", {"actor": "system:amends"}, "actor: user: or agent:"),
]


async def refuses(
    driver: Driver, request: Json, wrong: list[tuple[str, Json, str]], error_type: str
) -> None:
    for verb, more, why in wrong:
        refusal = await driver.refusal(request, verb, {**ANA, **more})
        assert refusal.type == error_type, (verb, more)
        assert why in refusal.message


async def test_what_does_not_fit_a_doubt_is_refused_and_changes_nothing(
    driver: Driver, probe: Probe, bank: MockBank, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_before")
    told = await probe.told(request)
    await refuses(driver, request, NOT_ALLOWED, "not_allowed")
    await refuses(driver, request, BAD, "InvalidInput")
    assert await probe.told(request) == told
    await probe.heal(request)
    await driver.tell(request, "retry", ANA)
    assert (await driver.result(request))["state"] == "captured"


async def test_a_reversal_that_the_bank_never_answers_waits_for_a_person_who_says_what_fits_it(
    driver: Driver, probe: Probe, agent: str, can_not_be_undone: Stuck
) -> None:
    request = await can_not_be_undone()
    step = await driver.step(request, STEP)
    assert (step["state"], step["tries"]) == ("needs_attention", 2)
    assert step["verbs"] == ["retry", "skip", "resolve"]
    assert await probe.spent(agent) == (45_000, 1)
    told = await probe.told(request)
    late = await driver.refusal(request, "cancel", {"actor": "user:ana"})
    assert late.message == "can't cancel: the saga is being compensated (cancelled)"
    await refuses(driver, request, NOT_ALLOWED_OF_AN_UNDO, "not_allowed")
    assert await probe.told(request) == told
    await probe.heal(request)
    await driver.tell(request, "retry", {**ANA, "reason": "the bank is back"})
    result = await driver.result(request)
    assert (result["state"], result["residuals"]) == ("compensated", [])
    assert await probe.is_booked_as(request, "reversed")
    assert await probe.spent(agent) == (0, 0)
    assert await probe.told_by(request, "StepRetryRequested") == "user:ana"
    report = result["steps"][-1]
    assert (report["undo_outcome"], report["undo_tries"]) == ("undone", 3)


async def test_money_whose_reversal_is_given_up_stays_spent_and_is_a_residual(
    driver: Driver, probe: Probe, agent: str, can_not_be_undone: Stuck
) -> None:
    request = await can_not_be_undone()
    await driver.tell(request, "skip", {**ANA, "reason": "they keep it"})
    result = await driver.result(request)
    residual = f"{STEP}: skipped by user:ana: they keep it"
    assert (result["state"], result["residuals"]) == ("compensated", [residual])
    assert await probe.told_by(request, "StepSkipped") == "user:ana"
    transfer, hold = await probe.transfer(request), await probe.authorization(request)
    assert (transfer["state"], hold["state"]) == ("executed", "compensated")
    # The limit of the day holds: what left the account was spent.
    assert await probe.spent(agent) == (45_000, 1)
    assert [held["amount_minor"] for held in hold["reserved"]] == [4_500_000]
    assert (await driver.run(payment(agent, 60_000)))["reason"] == "exceeded_daily_limit"
    assert (await probe.saga(request))["result"] == result


async def test_money_that_a_person_saw_come_back_is_free_again(
    driver: Driver, probe: Probe, bank: MockBank, agent: str, can_not_be_undone: Stuck
) -> None:
    request = await can_not_be_undone()
    # On the telephone: the bank reverses it by hand.
    await probe.heal(request)
    reference = (await bank.reverse(saga_of(request))).reference
    await driver.tell(request, "resolve", {**ANA, "evidence": reference})
    result = await driver.result(request)
    assert (result["state"], result["residuals"]) == ("compensated", [])
    assert await probe.spent(agent) == (0, 0)
    for event_type in ("StepResolved", "TransferReversed"):
        assert await probe.told_by(request, event_type) == "user:ana"


async def test_money_that_never_moved_is_free_when_a_person_says_so(
    driver: Driver, probe: Probe, bank: MockBank, agent: str, inject: Inject, soon_asked: None
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_before")
    for operation in ("find", "reverse"):
        await inject(request, "timeout_before", operation=operation, remaining=1_000)
    await driver.start(request)
    await until(lambda: driver.is_in(request, "needs_attention"))
    await driver.tell(request, "cancel")

    async def undo_waits() -> bool:
        return "skip" in (await driver.step(request, STEP)).get("verbs", [])

    await until(undo_waits)
    await probe.heal(request)
    await bank.cancel(saga_of(request))
    await driver.tell(request, "resolve", {**ANA, "evidence": "ticket 18"})
    assert (await driver.result(request))["state"] == "compensated"
    assert (await probe.event(request, "TransferCancelled"))["payload"]["reason"] == "ticket 18"
    assert await probe.spent(agent) == (0, 0)
