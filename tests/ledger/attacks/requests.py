"""Lies of a worker about what was asked for, and about what a saga ended with."""

from collections.abc import Iterator

from ledger.aggregates import saga, saga_step
from tests.ledger.attacks.lies import Case, Lie, of_payments
from tests.ledger.attacks.stories import Payment


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


def beyond() -> Iterator[Lie]:
    """Lies that contradict the request or the result of a saga."""
    yield from of_payments(_still_open)
