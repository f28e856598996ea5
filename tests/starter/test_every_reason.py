"""Every reason of the contract, through Temporal and `amends`: a new word needs a row here."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities import sending
from activities.adapters.mock import Fault, MockBank
from starter.client.client import Amends
from tests.starter.conftest import QUEUES, Command
from tests.support.driver import Driver, Json, new_id, payment, policy, registration, saga_of
from tests.support.mandates import granted, revoke
from workflows.contract.reasons import REASONS

TESTS = Path(__file__).parents[1]
BOSS = {"actor": "user:boss"}
OTHER = "0170099220000067797370"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NEVER = [{"days": [DAYS[datetime.now(UTC).weekday() - 3]], "start": "09:00", "end": "18:00"}]
TWO_LESS_1 = 1_999

# A policy under which one payment of 10 pesos is paid and the next is denied, and what that asks.
DENIALS: dict[str, tuple[Json, Json]] = {
    "currency_not_allowed": ({}, {"amount": {"minor": 1_000, "currency": "USD"}}),
    "destination_not_allowed": ({}, {"destination": {"cbu": OTHER}}),
    "exceeded_max_transaction_limit": ({}, {"amount": {"minor": 6_000_001, "currency": "ARS"}}),
    **{f"exceeded_{p}_limit": ({f"{p}_limit_minor": TWO_LESS_1}, {}) for p in
       ("daily", "weekly", "monthly", "total")},
    **{f"exceeded_{p}_count": ({f"{p}_count": 1}, {}) for p in
       ("daily", "weekly", "monthly", "total")},
}  # fmt: skip
# What a mandate says that does not allow a payment of 10 pesos.
MANDATES: dict[str, Json] = {
    "mandate_not_valid": {"valid_from": "2999-01-01T00:00:00Z"},
    "mandate_currency_not_allowed": {"currency": "USD"},
    "mandate_destination_not_allowed": {"destinations": [OTHER]},
    "mandate_purpose_not_allowed": {"purposes": ["travel"]},
    "exceeded_mandate_limit": {"amount_minor": 999},
    "exceeded_mandate_count": {"count": 0},
}
REFUSES_OTHER = {"refused_destinations": [OTHER]}

# What can't be made at this border, and why; the word stands in the test that makes it.
ELSEWHERE: dict[str, tuple[str, str]] = {
    "missing_signature": ("only production refuses it", "sagas/test_signatures.py"),
    "invalid_signature": ("of keys, which these agents lack", "sagas/test_signatures.py"),
    "unknown_time_zone": ("the machine has to forget a zone", "sagas/test_payments.py"),
    "lost_run": ("Temporal has to lose a run, and a sweep to find it", "sagas/test_sweep.py"),
    "not_holder": ("of a key", "sagas/test_signatures.py"),
    "key_exists": ("of a key", "sagas/test_signatures.py"),
    "unknown_key": ("of a key", ""),
    "key_expired": ("of a key", ""),
    **dict.fromkeys(
        ("not_mandate_holder", "mandate_exists", "mandate_too_deep", "wider_mandate"),
        ("of a mandate", "sagas/test_mandates.py"),
    ),
    **dict.fromkeys(
        ("unknown_payment", "capture_undecided", "not_captured", "not_refundable",
         "exceeds_captured", "another_currency", "exceeds_one_capture"),
        ("of a refund", "sagas/test_refunds.py"),
    ),
    "voided": ("a payment of which some was captured has no reason", "sagas/test_captures.py"),
    "account_revoked": ("reserved: accounts are settings of the worker so far", ""),
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """A client of the worker, the command line, and the bank's own counter."""

    driver: Driver
    command: Command
    bank: MockBank
    patch: pytest.MonkeyPatch

    async def agent(self, **terms: Any) -> str:
        """An agent with the policy of the requirements, or with `terms`."""
        agent = new_id("bot")
        await self.driver.run(registration(agent))
        await self.driver.run(policy(agent, **terms))
        return agent

    async def ends(self, request: Json) -> str:
        """The reason of a payment's end, from `amends pay`."""
        done = await self.command("pay", request, "--json")
        assert done.status == 1, done
        return str(done.json["reason"])

    async def refuses(self, request: Json, by: Json) -> str:
        """The reason why an approval is refused, from the log."""
        await self.driver.until_waits(request, "approval")
        await self.driver.refusal(request, "approve", by)
        log = (await self.command("log", saga_of(request), "--json")).json
        [event] = [each for each in log if each["event_type"] == "ApprovalRefused"]
        await self.driver.tell(request, "cancel", BOSS)
        return str(event["payload"]["reason"])


Shows = Callable[[World], Awaitable[str]]
SHOWN: dict[str, Shows] = {}


def shows(reason: str) -> Callable[[Shows], Shows]:
    """Adds the row of a reason."""

    def add(row: Shows) -> Shows:
        SHOWN[reason] = row
        return row

    return add


def _denied(reason: str) -> Shows:
    async def row(world: World) -> str:
        terms, asked = DENIALS[reason]
        agent = await world.agent(**REFUSES_OTHER, **terms)
        assert (await world.driver.run(payment(agent, 10)))["state"] == "captured"
        return await world.ends({**payment(agent, 10), **asked})

    return row


SHOWN |= {reason: _denied(reason) for reason in DENIALS}


def _denied_by_mandate(reason: str) -> Shows:
    async def row(world: World) -> str:
        agent = await world.agent()
        mandate = await granted(world.driver, agent, **MANDATES[reason])
        return await world.ends(payment(agent, 10, mandate=mandate))

    return row


