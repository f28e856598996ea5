"""The table of starts that are malformed or misdirected, for every workflow of the contract."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pydantic

from tests.foreign.foreign import raw
from tests.support.driver import CBU, USER, Json, new_id
from workflows.contract.kinds import INFRASTRUCTURE, KINDS, PAYMENTS, SWEEPS
from workflows.contract.sweep import RecoveryRequest, SweepRequest

# What stands in each bad value, and must never come out again.
CANARY = "canary-4242"
LOST = f"payment/{CANARY}"
# A field that is called so is told as another field: it may itself be an account number.
_NO_NAME = f"4{CANARY}"


@dataclass(frozen=True)
class Workflow:
    """A workflow of the contract: a start of it that is good, and the model of its input."""

    name: str
    queue: str
    prefix: str
    good: Json
    model: type[pydantic.BaseModel]

    def workflow_id(self, name: str) -> str:
        """The workflow id of a start that is good but for its input."""
        return {"sweep": f"sweep-{name}", "recovery": f"recovery/{LOST}/1"}.get(
            self.prefix, f"{self.prefix}/{name}"
        )


GOOD: dict[str, Json] = {
    "payment": {
        "agent_id": "expense-bot",
        "amount": {"minor": 500, "currency": "ARS"},
        "destination": {"cbu": CBU},
    },
    "agent": {"action": "register", "agent_id": "expense-bot", "user": "user:u-17", **USER},
    "policy": {
        "agent_id": "expense-bot",
        "currency": "ARS",
        "max_per_transaction_minor": 1,
        "daily_limit_minor": 1,
        "approval_threshold_minor": 1,
        **USER,
    },
    "mandate": {"action": "grant", "mandate": "m", "agent_id": "b", "currency": "ARS", **USER},
    "refund": {**USER, "payment": "nothing", "reason": "sent twice"},
    "key": {"action": "register", "holder": "user:u-17", "public_key": "5f" * 32, **USER},
    "change": {**USER, "absent": ["old-db"]},
    "rollback": {**USER, "to": "before:nothing"},
    "reconcile": {**USER, "statement": {"name": "november.xml", "sha256": "5f" * 32}},
    "case": {**USER, "case_id": "5f" * 16, "evidence": "ticket 17"},
}
SAGAS = [
    Workflow(kind.workflow, kind.queue.default, kind.name, GOOD[kind.name], kind.request)
    for kind in KINDS
]
WORKFLOWS = [
    *SAGAS,
    Workflow("SweepWorkflow", SWEEPS.default, "sweep", {}, SweepRequest),
    Workflow(
        "RecoverySaga",
        SWEEPS.default,
        "recovery",
        {"saga_id": LOST, "epoch": 1},
        RecoveryRequest,
    ),
]
QUEUES = (PAYMENTS.default, INFRASTRUCTURE.default, SWEEPS.default)


@dataclass(frozen=True)
class Case:
    """A start, and the failure that it ends with: its type and the field that it names.

    `update` is the name and the arguments of an update that comes with the start.
    """

    what: str
    type: str
    queue: str
    workflow_id: str
    arguments: list[Any]
    failure: str
    names: str
    update: tuple[str, list[Any]] | None = None
    told_in_start: list[str] = field(default_factory=list)


def every_case() -> list[Case]:
    """Made anew for each run: operation ids are used once."""
    return [
        *(case for each in WORKFLOWS for case in (*_wrong_inputs(each), *_wrong_fields(each))),
        *(case for each in WORKFLOWS for case in _wrong_addresses(each)),
        *(
            _unknown_type(name, queue)
            for queue in QUEUES
            for name in ("PaymentSagas", "paymentSaga")
        ),
        *(case for each in SAGAS for case in (*_wrong_updates(each), *_repeats_of_nothing(each))),
    ]


def _request(workflow: Workflow, name: str) -> Json:
    has_id = workflow in SAGAS
    return {**({"operation_id": name} if has_id else {}), **workflow.good}


def _bad(workflow: Workflow, what: str, arguments: list[Any], names: str) -> Case:
    where = workflow.workflow_id(new_id("bad"))
    return Case(what, workflow.name, workflow.queue, where, arguments, "InvalidInput", names)


def _wrong_inputs(workflow: Workflow) -> Iterator[Case]:
    good = json.dumps(_request(workflow, "good")).encode()
    inputs: dict[str, list[Any]] = {
        "no input": [],
        "null": [None],
        "a number": [424242],
        "a text": [CANARY],
        "a list": [[CANARY]],
        "two arguments": [{}, CANARY],
        "no JSON": [raw(b'{"operation_id": canary-4242')],
        "half of JSON": [raw(good[:-1])],
        "no UTF-8": [raw(b'{"operation_id": "canary-4242\xff"}')],
        "bytes": [raw(b"canary-4242", "binary/plain")],
        "an unknown encoding": [raw(b"canary-4242", "binary/encrypted")],
    }
    for what, arguments in inputs.items():
        yield _bad(workflow, what, arguments, "input")


def _wrong_fields(workflow: Workflow) -> Iterator[Case]:
    good = _request(workflow, new_id("bad"))
    for name, known in workflow.model.model_fields.items():
        wrong = [CANARY] if "dict" in str(known.annotation) else {_NO_NAME: CANARY}
        told = {"amount": "amount.", "destination": "destination."}.get(name, name)
        yield _bad(workflow, f"{name} of a wrong type", [{**good, name: wrong}], told)
        if known.is_required():
            left = {field: value for field, value in good.items() if field != name}
            yield _bad(workflow, f"no {name}", [left], name)
    yield _bad(workflow, "an unknown field", [{**good, "cbu": CANARY}], "cbu")


def _wrong_addresses(workflow: Workflow) -> Iterator[Case]:
    for queue in QUEUES:
        if queue != workflow.queue:
            name = new_id("bad")
            where, request = workflow.workflow_id(name), _request(workflow, name)
            yield Case(
                f"on {queue}",
                workflow.name,
                queue,
                where,
                [request],
                "InvalidInput",
                "task_queue",
                told_in_start=[queue, workflow.queue, workflow.name],
            )
    request = _request(workflow, new_id("bad"))
    for what, where in {
        "the id of a stranger": CANARY,
        "the id of another kind": f"refund/{CANARY}",
        "another id than the operation's": f"{workflow.prefix}/{CANARY}",
        "an id without the operation's": f"{workflow.prefix}/",
    }.items():
        yield Case(
            f"under {what}",
            workflow.name,
            workflow.queue,
            where + ("" if CANARY in where else new_id(" ")),
            [request],
            "InvalidInput",
            "workflow_id",
        )


def _repeats_of_nothing(workflow: Workflow) -> Iterator[Case]:
    name = new_id("bad")
    request, saga = _request(workflow, name), f"{workflow.prefix}/{name}"
    for what, where in (
        ("as a repeat of an unknown saga", f"repeat/{saga}/1"),
        ("as a repeat of another saga", f"repeat/{workflow.prefix}/{CANARY}/1"),
        ("as a repeat without an attempt", f"repeat/{saga}"),
    ):
        yield Case(
            what, workflow.name, workflow.queue, where, [request], "InvalidInput", "workflow_id"
        )


def _unknown_type(name: str, queue: str) -> Case:
    return Case(
        f"of the type {name}",
        name,
        queue,
        f"payment/{new_id('bad')}",
        [{}],
        "InvalidInput",
        "workflow_type",
        told_in_start=[queue],
    )


def _wrong_updates(workflow: Workflow) -> Iterator[Case]:
    by = {"actor": "user:u-17"}
    updates: dict[str, tuple[tuple[str, list[Any] | None], str, str]] = {
        "and a submit of another request": (("submit", None), "operation_id_reused", ""),
        "and a submit without an argument": (("submit", []), "InvalidInput", "input"),
        "and a submit of a text": (("submit", [CANARY]), "InvalidInput", "input"),
        "and a submit that is no JSON": (("submit", [raw(b"{canary")]), "InvalidInput", "input"),
        "and a submit of an unknown field": (("submit", [{_NO_NAME: 1}]), "InvalidInput", ""),
        "and an update of a wrong name": (("sumbit", [{}]), "InvalidInput", "update"),
        "and a cancel without an actor": (("cancel", [{}]), "InvalidInput", "actor"),
        "and a retry of no step": (
            ("retry", [{**by, "step": CANARY}]),
            "not_allowed",
            "",
        ),
    }
    for what, (update, failure, names) in updates.items():
        yield _with_start(workflow, what, update, failure, names)
    decisions = ("approve", "reject", "capture") if workflow.prefix == "payment" else ()
    for verb in decisions:
        yield _with_start(workflow, f"and {verb}", (verb, [by]), "not_allowed", "")
    good = _request(workflow, new_id("bad"))
    bad = {**good, "operation_id": [CANARY]}
    for what, start, name in (
        ("with a bad input, and a submit", bad, "operation_id"),
        ("without an input, and a submit", None, "input"),
    ):
        yield Case(
            what,
            workflow.name,
            workflow.queue,
            f"{workflow.prefix}/{good['operation_id']}",
            [] if start is None else [start],
            "InvalidInput",
            name,
            update=("submit", [good]),
        )


def _with_start(
    workflow: Workflow, what: str, update: tuple[str, list[Any] | None], failure: str, names: str
) -> Case:
    name = new_id("bad")
    request, (verb, arguments) = _request(workflow, name), update
    if arguments is None:
        arguments = [{**request, "metadata": {}, **_another(workflow)}]
    return Case(
        what,
        workflow.name,
        workflow.queue,
        f"{workflow.prefix}/{name}",
        [request],
        failure,
        names,
        update=(verb, arguments),
    )


def _another(workflow: Workflow) -> Json:
    """What makes another request of a good one."""
    if workflow.prefix == "payment":
        return {"amount": {"minor": 600, "currency": "ARS"}}
    return {"reason": "another one"}
