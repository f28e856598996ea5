"""A client of another language does all that the contract offers, and decodes every answer."""

from datetime import timedelta
from typing import Any

import pytest

from activities import transfers
from activities.adapters.mock import Fault, MockBank
from tests.foreign.foreign import Foreign, ForeignFailure
from tests.support.driver import USER, Json, new_id, payment, policy, registration
from tests.support.probe import Probe
from tests.support.until import until
from workflows.contract.kinds import BY_NAME, INFRASTRUCTURE, SWEEPS
from workflows.contract.progress import Progress


def kind_of(request: Json) -> str:
    """The first part of the workflow id of a request."""
    fields = {"amount": "payment", "action": "agent", "currency": "policy", "to": "rollback"}
    return next((kind for name, kind in fields.items() if name in request), "change")


def saga_of(request: Json) -> str:
    return f"{kind_of(request)}/{request['operation_id']}"


def start_of(request: Json) -> Json:
    kind = BY_NAME[kind_of(request)]
    return {"type": kind.workflow, "task_queue": kind.queue.default, "arguments": [request]}


async def run(foreign: Foreign, request: Json, **more: Any) -> Json:
    """Start it, and wait for its result."""
    result = await foreign.call("run", saga_of(request), **start_of(request), **more)
    BY_NAME[kind_of(request)].result.model_validate(result)
    return dict(result)


async def submit(foreign: Foreign, request: Json, **more: Any) -> Json:
    """Update-with-start, as the contract says it; the progress once the decision is known."""
    progress = await foreign.call(
        *("submit", saga_of(request)),
        **{**start_of(request), "name": "submit", "update_arguments": [request], **more},
    )
    return Progress.model_validate(progress).model_dump(mode="json")


async def tell(foreign: Foreign, request: Json, update: str, **more: Any) -> Json:
    argument = {**USER, **more}
    progress = await foreign.call(
        "update", saga_of(request), name=update, update_arguments=[argument]
    )
    return Progress.model_validate(progress).model_dump(mode="json")


async def progress(foreign: Foreign, request: Json) -> Json:
    answer = await foreign.call("query", saga_of(request), name="progress")
    return Progress.model_validate(answer).model_dump(mode="json")


async def result(foreign: Foreign, request: Json) -> Json:
    return dict(await foreign.call("result", saga_of(request)))


async def refusal(call: Any) -> ForeignFailure:
    """Await a call that has to fail; returns the failure, which the client could decode."""
    with pytest.raises(ForeignFailure) as failed:
        await call
    assert failed.value.leaks() == []
    return failed.value


def change(**parts: Any) -> Json:
    name = new_id("change")
    return {"operation_id": name, "environment": name, "actor": "user:ana", **parts}


def role(name: str, **spec: Any) -> Json:
    return {"name": name, "kind": "postgres.role", "spec": spec}


async def test_an_agent_and_a_policy_then_a_payment_and_its_repeats(foreign: Foreign) -> None:
    agent = new_id("bot")
    assert (await run(foreign, registration(agent)))["state"] == "registered"
    assert (await run(foreign, policy(agent)))["state"] == "set"
    request = payment(agent, 45_000)
    paid = await run(foreign, request)
    assert paid["state"] == "captured"
    assert (await progress(foreign, request))["result"] == paid
    assert await run(foreign, request, reuse="ALLOW_DUPLICATE") == paid
    again = await submit(foreign, request, reuse="ALLOW_DUPLICATE")
    assert (again["repeated"], again["result"]) == (True, paid)
    other = {**request, "description": "another"}
    for call in (run, submit):
        failure = await refusal(call(foreign, other, reuse="ALLOW_DUPLICATE"))
        assert failure.type == "operation_id_reused"
        assert "use a new operation id" in failure.message
    assert (await run(foreign, registration(agent, "revoke")))["state"] == "revoked"
    assert (await run(foreign, payment(agent, 1)))["reason"] == "agent_revoked"


