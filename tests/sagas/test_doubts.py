"""Payments of which nobody can tell whether they landed: looked up, told by a person, or undone.

Whatever happens, the bank moves money once or not at all, and the spend stays reserved until it is
known which.
"""

import asyncio
from datetime import datetime, timedelta

import pytest

from activities import sending
from activities.adapters.mock import MockBank
from ledger.database import Database
from ledger.store.commit import database_time
from tests.sagas.conftest import Inject, Stuck
from tests.support.driver import USER, Driver, Json, payment, saga_of
from tests.support.probe import Probe
from tests.support.until import until

STEP = "execute transfer"
ANA = {"actor": "user:ana", "step": STEP}


async def test_what_landed_before_its_answer_was_lost_is_found_and_not_sent_again(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_after")
    await inject(request, "timeout_before", operation="find", remaining=2)
    handle = await driver.start(request)
    await until(lambda: driver.is_in(request, "resolving"))
    progress = await driver.progress(request)
    assert progress["waits_for"] == STEP
    assert progress["steps"][-1]["detail"].startswith("the bank did not answer")
    assert await probe.spent(agent) == (45_000, 1)
    step = await probe.step(request, STEP)
    assert (step["state"], step["attention"]) == ("unknown", None)
    assert (await handle.result())["state"] == "captured"
    assert await probe.deliveries(request) == 1
    told = await probe.told(request, f"step/%/{STEP}")
    assert told == ["StepStarted", "StepLeftUnknown", "StepDone"]
    assert (await probe.event(request, "StepDone"))["payload"]["tries"] == 4
    pauses = [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in (await handle.fetch_history()).events
        if event.HasField("timer_started_event_attributes")
    ]
    assert pauses == [timedelta(seconds=pause) for pause in (0.5, 1, 2)]


async def test_a_bank_that_never_answers_is_one_that_can_not_tell(
    driver: Driver,
    probe: Probe,
    agent: str,
    inject: Inject,
    soon_asked: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "ATTEMPT", timedelta(seconds=1))
    request = payment(agent, 45_000)
    await inject(request, "slow_after", delay_ms=600_000)
    await inject(request, "slow", operation="find", delay_ms=600_000, remaining=1_000)
    await driver.start(request)
    await until(lambda: driver.is_in(request, "needs_attention"))
    asked = await probe.event(request, "StepAttentionRequested")
    assert asked["payload"]["reason"] == "the provider gave no answer within 1 s"
    assert await probe.spent(agent) == (45_000, 1)
    await probe.heal(request)
    await driver.tell(request, "retry", ANA)
    assert (await driver.result(request))["state"] == "captured"
    assert await probe.deliveries(request) == 1


async def test_what_never_arrived_and_may_no_longer_be_sent_is_undone(
    driver: Driver, probe: Probe, agent: str, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = payment(agent, 45_000)
    await inject(request, "timeout_before")
    await inject(request, "timeout_before", operation="find")
    handle = await driver.start(request)
    await until(lambda: driver.is_in(request, "resolving"))

    async def tomorrow(database: Database) -> datetime:
        return await database_time(database) + timedelta(days=1)

    monkeypatch.setattr(sending, "database_time", tomorrow)
    result = await handle.result()
    assert (result["state"], result["reason"]) == ("compensated", "provider_failed")
    assert await probe.is_booked_as(request, "cancelled")
    assert await probe.spent(agent) == (0, 0)
    reports = [(it["name"], it["outcome"], it["undo_outcome"]) for it in result["steps"]]
    assert reports == [("authorize", "done", "undone"), (STEP, "failed", None)]


async def test_what_nobody_can_tell_stays_reserved_until_a_person_says_and_of_four_one_counts(
    driver: Driver, probe: Probe, agent: str, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_after")
    progress = await driver.progress(request)
    assert (progress["waits_for"], progress["decision"]) == (STEP, "approved")
    step = await driver.step(request, STEP)
    assert (step["state"], step["verbs"]) == ("needs_attention", ["retry", "resolve"])
    asked = await probe.event(request, "StepAttentionRequested")
    assert asked["user_id"] == "system:amends"
    why, tries = "the bank did not answer find", asked["payload"]["tries"]
    assert asked["payload"] == {"reason": why, "epoch": 1, "tries": tries, "undoing": False}
    row = await probe.step(request, STEP)
    assert (row["state"], row["attention"]) == ("unknown", why)
    assert await probe.spent(agent) == (45_000, 1)
    reference = (await probe.until_booked(request))["reference"]
    done = {"step": STEP, "evidence": reference, "outcome": "done"}
    sayings = [{**done, "actor": f"user:u-{number}"} for number in range(4)]
    answers = await asyncio.gather(
        *(driver.tell(request, "resolve", by) for by in sayings), return_exceptions=True
    )
    [(who, answer)] = [(n, each) for n, each in enumerate(answers) if isinstance(each, dict)]
    assert answer["state"] == "running"
    result = await driver.result(request)
    assert (result["state"], result["provider_reference"]) == ("captured", reference)
    assert await probe.deliveries(request) == 1
    assert await probe.spent(agent) == (45_000, 1)
    for event_type in ("StepResolved", "TransferExecuted"):
        assert await probe.told_by(request, event_type) == f"user:u-{who}"
    assert (await probe.event(request, "StepResolved"))["payload"]["evidence"] == reference


async def test_a_transfer_that_a_person_says_has_failed_gives_the_spend_back(
    driver: Driver, probe: Probe, bank: MockBank, agent: str, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_before")
    # On the telephone: they never had it, and will not take it any more.
    await bank.cancel(saga_of(request))
    await driver.tell(request, "resolve", {**ANA, "evidence": "ticket 17", "outcome": "failed"})
    result = await driver.result(request)
    assert (result["state"], result["reason"]) == ("compensated", "provider_failed")
    assert await probe.spent(agent) == (0, 0)
    assert await probe.told_by(request, "StepResolved") == "user:ana"
    assert (await probe.event(request, "TransferCancelled"))["payload"]["reason"] == "ticket 17"


async def test_a_doubt_outlives_a_retry_in_vain_and_the_run_until_a_retry_finds_what_landed(
    driver: Driver, probe: Probe, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_after")
    await driver.tell(request, "retry", ANA)

    async def asked_again() -> bool:
        asked = (await probe.told(request)).count("StepAttentionRequested") == 2
        return asked and await driver.is_in(request, "needs_attention")

    await until(asked_again)
    doubts = [e for e in await probe.events(request) if e["event_type"] == "StepLeftUnknown"]
    first, second = (each["payload"]["until"] for each in doubts)
    assert first < second
    assert (await probe.step(request, STEP))["looked_up_until"] is None
    await driver.handle(request).terminate()
    await driver.start(request)
    await until(lambda: driver.is_in(request, "needs_attention"))
    await probe.heal(request)
    progress = await driver.tell(request, "retry", {**ANA, "reason": "the bank is back"})
    assert progress["state"] in ("resolving", "running")
    assert (await driver.result(request))["state"] == "captured"
    events = await probe.events(request)
    _, retried = [each for each in events if each["event_type"] == "StepRetryRequested"]
    assert (retried["user_id"], retried["payload"]["reason"]) == ("user:ana", "the bank is back")
    assert await probe.deliveries(request) == 1
    assert (await probe.step(request, STEP))["attention"] is None


@pytest.mark.parametrize(
    ("fault", "end", "event_type"),
    [
        ("timeout_before", "cancelled", "TransferCancelled"),
        ("timeout_after", "reversed", "TransferReversed"),
    ],
)
async def test_a_cancel_while_nobody_can_tell_prevents_the_payment_or_brings_it_back(
    driver: Driver, probe: Probe, agent: str, inject: Inject, fault: str, end: str, event_type: str
) -> None:
    request = payment(agent, 45_000)
    await inject(request, fault)
    await inject(request, "timeout_before", operation="find", remaining=1_000)
    handle = await driver.start(request)
    await until(lambda: driver.is_in(request, "resolving"))
    assert (await driver.tell(request, "cancel"))["state"] == "compensating"
    await probe.heal(request)
    result = await handle.result()
    assert (result["state"], result["reason"]) == ("compensated", "cancelled")
    assert await probe.is_booked_as(request, end)
    assert await probe.told_by(request, event_type) == USER["actor"]
    assert await probe.spent(agent) == (0, 0)
    undone = {"name": STEP, "outcome": "unknown", "undo_outcome": "undone"}
    assert result["steps"][-1].items() >= undone.items()


async def test_a_cancel_of_what_waits_for_a_person_undoes_it(
    driver: Driver, probe: Probe, agent: str, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_after")
    await driver.tell(request, "cancel", {"actor": "user:ana"})
    refusal = await driver.refusal(request, "resolve", {**ANA, "evidence": "e", "outcome": "done"})
    assert refusal.type == "not_allowed"
    await probe.heal(request)
    assert (await driver.result(request))["state"] == "compensated"
    assert await probe.is_booked_as(request, "reversed")
    assert await probe.spent(agent) == (0, 0)
    assert (await probe.step(request, STEP))["attention"] is None


async def test_a_capture_in_doubt_is_answered_with_that_and_one_of_what_is_undone_is_refused(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request, by = payment(agent, 45_000, capture="manual"), {"actor": f"agent:{agent}"}
    await inject(request, "timeout_after")
    for operation in ("find", "reverse"):
        await inject(request, "timeout_before", operation=operation, remaining=1_000)
    await driver.submit(request)
    for _ in range(2):
        progress = await driver.tell(request, "capture", by)
        assert (progress["state"], progress["waits_for"]) == ("resolving", STEP)
    await driver.tell(request, "cancel")
    for verb in ("capture", "approve", "reject"):
        refusal = await driver.refusal(request, verb, by if verb == "capture" else USER)
        undone = f"can't {verb}: the saga is being compensated (cancelled): "
        assert (refusal.type, refusal.message[: len(undone)]) == ("not_allowed", undone)
        assert f"amends saga {saga_of(request)}" in refusal.message
    await until(lambda: driver.waits(request))
    refusal = await driver.refusal(request, "capture", by)
    assert f"amends retry {saga_of(request)} '{STEP}'" in refusal.message
    await probe.heal(request)
    assert (await driver.result(request))["state"] == "compensated"


async def test_a_capture_that_the_bank_refuses_is_answered_while_it_is_undone(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    request = payment(agent, 45_000, capture="manual")
    await inject(request, "refuse")
    await driver.submit(request)
    async with probe.refusing(request, "StepUndone"):
        progress = await driver.tell(request, "capture", {"actor": f"agent:{agent}"})
        assert (progress["state"], progress["reason"]) == ("compensating", "provider_refused")
    assert (await driver.result(request))["state"] == "compensated"


# What persons may say of it, what is refused, and whose undo they mend.
NOT_ALLOWED: list[tuple[str, Json, str]] = [
    ("retry", {"step": "settle"}, "it does not wait for an operator"),
    ("retry", {"actor": "agent:bot"}, "a user decides, not an agent"),
    ("skip", {"reason": "let it be"}, "it takes retry or resolve"),
    ("resolve", {"evidence": "e"}, "can't resolve execute transfer: its outcome may be done or"),
    ("resolve", {"evidence": "e", "outcome": "undone"}, "its outcome may be done or failed"),
]
NOT_ALLOWED_OF_AN_UNDO: list[tuple[str, Json, str]] = [
    ("retry", {"step": "authorize"}, "it does not wait for an operator"),
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


async def test_a_submit_that_takes_an_undo_over_is_answered_while_that_waits(
    driver: Driver, probe: Probe, can_not_be_undone: Stuck
) -> None:
    request = await can_not_be_undone()
    await driver.handle(request).terminate()
    progress = await driver.submit(request)
    assert progress["result"] is None
    assert [wait["undoing"] for wait in progress["waits"]] == [True]
    await probe.heal(request)
    await until(lambda: driver.is_in(request, "needs_attention"))
    await driver.tell(request, "retry", ANA)
    assert (await driver.result(request))["state"] == "compensated"


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
    assert {held["amount_minor"] for held in hold["reserved"]} == {4_500_000}
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
