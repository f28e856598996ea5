"""Payments and changes as their engine writes them, each under a name of its own, to lie about."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ledger.aggregates import authorization, resource, saga, saga_step, transfer
from ledger.aggregates.aggregate import Event
from ledger.aggregates.spend_window import SpendChange
from ledger.database import Database
from ledger.store.commit import Author, Decision, Ref, commit
from tests.ledger.samples import CBU, HASH, NOON
from tests.ledger.writing import window

# What is written, in order: aggregate and event.
Told = list[tuple[str, Event]]
AMOUNT = 100
FORGER = Author("user:forger")


def spend(agent: str, amount_minor: int = AMOUNT, count: int = 1) -> list[SpendChange]:
    return [SpendChange(window=window(agent), amount_minor=amount_minor, count=count)]


class Payment:
    """The events of payment/{n}, by the aggregate that they are of."""

    def __init__(self, name: str) -> None:
        self.id, self.agent = f"payment/{name}", f"bot-{name}"
        self.saga, self.hold = f"saga/{self.id}", f"authorization/a-{name}"
        self.transfer = f"transfer/t-{name}"
        self._name = name

    def step(self, name: str) -> str:
        return saga_step.step_name(self.id, name)

    def started(self, **changed: Any) -> Told:
        event = saga.SagaStarted(
            kind="payment",
            operation_id=self._name,
            input_hash=HASH,
            input={
                "operation_id": self._name,
                "agent_id": self.agent,
                "amount": {"minor": AMOUNT, "currency": "ARS"},
                "destination": {"cbu": CBU},
            },
            namespace="default",
            namespace_id="namespace-1",
            task_queue="amends-payments",
            workflow_id=self.id,
            run_id="run-1",
            started_at=NOON,
        )
        return [(self.saga, event.changed(**changed))]

    def claim(self, name: str, ordinal: int, **changed: Any) -> dict[str, Any]:
        undo = saga_step.UndoPlan(activity=f"undo {name}", request={}, outside=False)
        claim = {"saga_id": self.id, "name": name, "ordinal": ordinal, "epoch": 1}
        claim |= {"activity": name, "input_hash": HASH, "undo": undo}
        return claim | changed

    def took(self, name: str, ordinal: int, **changed: Any) -> Told:
        event = saga_step.StepCommitted(result={}, **self.claim(name, ordinal, **changed))
        return [(self.step(name), event)]

    def requested(self) -> Told:
        event = authorization.AuthorizationRequested(
            authorization_id=f"a-{self._name}",
            saga_id=self.id,
            agent_id=self.agent,
            amount_minor=AMOUNT,
            currency="ARS",
            destination=CBU,
            description="rent",
            requested_at=datetime.now(UTC),
            policy_version=1,
            inputs={},
        )
        return [(self.hold, event)]

    def approved(self, **changed: Any) -> Told:
        event = authorization.AuthorizationApproved(
            automatic=True, spend=spend(self.agent), binding=HASH
        )
        return [(self.hold, event.changed(**changed))]

    def authorized(self) -> Told:
        """Opened, and approved by the policy."""
        return [
            *self.started(),
            *self.requested(),
            *self.approved(),
            *self.took("authorize", 1),
        ]

    def denied(self) -> Told:
        """Opened, and denied by the policy."""
        denied = authorization.AuthorizationDenied(reason="no_policy", reasons=["no_policy"])
        step = self.took("authorize", 1)
        return [*self.started(), *self.requested(), (self.hold, denied), *step]

    def asked(self) -> Told:
        """Opened; a person has to approve."""
        wanted = authorization.ApprovalRequested(
            spend=spend(self.agent), expires_at=NOON, binding=HASH
        )
        step = self.took("authorize", 1)
        return [*self.started(), *self.requested(), (self.hold, wanted), *step]

    def capturing(self, **changed: Any) -> Told:
        """Its transfer runs; `changed` are fields of the transfer."""
        begun = transfer.TransferStarted(
            transfer_id=f"t-{self._name}",
            authorization_id=f"a-{self._name}",
            saga_id=self.id,
            adapter="mock",
            key=self.id,
            amount_minor=AMOUNT,
            currency="ARS",
            destination=CBU,
        )
        claim = self.claim("transfer", 2)
        return [
            *self.authorized(),
            *self.capture_started(),
            (self.transfer, begun.changed(**changed)),
            (self.step("transfer"), saga_step.StepStarted(deadline=NOON, facts=None, **claim)),
        ]

    def capture_started(self) -> Told:
        started = authorization.AuthorizationCaptureStarted(transfer_id=f"t-{self._name}")
        return [(self.hold, started)]

    def executed(self, **changed: Any) -> Told:
        """Its money has moved, and it is not settled."""
        return [
            *self.capturing(**changed),
            (self.transfer, transfer.TransferExecuted(reference="M-1")),
            (self.step("transfer"), saga_step.StepDone(result={})),
        ]

    def settled(self, reference: str = "M-1") -> Told:
        captured = authorization.AuthorizationCaptured(provider_reference=reference)
        return [
            (self.hold, captured),
            *self.took("settle", 3, undo=None),
            *self.completed("captured", provider_reference=reference),
        ]

    def captured(self, **changed: Any) -> Told:
        return [*self.executed(**changed), *self.settled()]

    def result(self, state: str) -> dict[str, Any]:
        """As the authorization stands then; `transfer_id` only of a payment that was begun."""
        begun = {"transfer_id": f"t-{self._name}"} if state in ("captured", "compensated") else {}
        if state == "captured":
            begun |= {"provider_reference": "M-1"}
        return {"state": state, "authorization_id": f"a-{self._name}", **begun}

    def completed(self, state: str, **changed: Any) -> Told:
        result = self.result(state) | changed
        return [(self.saga, saga.SagaCompleted(result=result, ended_at=NOON))]

    def turned(self, epoch: int = 2) -> Told:
        return [(self.saga, saga.SagaCompensating(epoch=epoch, cause="cancelled"))]

    def undone(self, *names: str) -> Told:
        return [(self.step(name), saga_step.StepUndone(note="undone")) for name in names]

    def released(
        self,
        end: type[authorization.AuthorizationReleased] = authorization.AuthorizationVoided,
        amount_minor: int = -AMOUNT,
        count: int = -1,
    ) -> Told:
        return [(self.hold, end(spend=spend(self.agent, amount_minor, count)))]

    def ended(
        self, end: type[saga.SagaCompensated | saga.SagaFailed], state: str, **changed: Any
    ) -> Told:
        return [(self.saga, end(result=self.result(state) | changed, ended_at=NOON))]

    def compensated(self) -> Told:
        """Taken back before its money moved."""
        return [
            *self.authorized(),
            *self.turned(),
            *self.released(),
            *self.undone("authorize"),
            *self.ended(saga.SagaCompensated, "voided"),
        ]


class Change:
    """The events of change/{n}, which makes one resource."""

    def __init__(self, name: str) -> None:
        self.id, self.resource = f"change/{name}", f"resource/dev/{name}"
        self._name, self._payment = name, Payment(name)
        self.saga = f"saga/{self.id}"

    def started(self) -> Told:
        asked = {"operation_id": self._name}
        names = {"kind": "change", "workflow_id": self.id, "input": asked}
        [(_, event)] = self._payment.started(**names)
        return [(self.saga, event)]

    def claimed(self, by: str | None = None) -> Told:
        begun = resource.ResourceChangeStarted(
            environment="dev",
            name=self._name,
            kind="postgres.database",
            change=by or self.id,
            action="create",
        )
        return [(self.resource, begun)]

    def made(self, by: str | None = None) -> Told:
        created = resource.ResourceCreated(
            change=by or self.id, kind="postgres.database", spec={}, depends_on=[], outputs={}
        )
        return [(self.resource, created)]

    def compensated(self, **result: Any) -> Told:
        """Undone, as its steps and its result say."""
        told = {"state": "compensated", "residuals": []} | result
        return [
            (self.saga, saga.SagaCompensating(epoch=2, cause="cancelled")),
            (saga_step.step_name(self.id, "apply"), saga_step.StepUndone(note="undone")),
            (self.saga, saga.SagaCompensated(result=told, ended_at=NOON)),
        ]

    def ended(self) -> Told:
        claim = {**self._payment.claim("apply", 1), "saga_id": self.id}
        done = saga_step.StepCommitted(result={}, **claim)
        completed = saga.SagaCompleted(result={"state": "applied"}, ended_at=NOON)
        return [(saga_step.step_name(self.id, "apply"), done), (self.saga, completed)]


async def tell(database: Database, told: Iterable[tuple[str, Event]]) -> None:
    """Write it in one commit."""
    events = list(told)
    refs = [Ref(name) for name in dict(events)]
    await commit(database, FORGER, refs, lambda _: Decision(None, events))