async def test_a_repeat_by_the_recommended_policy_reads_the_result_or_asks_the_record(
    foreign: Foreign, agent: str
) -> None:
    request = payment(agent, 45_000)
    paid = await run(foreign, request, reuse="ALLOW_DUPLICATE_FAILED_ONLY")
    for call in (run, submit):
        with pytest.raises(ForeignFailure) as known:
            await call(foreign, request, reuse="ALLOW_DUPLICATE_FAILED_ONLY")
        assert known.value.told["error"] == "WorkflowExecutionAlreadyStartedError"
    assert await result(foreign, request) == paid

    saga, where = saga_of(request), start_of(request)
    assert await foreign.call("run", f"repeat/{saga}/2", **where) == paid
    with_update = {**where, "name": "submit", "update_arguments": [request]}
    again = await foreign.call("submit", f"repeat/{saga}/3", **with_update)
    assert (again["saga_id"], again["repeated"], again["result"]) == (saga, True, paid)
    other = {**where, "arguments": [{**request, "description": "another"}]}
    failure = await refusal(foreign.call("run", f"repeat/{saga}/4", **other))
    assert failure.type == "operation_id_reused"
    assert await result(foreign, request) == paid


async def test_a_person_approves_rejects_or_cancels_and_an_agent_captures(
    foreign: Foreign, agent: str
) -> None:
    approved, rejected = payment(agent, 55_000), payment(agent, 55_000)
    cancelled = payment(agent, 1_000, capture="manual")
    captured = payment(agent, 1_000, capture="manual")
    assert (await submit(foreign, approved))["waits_for"] == "approval"
    assert (await progress(foreign, approved))["decision"] == "pending_approval"
    assert (await tell(foreign, approved, "approve", reason="seen"))["decision"] == "approved"
    assert (await result(foreign, approved))["state"] == "captured"
    # The daily limit is what the first one left of it.
    rejected = {**rejected, "amount": {"minor": 100, "currency": "ARS"}, "capture": "manual"}
    for request in (rejected, cancelled, captured):
        assert (await submit(foreign, request))["waits_for"] == "capture"
    assert (await refusal(tell(foreign, rejected, "reject"))).type == "not_allowed"
    assert (await tell(foreign, cancelled, "cancel"))["state"] in ("compensating", "compensated")
    assert (await result(foreign, cancelled))["state"] == "voided"
    assert (await tell(foreign, captured, "capture", actor=f"agent:{agent}"))["result"]
    await foreign.call("cancel", saga_of(rejected))
    assert (await result(foreign, rejected))["reason"] == "cancelled"


async def test_a_rejection_releases_the_spend(foreign: Foreign, agent: str) -> None:
    request = payment(agent, 55_000)
    await submit(foreign, request)
    await tell(foreign, request, "reject")
    assert (await result(foreign, request))["state"] == "rejected"


async def test_updates_that_the_state_does_not_allow_are_refused_with_the_reason(
    foreign: Foreign, agent: str
) -> None:
    request = payment(agent, 55_000)
    await submit(foreign, request)
    step = {"step": "execute transfer"}
    for update, more in {
        "capture": {},
        "approve": {"actor": f"agent:{agent}"},
        "reject": {"actor": "agent:another"},
        "retry": step,
        "skip": {**step, "reason": "seen"},
        "resolve": {**step, "evidence": "seen", "outcome": "done"},
    }.items():
        failure = await refusal(tell(foreign, request, update, **more))
        assert (failure.type, update in failure.message) == ("not_allowed", True)
    for update in ("approve", "reject", "capture", "cancel", "retry", "skip", "resolve"):
        failure = await refusal(tell(foreign, request, update, actor="somebody"))
        assert (failure.type, "actor" in failure.fields) == ("InvalidInput", True)
    assert (await refusal(submit(foreign, {**request, "description": "another"}))).type == (
        "operation_id_reused"
    )
    repeated = await submit(foreign, request)
    assert repeated["decision"] == "pending_approval"
    await tell(foreign, request, "reject")


async def test_a_change_a_rollback_and_what_is_refused(foreign: Foreign) -> None:
    name = new_id("app")
    made = change(present=[role(name, login=True)])
    assert (await submit(foreign, made))["saga_id"] == saga_of(made)
    assert (await result(foreign, made))["changes"] == [
        {"name": name, "kind": "postgres.role", "action": "create"}
    ]
    back = {
        "operation_id": new_id("back"),
        "environment": made["environment"],
        "to": f"before:{made['operation_id']}",
        **USER,
    }
    assert (await run(foreign, back))["state"] == "applied"
    taken = change(present=[role("amends_owner")])
    failure = await refusal(run(foreign, taken))
    assert (failure.type, failure.fields) == ("InvalidInput", ["present[0].name"])
    nowhere = {**back, "operation_id": new_id("back"), "to": "before:nothing"}
    assert (await run(foreign, nowhere))["state"] == "refused"


