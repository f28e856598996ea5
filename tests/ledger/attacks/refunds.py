"""Refunds as their engine writes them, and lies of a worker about them."""

from collections.abc import Iterator
from typing import Any

from ledger.aggregates import refund, saga, saga_step, transfer
from tests.ledger.attacks.lies import Case, Lie, of_payments
from tests.ledger.attacks.stories import AMOUNT, Payment, Told
from tests.ledger.samples import NOON


class Refund:
    """The events of refund/{n}, which brings half of a captured payment back."""

    def __init__(self, of: Payment) -> None:
        self.of, name = of, of.agent.removeprefix("bot-")
        self.id, self.refund = f"refund/{name}", f"refund/r-{name}"
        self.saga = f"saga/{self.id}"
        self._name = name
        self._taken: dict[str, Any] = {"refund_id": f"r-{name}", "amount_minor": AMOUNT // 2}

    def started(self, **changed: Any) -> Told:
        asked: dict[str, Any] = {
            "operation_id": self._name,
            "payment": self.of.id,
            "reason": "cancelled",
        }
        asked |= {"amount": {"minor": AMOUNT // 2, "currency": "ARS"}} | changed
        names: dict[str, Any] = {"kind": "refund", "workflow_id": self.id, "input": asked}
        [(_, event)] = self.of.started(**names)
        return [(self.saga, event)]

    def reserved(self, **changed: Any) -> Told:
        """Decided; `changed` are fields of its transfer's event."""
        requested = refund.RefundRequested(
            saga_id=self.id,
            payment=self.of.id,
            authorization_id=f"a-{self._name}",
            currency="ARS",
            requested_at=NOON,
            **self._taken,
        )
        reserved = refund.RefundReserved(
            transfer_id=f"t-{self._name}", amount_minor=AMOUNT // 2, currency="ARS"
        )
        taken = transfer.TransferRefundReserved(**self._taken).changed(**changed)
        claim = {**self.of.claim("reserve refund", 1), "saga_id": self.id}
        step = saga_step.StepCommitted(result={}, **claim)
        return [
            (self.refund, requested),
            (self.refund, reserved),
            (self.of.transfer, taken),
            (saga_step.step_name(self.id, "reserve refund"), step),
        ]

    def sent(self, key: str | None = None) -> Told:
        return [(self.refund, refund.RefundStarted(adapter="mock", key=key or self.id))]

    def executed(self) -> Told:
        return [
            (self.refund, refund.RefundExecuted(reference="R-1")),
            (self.of.transfer, transfer.TransferRefunded(**self._taken)),
        ]

    def released(self) -> Told:
        return [(self.of.transfer, transfer.TransferRefundReleased(**self._taken))]

    def completed(self, **changed: Any) -> Told:
        result: dict[str, Any] = {
            "state": "refunded",
            "refund_id": f"r-{self._name}",
            "provider_reference": "R-1",
        }
        result |= {"transfer_id": f"t-{self._name}", "amount_minor": AMOUNT // 2} | changed
        return [(self.saga, saga.SagaCompleted(result=result, ended_at=NOON))]


def _refunds(p: Payment) -> dict[str, Case]:
    back = Refund(p)
    paid = [p.captured(), back.started()]
    going = [*paid, back.reserved(), back.sent()]
    other: dict[str, dict[str, object]] = {
        "payment": {"payment": "payment/other"},
        "amount": {"amount": {"minor": 1, "currency": "ARS"}},
        "currency": {"amount": {"minor": AMOUNT // 2, "currency": "USD"}},
    }
    cases: dict[str, Case] = {
        f"a refund of another {what} than was asked for": (
            [p.captured(), back.started(**changed)],
            back.reserved(),
            "money",
            back.refund,
        )
        for what, changed in other.items()
    }
    results: dict[str, Any] = {
        "refund_id": "r-other",
        "provider_reference": "R-7",
        "state": "denied",
    }
    results |= {"amount_minor": AMOUNT, "transfer_id": "t-other"}
    cases |= {
        f"a refund with a result of another {name}": (
            [*going, back.executed()],
            back.completed(**{name: value}),
            "money",
            back.refund,
        )
        for name, value in results.items()
    }
    return cases | {
        "more held for a refund than it has": (
            paid,
            back.reserved(amount_minor=AMOUNT),
            "money",
            p.transfer,
        ),
        "money of a refund released while it may move": (
            going,
            back.released(),
            "money",
            p.transfer,
        ),
        "executed, and the transfer does not say so": (
            going,
            back.executed()[:1],
            "money",
            p.transfer,
        ),
        "refunded, and no refund says so": (going, back.executed()[1:], "money", p.transfer),
        "a refund with the key of another": (
            [*paid, back.reserved()],
            back.sent(key="refund/victim"),
            "money",
            back.refund,
        ),
        "completed while its refund may move": (going, back.completed(), "money", back.refund),
        "a refund without a saga": ([p.captured()], back.reserved()[:3], "money", back.refund),
    }


def of_refunds() -> Iterator[Lie]:
    """Lies about refunds that contradict their request, their saga or their transfer."""
    yield from of_payments(_refunds)
