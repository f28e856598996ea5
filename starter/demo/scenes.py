"""The scenes of the tour, each the story of a saga. A scene checks what it announces."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.aggregates.money import Money
from starter.demo.stage import Stage
from workflows.contract.agent import AgentRequest
from workflows.contract.change import ChangeRequest, Resource, RollbackRequest
from workflows.contract.payment import Destination, PaymentRequest
from workflows.contract.policy import PolicyRequest

ACTOR = "user:ana"
CBU = "2850590940090418135201"


async def tour(stage: Stage) -> None:
    """Play all scenes, in an order in which each finds what it needs."""
    agent = await _prepare(stage)
    await _approved_by_policy(stage, agent)
    await _approved_by_a_person(stage, agent)
    await _denied(stage, agent)
    await _refused_by_the_bank(stage, agent)
    await _worker_killed(stage, agent)
    change = await _applied(stage)
    await _undone(stage)
    await _rolled_back_on_schedule(stage, change)
    await _verified(stage)


async def _prepare(stage: Stage) -> str:
    stage.scene("An agent and its policy (pesos: at most 60,000, 100,000 a day, ask above 50,000)")
    agent = f"expense-bot-{stage.run}"
    for saga_id in await _register(stage, agent):
        await stage.tell(saga_id)
    return agent


async def _register(stage: Stage, agent: str) -> list[str]:
    """Register an agent and set its policy, each by a saga; returns their names."""
    register = AgentRequest(
        operation_id=f"register-{agent}",
        action="register",
        agent_id=agent,
        user=ACTOR,
        actor=ACTOR,
    )
    policy = PolicyRequest(
        operation_id=f"policy-{agent}",
        agent_id=agent,
        currency="ARS",
        max_per_transaction_minor=60_000_00,
        daily_limit_minor=100_000_00,
        approval_threshold_minor=50_000_00,
        actor=ACTOR,
    )
    done = [await stage.amends.submit(request) for request in (register, policy)]
    for progress in done:
        await stage.amends.result(progress.saga_id)
    return [progress.saga_id for progress in done]


def _payment(stage: Stage, agent: str, name: str, pesos: int) -> PaymentRequest:
    return PaymentRequest(
        operation_id=f"{name}-{stage.run}",
        agent_id=agent,
        amount=Money(minor=pesos * 100, currency="ARS"),
        destination=Destination(cbu=CBU),
        description="building expenses",
    )


async def _result(stage: Stage, saga_id: str) -> dict[str, Any]:
    return (await stage.amends.result(saga_id)).model_dump()


async def _approved_by_policy(stage: Stage, agent: str) -> None:
    stage.scene("45,000: the policy approves, the bank pays")
    saga_id = (await stage.amends.submit(_payment(stage, agent, "rent", 45_000))).saga_id
    result = await _result(stage, saga_id)
    stage.expect("the payment", result["state"], "captured")
    stage.say(f"captured, the bank calls it {result['provider_reference']}")
    await stage.tell(saga_id)


async def _approved_by_a_person(stage: Stage, agent: str) -> None:
    stage.scene("55,000: above the threshold, so a person approves")
    progress = await stage.amends.submit(_payment(stage, agent, "roof", 55_000))
    stage.expect("the decision", progress.decision, "pending_approval")
    stage.say("pending_approval: the spend is reserved; user:ana approves")
    await stage.amends.approve(progress.saga_id, actor=ACTOR, reason="the roof leaks")
    result = await _result(stage, progress.saga_id)
    stage.expect("the payment", result["state"], "captured")
    await stage.tell(progress.saga_id)


async def _denied(stage: Stage, agent: str) -> None:
    stage.scene("70,000: above the limit of one payment")
    saga_id = (await stage.amends.submit(_payment(stage, agent, "boat", 70_000))).saga_id
    result = await _result(stage, saga_id)
    stage.expect("the payment", result["state"], "denied")
    stage.expect("the reason", result["reason"], "exceeded_max_transaction_limit")
    stage.say(f"denied, {result['reason']}; the denial is in the log")
    await stage.tell(saga_id)


async def _refused_by_the_bank(stage: Stage, agent: str) -> None:
    stage.scene("The bank refuses after the spend was reserved: the saga is compensated")
    # Another agent, since the first has spent its day.
    other = f"{agent}-2"
    await _register(stage, other)
    request = _payment(stage, other, "closed-account", 20_000)
    saga_id = f"payment/{request.operation_id}"
    await stage.script_bank(saga_id, "refuse")
    await stage.amends.submit(request)
    result = await _result(stage, saga_id)
    stage.expect("the payment", result["state"], "compensated")
    stage.expect("the reason", result["reason"], "provider_refused")
    stage.say("compensated: nothing was paid, the reserved spend is free again")
    await stage.tell(saga_id)


async def _worker_killed(stage: Stage, agent: str) -> None:
    stage.scene("kill -9 of the worker while the bank works: the payment completes, once")
    request = _payment(stage, f"{agent}-2", "lift", 30_000)
    saga_id = f"payment/{request.operation_id}"
    # The bank does the work and is slow to say so: the worker dies without the answer.
    await stage.script_bank(saga_id, "slow_after", delay_ms=4_000)
    await stage.amends.submit(request)

    async def paid() -> bool | None:
        return True if await stage.bank_has(saga_id) == (1, "executed") else None

    await stage.until("the bank's transfer", paid)
    stage.say(f"the bank has paid, its answer is on the way; kill -9 {stage.servers.kill_worker()}")
    result = await stage.until("the end of the payment", lambda: stage.ended(saga_id))
    stage.expect("the payment", result["state"], "captured")
    stage.expect("the bank's transfers", await stage.bank_has(saga_id), (1, "executed"))
    stage.say("the next worker asked the bank before sending: captured, one transfer")
    await stage.tell(saga_id)


def _shop(stage: Stage) -> list[Resource]:
    app, database = f"shop_app_{stage.run}", f"shop_{stage.run}"
    return [
        Resource(name=f"orders_{stage.run}", kind="postgres.schema", spec=_in(database, app)),
        Resource(name=f"stock_{stage.run}", kind="postgres.schema", spec=_in(database, app)),
        Resource(name=database, kind="postgres.database", spec={"owner": app}),
        Resource(name=app, kind="postgres.role", spec={"login": True}),
    ]


def _in(database: str, owner: str) -> dict[str, Any]:
    return {"database": database, "owner": owner}


async def _applied(stage: Stage) -> str:
    stage.scene("A change: a role, a database and two schemas, really made on a target server")
    request = ChangeRequest(
        operation_id=f"shop-{stage.run}",
        actor=ACTOR,
        reason="the shop needs its database",
        present=_shop(stage),
    )
    saga_id = (await stage.amends.submit(request)).saga_id
    result = await _result(stage, saga_id)
    stage.expect("the change", result["state"], "applied")
    names = [resource.name for resource in request.present]
    stage.expect("the target server", len(await stage.target_has(*names)), 2)
    stage.say(f"applied along the dependencies: {', '.join(reversed(names))}")
    await stage.tell(saga_id)
    return saga_id.removeprefix("change/")


async def _undone(stage: Stage) -> None:
    stage.scene("A change whose third step the server refuses: undone, the server is clean")
    role, database = f"blog_app_{stage.run}", f"blog_{stage.run}"
    request = ChangeRequest(
        operation_id=f"blog-{stage.run}",
        actor=ACTOR,
        present=[
            Resource(name=role, kind="postgres.role", spec={"login": True}),
            Resource(name=database, kind="postgres.database", spec={"owner": role}),
            Resource(
                name=f"posts_{stage.run}",
                kind="postgres.schema",
                spec=_in(database, "nobody_by_this_name"),
            ),
        ],
    )
    saga_id = (await stage.amends.submit(request)).saga_id
    result = await _result(stage, saga_id)
    stage.expect("the change", result["state"], "compensated")
    stage.expect("the target server", await stage.target_has(role, database), [])
    stage.say(f"compensated ({result['reason']}): the role and the database are gone again")
    await stage.tell(saga_id)


async def _rolled_back_on_schedule(stage: Stage, change: str) -> None:
    stage.scene("A rollback of the first change, scheduled: it runs without any client")
    name = f"undo-{change}"
    request = RollbackRequest(to=f"before:{change}", actor=ACTOR, reason="the shop has closed")
    at = datetime.now(UTC) + timedelta(seconds=2)
    scheduled = await stage.amends.schedules.once(name, request, at)
    stage.say(f"scheduled for {scheduled.next_run:%H:%M:%S}, to be seen and paused at")
    stage.say(f"{stage.servers.web_ui}/namespaces/default/schedules/{name}")
    saga_id = await stage.until(
        "the start of the rollback", lambda: stage.newest_saga(f"rollback/{name}")
    )
    result = await stage.until("the end of the rollback", lambda: stage.ended(saga_id))
    stage.expect("the rollback", result["state"], "applied")
    names = [resource.name for resource in _shop(stage)]
    stage.expect("the target server", await stage.target_has(*names), [])
    await stage.tell(saga_id)


async def _verified(stage: Stage) -> None:
    stage.scene("verify: every state row is folded again from its events")
    verified = await stage.verified()
    stage.expect("the findings of verify", [str(finding) for finding in verified.findings], [])
    stage.say(f"{verified.events} events, {verified.aggregates} aggregates, nothing found")
