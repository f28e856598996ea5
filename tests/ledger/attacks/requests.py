"""Lies of a worker about what was asked for, what a saga ended with, and in which order."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from ledger.aggregates import resource, saga, saga_step
from ledger.aggregates.spend_window import SpendChange
from tests.ledger.attacks.lies import Case, Lie, of_changes, of_payments
from tests.ledger.attacks.stories import AMOUNT, Change, Payment, Told, spend
from tests.ledger.samples import NOON
from tests.ledger.writing import window


def _still_open(p: Payment) -> dict[str, Case]:
    resolved = saga_step.StepResolved(outcome="failed", evidence="a ticket")
    return {
        "completed with an authorization that is open, and its saga says so": (
            [p.authorized()],
            p.completed("approved"),
            "saga_end",
            p.hold,
        ),
        "compensated with an authorization that is open, and its saga says so": (
            [[*p.authorized(), *p.turned(), *p.undone("authorize")]],
            p.ended(saga.SagaCompensated, "approved"),
            "saga_end",
            p.hold,
        ),
        "an outcome resolved that is known": (
            [[*p.authorized(), *p.turned()]],
            [(p.step("authorize"), resolved)],
            "transition",
            p.step("authorize"),
        ),
    }


def _requests(p: Payment) -> dict[str, Case]:
    [(_, started)] = p.started()
    asked: dict[str, Any] = started.as_json()["input"]
    others: dict[str, dict[str, Any]] = {
        "agent": {"agent_id": "other-bot"},
        "amount": {"amount": {"minor": AMOUNT + 1, "currency": "ARS"}},
        "currency": {"amount": {"minor": AMOUNT, "currency": "USD"}},
        "destination": {"destination": {"cbu": "1" * 22}},
        "form": {"amount": AMOUNT},
    }
    cases: dict[str, Case] = {
        "a transfer with the key of another payment": (
            [],
            p.captured(key="payment/victim"),
            "money",
            p.hold,
        )
    }
    for what, other in others.items():
        lie = [*p.started(input=asked | other), *p.authorized()[1:]]
        cases[f"an authorization of another {what} than was asked for"] = ([], lie, "money", p.hold)
    return cases


def _results(p: Payment) -> dict[str, Case]:
    settled = p.settled()[:2]
    names = ("authorization_id", "transfer_id", "provider_reference")
    cases: dict[str, Case] = {
        f"a result of another {name}": (
            [p.executed()],
            [*settled, *p.completed("captured", **{name: "of-another"})],
            "saga_end",
            p.hold,
        )
        for name in names
    }
    second = Payment(f"{p.agent}-second")
    second.id = p.id
    again: Told = [each for each in second.denied() if each[0] == second.hold]
    of_the_request: Told = [
        (name, event.changed(agent_id=p.agent) if hasattr(event, "agent_id") else event)
        for name, event in again
    ]
    first = [*p.denied(), *p.completed("denied")]
    return cases | {
        "a second authorization": ([first], of_the_request, "saga_end", second.hold),
        "a compensated payment with a result of another": (
            [p.compensated()[:-1]],
            p.ended(saga.SagaCompensated, "voided", authorization_id="of-another"),
            "saga_end",
            p.hold,
        ),
    }


def _orders(p: Payment) -> dict[str, Case]:
    run = {"namespace": "default", "namespace_id": "n", "task_queue": "q", "run_id": "run-2"}
    taken: Told = [(p.saga, saga.SagaTakenOver(epoch=2, previous_run_id="run-1", **run))]
    lost: Told = [(p.saga, saga.SagaLost(run_id="run-1", epoch=2, found="terminated"))]
    late = p.step("late")
    # It began in time, and ends in the epoch that carries it on.
    begun: Told = [
        (p.step("a"), saga_step.StepStarted(deadline=NOON, facts=None, **p.claim("a", 1)))
    ]
    ended: Told = [(p.step("a"), saga_step.StepDone(result={}))]
    over = [[*p.started(), *begun], [*taken, *ended]]
    return {
        "two steps of one ordinal": (
            [p.started()],
            [*p.took("a", 1), *p.took("late", 1)],
            "step",
            late,
        ),
        "a step of ordinal 0": ([p.started()], p.took("late", 0), "step", late),
        "a step of epoch 0": ([p.started()], p.took("late", 1, epoch=0), "step", late),
        "a step begun in an epoch that was taken over": (over, p.took("late", 2), "step", late),
        "a step begun in an epoch that was orphaned": (
            [p.started(), lost],
            p.took("late", 1),
            "step",
            late,
        ),
    }


def _windows(p: Payment) -> dict[str, Case]:
    def reserved(**changed: Any) -> list[SpendChange]:
        other = window(p.agent).changed(**changed)
        return [SpendChange(window=other, amount_minor=AMOUNT, count=1)]

    long_ago = reserved(starts_on=date(1990, 1, 1))
    kinds = {
        "on a day of 1990": long_ago,
        "of a century": reserved(period="century"),
        "of another currency": reserved(currency="USD"),
        "on two days": [*spend(p.agent), *long_ago],
    }
    return {
        f"reserved in a window {what}": (
            [],
            [*p.started(), *p.requested(), *p.approved(spend=changes), *p.took("a", 1)],
            "transition",
            p.hold,
        )
        for what, changes in kinds.items()
    }


def _waits(p: Payment) -> dict[str, Case]:
    waits: Told = [
        (p.saga, saga.SagaWaitStarted(waits_for="approval", waits_on="user", since=NOON))
    ]
    ended: Told = [(p.saga, saga.SagaWaitEnded(waits_for="approval"))]
    other: Told = [(p.saga, saga.SagaWaitEnded(waits_for="capture"))]
    return {
        "a wait within a wait": ([[*p.asked(), *waits]], waits, "transition", p.saga),
        "the end of no wait": ([[*p.asked(), *waits, *ended]], ended, "transition", p.saga),
        "the end of another wait": ([[*p.asked(), *waits]], other, "transition", p.saga),
    }


def _changes(c: Change) -> dict[str, Case]:
    payer = Payment(f"{c.resource.rpartition('/')[2]}-payer")
    made = [*c.started(), *c.claimed(), *c.made()]
    took = c.ended()[:1]
    undone: Told = [(c.resource, resource.ResourceDeleted(change=c.id, undoes=c.id))]
    stays = c.compensated(residuals=["the database stays: it has tables"])
    return {
        "a resource claimed by a payment": (
            [payer.started()],
            c.claimed(by=payer.id),
            "claim",
            c.resource,
        ),
        "a resource changed by a payment": (
            [payer.started()],
            [*c.claimed(by=payer.id), *c.made(by=payer.id)],
            "claim",
            c.resource,
        ),
        "a compensated change whose resource stands": (
            [[*made, *took]],
            c.compensated(),
            "claim",
            c.resource,
        ),
        "a claim by a change whose resource was deleted again": (
            [[*made, *took], [*c.claimed(), *undone, *c.compensated()]],
            c.claimed(),
            "claim",
            c.resource,
        ),
        "a claim by a change whose resource stays for its data": (
            [[*made, *took, *stays]],
            c.claimed(),
            "claim",
            c.resource,
        ),
        "a refused change whose resource was made": (
            [[*made, *took]],
            [(c.saga, saga.SagaCompleted(result={"state": "refused"}, ended_at=NOON))],
            "claim",
            c.resource,
        ),
        "a failed change whose resource was made": (
            [[*c.started(), *c.claimed(), *c.made()]],
            [*c.compensated()[:1], (c.saga, saga.SagaFailed(result={}, ended_at=NOON))],
            "claim",
            c.resource,
        ),
    }


def beyond() -> Iterator[Lie]:
    """Lies that contradict the request or the result of a saga, or its order."""
    yield from of_payments(_still_open, _requests, _results, _orders, _windows, _waits)
    yield from of_changes(_changes)
