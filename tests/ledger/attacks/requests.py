"""Lies of a worker about what was asked for, what a saga ended with, and in which order."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from ledger.aggregates import resource, saga, saga_step
from ledger.aggregates.mandate import evolve, mandate_name
from ledger.aggregates.spend_window import SpendChange
from tests.ledger.attacks.lies import Case, Lie, of_changes, of_payments
from tests.ledger.attacks.stories import AMOUNT, Change, Payment, Told, spend
from tests.ledger.samples import LATER_ON, NOON
from tests.ledger.writing import mandate_granted, window


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
    return cases | {
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


def _terms(p: Payment) -> dict[str, Any]:
    """The terms of a mandate that allows the payment, and nothing beside it."""
    return {
        "agent_id": p.agent,
        "amount_minor": AMOUNT,
        "count": 1,
        "destinations": ["1" * 22],
        "purposes": ["rent"],
        "valid_from": NOON,
        "valid_until": LATER_ON,
    }


# What is wider than that.
_WIDER: dict[str, dict[str, Any]] = {
    "amount": {"amount_minor": AMOUNT + 1},
    "amount without a limit": {"amount_minor": None},
    "count": {"count": 2},
    "count without a limit": {"count": None},
    "currency": {"currency": "USD"},
    "destination": {"destinations": ["1" * 22, "2" * 22]},
    "destination, any": {"destinations": None},
    "purpose": {"purposes": ["rent", "wine"]},
    "purpose, any": {"purposes": None},
    "begin": {"valid_from": NOON - timedelta(seconds=1)},
    "end": {"valid_until": LATER_ON + timedelta(seconds=1)},
    "end, none": {"valid_until": None},
}


def _mandates(p: Payment) -> dict[str, Case]:
    above_id, below_id = f"{p.agent}-above", f"{p.agent}-below"
    above, below = mandate_name(above_id), mandate_name(below_id)
    terms = _terms(p)
    granted: Told = [(above, mandate_granted(above_id, **terms))]
    part: Told = [(below, mandate_granted(below_id, above_id, **terms))]
    third: Told = [(f"{below}-2", mandate_granted(f"{below_id}-2", below_id, **terms))]
    cases: dict[str, Case] = {
        f"a delegated mandate of another {what}": (
            [granted],
            [(below, mandate_granted(below_id, above_id, **terms | more))],
            "mandate",
            below,
        )
        for what, more in _WIDER.items()
    }
    return cases | {
        "a mandate below one that does not exist": ([], part, "mandate", below),
        "a mandate below others than its parent": ([granted, part], third, "mandate", f"{below}-2"),
    }


def _paid(p: Payment, ids: list[str], asks: str, spends: list[str]) -> Told:
    """A payment approved under the mandates `ids`, that asked for one, and spends in others."""
    [(_, started)] = p.started()
    [(_, requested)] = p.requested()
    spent = [evolve(None, mandate_granted(each, **_terms(p))).spend(AMOUNT) for each in spends]
    return [
        *p.started(input=started.as_json()["input"] | {"mandate": asks}),
        (p.hold, requested.changed(mandates=ids)),
        *p.approved(spend=[*spend(p.agent), *spent]),
        *p.took("authorize", 1),
    ]


def _under_mandates(p: Payment) -> dict[str, Case]:
    above_id, below_id = f"{p.agent}-above", f"{p.agent}-below"
    above = mandate_name(above_id)
    both, one, part = [above_id, below_id], [above_id], [below_id]
    chain: list[Told] = [
        [(above, mandate_granted(above_id, **_terms(p)))],
        [(mandate_name(below_id), mandate_granted(below_id, above_id, **_terms(p)))],
    ]

    def other(**more: Any) -> list[Told]:
        return [[(above, mandate_granted(above_id, **_terms(p) | more))]]

    alone = _paid(p, one, above_id, one)
    return {
        "more under a mandate than it allows": (
            *(other(amount_minor=AMOUNT - 1), alone),
            *("mandate", above),
        ),
        "more payments under a mandate than it allows": (other(count=0), alone, "mandate", above),
        "a payment under a part of its chain": (
            *(chain, _paid(p, part, below_id, part)),
            *("mandate", p.hold),
        ),
        "a payment under the mandate of another": (
            *(other(agent_id="other-bot"), alone),
            *("mandate", p.hold),
        ),
        "a payment under a mandate of nobody": ([], alone, "mandate", p.hold),
        "a payment under another mandate than was asked for": (
            *(chain, _paid(p, both, above_id, both)),
            *("money", p.hold),
        ),
        "reserved in a part of its mandates": (
            *(chain, _paid(p, both, below_id, part)),
            *("transition", p.hold),
        ),
        "reserved in a mandate that it does not name": (
            *(chain, _paid(p, one, above_id, both)),
            *("transition", p.hold),
        ),
    }


def beyond() -> Iterator[Lie]:
    """Lies that contradict the request or the result of a saga, or its order."""
    yield from of_payments(_still_open, _requests, _results, _orders, _windows, _waits)
    yield from of_payments(_mandates, _under_mandates)
    yield from of_changes(_changes)