SHOWN |= {reason: _denied_by_mandate(reason) for reason in MANDATES}


@shows("no_mandate")
async def no_mandate(world: World) -> str:
    return await world.ends(payment(await world.agent(mandate_required=True), 10))


@shows("unknown_mandate")
async def unknown_mandate(world: World) -> str:
    return await world.ends(payment(await world.agent(), 10, mandate=new_id("none")))


@shows("mandate_of_another_agent")
async def mandate_of_another_agent(world: World) -> str:
    mandate = await granted(world.driver, new_id("bot"))
    return await world.ends(payment(await world.agent(), 10, mandate=mandate))


@shows("mandate_revoked")
async def mandate_revoked(world: World) -> str:
    agent = await world.agent()
    mandate = await granted(world.driver, agent)
    await world.driver.run(revoke(mandate))
    return await world.ends(payment(agent, 10, mandate=mandate))


@shows("unknown_agent")
async def unknown_agent(world: World) -> str:
    return await world.ends(payment(new_id("nobody"), 10))


@shows("agent_revoked")
async def agent_revoked(world: World) -> str:
    agent = await world.agent()
    await world.driver.run(registration(agent, "revoke"))
    return await world.ends(payment(agent, 10))


@shows("no_policy")
async def no_policy(world: World) -> str:
    agent = new_id("bot")
    await world.driver.run(registration(agent))
    return await world.ends(payment(agent, 10))


@shows("outside_allowed_hours")
async def outside_allowed_hours(world: World) -> str:
    return await world.ends(payment(await world.agent(hours=NEVER), 10))


@shows("changed")
async def changed(world: World) -> str:
    request = payment(await world.agent(), 55_000)
    return await world.refuses(request, {**BOSS, "binding": "0" * 64})


@shows("not_an_approver")
async def not_an_approver(world: World) -> str:
    agent = await world.agent(approvers=[{"user": "user:ana"}])
    return await world.refuses(payment(agent, 55_000), BOSS)


@shows("exceeded_approver_limit")
async def exceeded_approver_limit(world: World) -> str:
    boss = {"user": "user:boss", "currency": "ARS", "limit_minor": 5_400_000}
    agent = await world.agent(approvers=[boss])
    return await world.refuses(payment(agent, 55_000), BOSS)


@shows("exceeded_asked_amount")
async def exceeded_asked_amount(world: World) -> str:
    request = payment(await world.agent(), 55_000)
    return await world.refuses(request, {**BOSS, "amount_minor": 5_500_001})


@shows("needs_approval")
async def needs_approval(world: World) -> str:
    agent = await world.agent()
    request = payment(agent, 45_000, capture="manual")
    await world.driver.until_waits(request, "capture")
    await world.driver.run(policy(agent, approval_threshold_minor=0))
    await world.driver.tell(request, "capture", {"actor": f"agent:{agent}"})
    return await world.ends(request)


@shows("capture_expired")
async def capture_expired(world: World) -> str:
    late = {"capture": "manual", "capture_within": "PT0.1S"}
    request = payment(await world.agent(), 10, **late)
    await world.driver.run(request)
    return await world.ends(request)


@shows("approval_expired")
async def approval_expired(world: World) -> str:
    request = payment(await world.agent(), 55_000, approve_within="PT0.1S")
    await world.driver.run(request)
    return await world.ends(request)


@shows("rejected")
async def rejected(world: World) -> str:
    request = payment(await world.agent(), 55_000)
    await world.driver.until_waits(request, "approval")
    await world.driver.tell(request, "reject", BOSS)
    return await world.ends(request)


@shows("cancelled")
async def cancelled(world: World) -> str:
    request = payment(await world.agent(), 55_000)
    await world.driver.until_waits(request, "approval")
    await world.driver.tell(request, "cancel", BOSS)
    return await world.ends(request)


@shows("provider_refused")
async def provider_refused(world: World) -> str:
    request = payment(await world.agent(), 10)
    await world.bank.inject(Fault(saga_of(request), "refuse"))
    return await world.ends(request)


@shows("provider_failed")
async def provider_failed(world: World) -> str:
    agent = await world.agent()
    with world.patch.context() as patched:
        patched.setattr(sending, "SEND_WITHIN", timedelta(0))
        return await world.ends(payment(agent, 10))


def test_each_word_of_the_contract_has_a_row() -> None:
    assert {*SHOWN} & {*ELSEWHERE} == set()
    assert {*SHOWN} | {*ELSEWHERE} == {*REASONS}
    for reason, (_, file) in ELSEWHERE.items():
        assert not file or f'"{reason}"' in (TESTS / file).read_text(), (reason, file)


async def test_each_reason_is_told_by_amends(
    amends: Amends, command: Command, bank: MockBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(amends.client, QUEUES["AMENDS_PAYMENTS_QUEUE"])
    turn = asyncio.Lock()

    async def one_at_a_time(*arguments: Any) -> Any:
        async with turn:
            return await command(*arguments)

    world = World(driver, one_at_a_time, bank, monkeypatch)
    # It changes what the worker does, for all.
    alone = "provider_failed"
    together = [name for name in SHOWN if name != alone]
    told = await asyncio.gather(*(SHOWN[name](world) for name in together))
    found = dict(zip(together, told, strict=True)) | {alone: await SHOWN[alone](world)}
    assert found == {reason: reason for reason in SHOWN}
