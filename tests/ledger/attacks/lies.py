"""Lies of a worker: its own rows and events, well formed and rightly hashed, that did not happen.

Each is told about a story of its own, which is true up to there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ledger.aggregates import authorization, case, resource, saga, saga_step, transfer
from ledger.audit.findings import Kind
from tests.ledger.attacks.stories import AMOUNT, Change, Payment, Told, spend
from tests.ledger.samples import NOON
from tests.ledger.writing import statement_reconciled

ENDS = (
    authorization.AuthorizationRejected,
    authorization.AuthorizationExpired,
    authorization.AuthorizationVoided,
    authorization.AuthorizationCompensated,
)


T = TypeVar("T", Payment, Change)


@dataclass(frozen=True)
class Lie:
    """What is true first, commit by commit; the lie; and the finding that names it."""

    name: str
    first: tuple[Told, ...]
    lie: Told
    kind: Kind
    where: str


# name: what is true first, the lie, its kind, and of which aggregate of the payment it is found.
Case = tuple[list[Told], Told, Kind, str]


def _money(p: Payment) -> dict[str, Case]:
    moved = transfer.TransferExecuted(reference="M-1")
    back = transfer.TransferReversed(reference="M-2")
    refused = transfer.TransferRefused(reason="closed")
    cancelled = transfer.TransferCancelled(reason="never")
    turned = [*p.capturing(), *p.turned()]
    taken_back: Told = [(p.transfer, back)]
    given_up = authorization.AuthorizationCompensated(spend=[])
    other = {"amount_minor": AMOUNT + 1, "currency": "USD", "destination": "0" * 22}
    other |= {"authorization_id": "a-other", "saga_id": "payment/other"}
    cases: dict[str, Case] = {
        f"a transfer of another {field}": ([], p.capturing(**{field: value}), "money", p.hold)
        for field, value in other.items()
    }
    cases |= {
        f"captured, and its transfer {told.lower()}": (
            [p.captured()],
            [(p.transfer, event)],
            "money",
            p.hold,
        )
        for told, event in {"Reversed": back, "Refused": refused, "Cancelled": cancelled}.items()
    }
    return cases | {
        "a capture without a transfer": ([p.authorized()], p.capture_started(), "money", p.hold),
        "captured while its transfer runs": ([p.capturing()], p.settled()[:1], "money", p.hold),
        "captured by another reference": (
            [p.executed()],
            [*p.settled("M-7")],
            "money",
            p.hold,
        ),
        "a transfer that nobody captures": (
            [p.authorized()],
            [each for each in p.capturing() if each[0] == p.transfer],
            "money",
            p.transfer,
        ),
        "an executed transfer that nobody captures": (
            [p.authorized()],
            [*[each for each in p.capturing() if each[0] == p.transfer], (p.transfer, moved)],
            "money",
            p.transfer,
        ),
        "released though the money is gone": (
            [[*p.executed(), *p.turned()]],
            p.released(authorization.AuthorizationCompensated),
            "money",
            p.hold,
        ),
        "released while the money may move": (
            [turned],
            p.released(authorization.AuthorizationCompensated),
            "money",
            p.hold,
        ),
        "kept though the money came back": (
            [[*p.executed(), *p.turned(), *taken_back]],
            [(p.hold, given_up)],
            "money",
            p.hold,
        ),
        "reversed behind the back of its saga": (
            [p.captured()],
            taken_back,
            "money",
            p.hold,
        ),
    }


def _spend(p: Payment) -> dict[str, Case]:
    asked = [p.asked()]
    other = Payment(p.agent + "-other")
    twice = [*spend(p.agent), *spend(p.agent)]
    wrong = {
        "nothing": [],
        "less": spend(p.agent, AMOUNT - 1),
        "more": spend(p.agent, AMOUNT + 1),
        "for two": spend(p.agent, AMOUNT, 2),
        "of another agent": spend(other.agent),
        "twice": twice,
    }
    cases: dict[str, Case] = {}
    for what, changes in wrong.items():
        approved = [*p.started(), *p.requested(), *p.approved(spend=changes), *p.took("a", 1)]
        cases[f"approved, and reserved {what}"] = ([], approved, "transition", p.hold)
    for end in ENDS:
        told = end.__name__
        for amount, count in ((AMOUNT - 1, 1), (AMOUNT, 0)):
            first = [[*p.authorized(), *p.turned()]]
            lie = p.released(end, -amount, -count)
            cases[f"{told} gives {amount}/{count} back"] = (first, lie, "transition", p.hold)
        nothing: Told = [(p.hold, end(spend=[]))]
        first = [[*p.authorized(), *p.turned()]]
        cases[f"{told} gives nothing back"] = (first, nothing, "transition", p.hold)
        cases[f"{told} of a payment that runs"] = (
            [p.authorized()],
            p.released(end),
            "saga_end",
            p.hold,
        )
        cases[f"{told} twice"] = (
            [[*p.authorized(), *p.turned(), *p.released(end)]],
            p.approved(automatic=False, spend=[]),
            "transition",
            p.hold,
        )
    cases["approved by a person, and reserved again"] = (
        asked,
        p.approved(automatic=False),
        "transition",
        p.hold,
    )
    cases["approved by the policy, which asked a person"] = (
        asked,
        p.approved(spend=[]),
        "transition",
        p.hold,
    )
    return cases


def _ends(p: Payment) -> dict[str, Case]:
    turned = [*p.authorized(), *p.turned()]
    undone = [*turned, *p.released(), *p.undone("authorize")]
    refused: Told = [
        (p.step("late"), saga_step.StepStarted(deadline=NOON, facts=None, **p.claim("late", 4))),
        (p.step("late"), saga_step.StepRefused(reason="no")),
    ]
    return {
        "completed with an authorization that is open": (
            [p.authorized()],
            p.completed("captured"),
            "saga_end",
            p.hold,
        ),
        "captured, and its saga says denied": (
            [p.executed()],
            [*p.settled()[:2], *p.completed("denied")],
            "saga_end",
            p.hold,
        ),
        "voided, and its saga says expired": (
            [undone],
            p.ended(saga.SagaCompensated, "expired"),
            "saga_end",
            p.hold,
        ),
        "failed with an authorization": (
            [[*p.started(), *p.requested(), *p.approved(), *p.turned()]],
            [*p.released(), *p.ended(saga.SagaFailed, "voided")],
            "saga_end",
            p.hold,
        ),
        "captured while its saga compensates": (
            [[*p.executed(), *p.turned()]],
            p.settled()[:1],
            "saga_end",
            p.hold,
        ),
        "a payment without an authorization": (
            [[*p.started(), *p.took("a", 1)]],
            p.completed("denied"),
            "saga_end",
            p.saga,
        ),
        "completed without a step": ([p.started()], p.completed("denied"), "saga_end", p.saga),
        "completed with a refused step": (
            [[*p.started(), *p.took("a", 1), *refused]],
            p.completed("denied"),
            "saga_end",
            p.saga,
        ),
        "compensated with nothing undone": (
            [[*p.started(), *p.turned()]],
            p.ended(saga.SagaCompensated, "voided"),
            "saga_end",
            p.saga,
        ),
        "failed with a step that stands": (
            [[*p.started(), *p.took("a", 1), *p.turned()]],
            p.ended(saga.SagaFailed, "failed"),
            "saga_end",
            p.saga,
        ),
        "an authorization of no saga": (
            [],
            [*p.requested(), *p.approved()],
            "saga_end",
            p.hold,
        ),
    }


def _steps(p: Payment) -> dict[str, Case]:
    turned = [*p.started(), *p.took("a", 1), *p.turned()]
    begun = saga_step.StepStarted(deadline=NOON, facts=None, **p.claim("late", 4))
    return {
        "a step after the end": ([p.captured()], p.took("late", 4), "step", p.step("late")),
        "a step without an undo after the end": (
            [p.captured()],
            p.took("late", 4, undo=None),
            "step",
            p.step("late"),
        ),
        "a step begun after the end": (
            [p.captured()],
            [(p.step("late"), begun)],
            "open_step",
            p.step("late"),
        ),
        "a step undone after the end": (
            [p.compensated()],
            [*p.took("late", 4), *p.undone("late")],
            "step",
            p.step("late"),
        ),
        "a step of a completed saga undone": (
            [p.captured()],
            p.undone("transfer"),
            "step",
            p.step("transfer"),
        ),
        "a step of a running saga undone": (
            [p.authorized()],
            p.undone("authorize"),
            "step",
            p.step("authorize"),
        ),
        "a step begun while its saga compensates": (
            [turned],
            p.took("late", 4, epoch=2),
            "step",
            p.step("late"),
        ),
        "a step of an old epoch while its saga compensates": (
            [turned],
            p.took("late", 4),
            "step",
            p.step("late"),
        ),
        "a step of an epoch to come": (
            [p.started()],
            p.took("late", 4, epoch=2),
            "step",
            p.step("late"),
        ),
        "a step of no saga": ([], p.took("late", 4), "saga_missing", p.step("late")),
        "a step that stands in a compensated saga": (
            [[*p.compensated()[:-2], *p.took("b", 2)]],
            [*p.undone("authorize"), *p.ended(saga.SagaCompensated, "voided")],
            "step",
            p.step("b"),
        ),
        "a step that is open when its saga ends": (
            [[*p.denied(), (p.step("late"), begun)]],
            p.completed("denied"),
            "open_step",
            p.step("late"),
        ),
    }


def _epochs(p: Payment) -> dict[str, Case]:
    run = {"namespace": "default", "namespace_id": "n", "task_queue": "q", "run_id": "run-2"}
    cases: dict[str, Case] = {}
    for epoch in (-1, 0, 1, 3, 2**31 - 1):
        taken = saga.SagaTakenOver(epoch=epoch, previous_run_id="run-1", **run)
        lost = saga.SagaLost(run_id="run-1", epoch=epoch, found="terminated")
        for event in (taken, lost, saga.SagaCompensating(epoch=epoch, cause="cancelled")):
            if epoch > 0:
                name = f"{type(event).__name__} to epoch {epoch}"
                cases[name] = ([p.started()], [(p.saga, event)], "transition", p.saga)
    return cases


def _claims(c: Change) -> dict[str, Case]:
    other = Change(f"{c.resource.rpartition('/')[2]}-other")
    made = [*c.claimed(), *c.made()]
    ended = [*c.started(), *made, *c.ended()]
    dropped = resource.ResourceChangeDropped(change=other.id, reason="mine")
    deleted = resource.ResourceDeleted(change=other.id)
    return {
        "a claim of no saga": ([], c.claimed(), "claim", c.resource),
        "a claim of a saga that ended": ([ended], c.claimed(), "claim", c.resource),
        "a change by no saga": ([], made, "claim", c.resource),
        "a change by another than claimed it": (
            [[*c.started(), *c.claimed(), *other.started()]],
            c.made(by=other.id),
            "transition",
            c.resource,
        ),
        "a claim dropped by another": (
            [[*c.started(), *c.claimed(), *other.started()]],
            [(c.resource, dropped)],
            "transition",
            c.resource,
        ),
        "a deletion by another": (
            [[*c.started(), *c.claimed(), *other.started()]],
            [(c.resource, deleted)],
            "transition",
            c.resource,
        ),
    }


def _cases(p: Payment) -> dict[str, Case]:
    name, of = f"case/{p.agent}", f"mock-{p.agent}"
    opened = case.CaseOpened(case_id=p.agent, statement_id=of, kind="balance")
    closed = case.CaseClosed(closed_by="user:ana", evidence="mine")
    counted = statement_reconciled(of, 1)
    gone = [*p.capturing(), *p.turned(), (p.transfer, transfer.TransferCancelled(reason="never"))]

    def arrived(amount: int) -> Told:
        counted = spend(p.agent, amount)
        event = transfer.TransferArrived(reference="M-1", seen_in=of, spend=counted)
        return [(p.transfer, event)]

    return {
        "money arrived without a case": ([gone], arrived(AMOUNT), "case", p.transfer),
        "money arrived as less": ([gone], arrived(AMOUNT - 1), "transition", p.transfer),
        "a case closed in another's name": ([[(name, opened)]], [(name, closed)], "case", name),
        "a statement without its cases": (
            [],
            [(f"statement/{of}", counted)],
            "case",
            f"statement/{of}",
        ),
    }


def between() -> Iterator[Lie]:
    """Lies that contradict another aggregate, or the amount that was asked for."""
    yield from of_payments(_money, _spend, _ends, _steps, _epochs, _cases)
    yield from of_changes(_claims)


def of_payments(*tables: Callable[[Payment], dict[str, Case]]) -> Iterator[Lie]:
    """Each lie of the tables, about a payment of its own."""
    return _each(Payment, tables)


def of_changes(*tables: Callable[[Change], dict[str, Case]]) -> Iterator[Lie]:
    """Each lie of the tables, about a change of its own."""
    return _each(Change, tables)


def _each(story: type[T], tables: Iterable[Callable[[T], dict[str, Case]]]) -> Iterator[Lie]:
    for table in tables:
        prefix = table.__name__.strip("_")
        for number, name in enumerate(table(story("x"))):
            first, lie, kind, where = table(story(f"{prefix}-{number}"))[name]
            yield Lie(name, tuple(first), lie, kind, where)
