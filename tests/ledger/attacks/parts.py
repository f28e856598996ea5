"""Lies about what is captured in parts, and about approvals of a smaller amount."""

from typing import Any

from ledger.aggregates import authorization, captures, transfer
from tests.ledger.attacks.lies import Case
from tests.ledger.attacks.stories import AMOUNT, Payment, Told, spend
from tests.ledger.samples import CBU, HASH

FIRST, SECOND = 30, 50
LEFT = AMOUNT - FIRST


def parts(p: Payment) -> dict[str, Case]:
    one = [*p.authorized(), *_begun(p, 1, FIRST), *_executed(p, 1), *_captured(p)]
    two = _begun(p, 2, SECOND)
    moved, refused = _executed(p, 2), [(_named(p, 2), transfer.TransferRefused(reason="no"))]
    returned: Told = [(p.hold, captures.AuthorizationPartReturned(reason="no"))]
    rest: Told = [(p.hold, captures.AuthorizationRestReleased(spend=spend(p.agent, -LEFT, 0)))]
    reduced = captures.AuthorizationReduced(
        by="user:ana", amount_minor=60, spend=spend(p.agent, -41, 0), binding=HASH
    )
    voided = p.released(authorization.AuthorizationVoided, -AMOUNT)
    other = {"amount_minor": SECOND + 1, "key": p.id, "currency": "USD"}
    cases: dict[str, Case] = {
        f"a part of another {name}": ([one], _begun(p, 2, SECOND, **{name: it}), "money", p.hold)
        for name, it in other.items()
    }
    return cases | {
        "a part that its transfer has not moved": ([one, two], _captured(p), "money", p.hold),
        "a part that the bank refused": ([one, two], [*refused, *_captured(p)], "money", p.hold),
        "returned though it moved": ([one, two], [*moved, *returned], "money", p.hold),
        "a transfer of no part": ([one], two[1:], "money", _named(p, 2)),
        "more than is left": ([one], _begun(p, 2, LEFT + 1), "transition", p.hold),
        "the first part returned": (
            [[*p.authorized(), *_begun(p, 1, FIRST)]],
            [(_named(p, 1), transfer.TransferRefused(reason="no")), *returned],
            "transition",
            p.hold,
        ),
        "more released than is left": (
            [one],
            [(p.hold, captures.AuthorizationRestReleased(spend=spend(p.agent, -LEFT - 1, 0)))],
            "transition",
            p.hold,
        ),
        "the payment itself released with the rest": (
            [one],
            [(p.hold, captures.AuthorizationRestReleased(spend=spend(p.agent, -LEFT, -1)))],
            "transition",
            p.hold,
        ),
        "all released after a part": ([[*one, *p.turned()]], voided, "transition", p.hold),
        "less approved than is released": ([p.asked()], [(p.hold, reduced)], "transition", p.hold),
        "a result of more than was captured": (
            [one],
            [*rest, *p.completed("captured", captured_minor=FIRST + 1)],
            "saga_end",
            p.hold,
        ),
    }


def _named(p: Payment, number: int) -> str:
    return p.transfer if number == 1 else f"{p.transfer}-{number}"


def _begun(p: Payment, number: int, minor: int, **changed: Any) -> Told:
    """A part and its transfer, of which `changed` are fields."""
    name = _named(p, number).removeprefix("transfer/")
    started = captures.AuthorizationPartStarted(
        transfer_id=name,
        amount_minor=minor,
        counted=spend(p.agent, minor, 1 if number == 1 else 0),
        spend=[],
        policy_version=1,
    )
    sent = transfer.TransferStarted(
        transfer_id=name,
        authorization_id=p.hold.removeprefix("authorization/"),
        saga_id=p.id,
        adapter="mock",
        key=p.id if number == 1 else f"{p.id}#{number}",
        amount_minor=minor,
        currency="ARS",
        destination=CBU,
    )
    return [(p.hold, started), (_named(p, number), sent.changed(**changed))]


def _executed(p: Payment, number: int) -> Told:
    return [(_named(p, number), transfer.TransferExecuted(reference="M-1"))]


def _captured(p: Payment) -> Told:
    return [(p.hold, captures.AuthorizationPartCaptured(provider_reference="M-1"))]