async def test_a_bank_that_refuses_and_a_denial_are_results(
    foreign: Foreign, agent: str, bank: MockBank
) -> None:
    request = payment(agent, 45_000)
    await bank.inject(Fault(saga_of(request), "refuse"))
    refused = await run(foreign, request)
    assert (refused["state"], refused["reason"]) == ("compensated", "provider_refused")
    denied = await run(foreign, payment(agent, 70_000))
    assert (denied["state"], denied["reason"]) == ("denied", "exceeded_max_transaction_limit")


async def test_a_saga_that_ended_without_a_decision_is_a_failure_and_so_is_its_repeat(
    foreign: Foreign,
) -> None:
    request = registration("nobody-knows", "revoke")
    for _ in range(2):
        failure = await refusal(run(foreign, request, reuse="ALLOW_DUPLICATE"))
        assert failure.type == "unknown_agent"


@pytest.fixture
def soon_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator is asked after a blink, or after two tries to undo."""
    monkeypatch.setattr(transfers, "TELL_WITHIN", timedelta(seconds=0.2))
    monkeypatch.setattr(transfers, "UNDO_TRIES", 2)


async def test_an_operator_retries_resolves_and_skips_a_step(
    foreign: Foreign, agent: str, bank: MockBank, probe: Probe, soon_asked: None
) -> None:
    in_doubt, stuck = payment(agent, 40_000), payment(agent, 40_000)

    async def waits(request: Json) -> bool:
        return bool((await progress(foreign, request))["state"] == "needs_attention")

    key = saga_of(in_doubt)
    await bank.inject(Fault(key, "timeout_after"))
    await bank.inject(Fault(key, "timeout_before", operation="find", remaining=1_000))
    await foreign.call("start", key, **start_of(in_doubt))
    await until(lambda: waits(in_doubt))
    step = {"step": "execute transfer"}
    assert (await tell(foreign, in_doubt, "retry", **step))["saga_id"] == key
    await until(lambda: waits(in_doubt))
    reference = (await probe.until_booked(in_doubt))["reference"]
    await tell(foreign, in_doubt, "resolve", **step, evidence=reference, outcome="done")
    assert (await result(foreign, in_doubt))["state"] == "captured"

    key = saga_of(stuck)
    await bank.inject(Fault(key, "slow_after", delay_ms=300))
    await bank.inject(Fault(key, "timeout_before", operation="reverse", remaining=1_000))
    await foreign.call("start", key, **start_of(stuck))
    await probe.until_booked(stuck)
    await foreign.call("cancel", key)
    await until(lambda: waits(stuck))
    await tell(foreign, stuck, "skip", **step, reason="the bank will pay back by letter")
    ended = await result(foreign, stuck)
    assert ended["state"] == "compensated"
    assert len(ended["residuals"]) == 1


async def test_a_sweep_and_a_recovery_answer(foreign: Foreign, agent: str) -> None:
    sweep = f"sweep-{new_id('foreign')}"
    where: Json = {"type": "SweepWorkflow", "task_queue": SWEEPS.default}
    swept = await foreign.call("run", sweep, **where, arguments=[{}])
    assert (swept["lost"], swept["alerts"]) == (0, [])
    request = payment(agent, 100)
    await run(foreign, request)
    saga = saga_of(request)
    recovery: Json = {
        "type": "RecoverySaga",
        "task_queue": SWEEPS.default,
        "arguments": [{"saga_id": saga, "epoch": 1}],
    }
    recovered = await foreign.call("run", f"recovery/{saga}/1", **recovery)
    assert (recovered["saga_id"], recovered["how"]) == (saga, "ended")
    unknown: Json = {**recovery, "arguments": [{"saga_id": "payout/a", "epoch": 1}]}
    failure = await refusal(foreign.call("run", "recovery/payout/a/1", **unknown))
    assert failure.type == "unknown_kind"


async def test_a_change_that_is_cancelled_and_a_change_of_nothing(foreign: Foreign) -> None:
    nothing = change(absent=["nothing"])
    assert (await run(foreign, nothing))["state"] == "unchanged"
    with pytest.raises(ForeignFailure) as late:
        await tell(foreign, nothing, "cancel")
    assert late.value.told["error"] == "WorkflowNotFoundError"
    assert start_of(nothing)["task_queue"] == INFRASTRUCTURE.default
