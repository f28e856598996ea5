"""Says what a saga is about, from its recorded request: amount, payee, description, or the change.

Read as it was written, never validated anew: what was admitted once may not be admitted today.
Payee and description are personal data: they are read from the ledger and never go to Temporal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.aggregates.amounts import amount_text

# What a person sees of a long change.
_MOST = 20


def facts_of(kind: str, request: Mapping[str, Any], planned: Sequence[str] = ()) -> dict[str, str]:
    """The facts of a request by their names, in the order in which a person needs them. `planned`:
    the operations that a change or a rollback has on record, in place of the resources that its
    request names."""
    facts = _FACTS.get(kind, _other)(_part(request))
    if planned:
        named = ("present", "absent", "resources")
        facts = {name: text for name, text in facts.items() if name not in named}
        facts["plan"] = _listed(list(planned))
    return {name: text for name, text in facts.items() if text}


def amount_facts(hold: Mapping[str, Any] | None) -> dict[str, str]:
    """What is authorized of a payment, captured, left and refunded of it, and how many of the
    people that it needs approved, from `amounts_of`."""
    if hold is None:
        return {}
    amount, captured, currency = hold["amount_minor"], hold["captured_minor"], hold["currency"]
    left, refunded = amount - captured, hold["refunded_minor"]
    approved = ", ".join(map(str, _parts(hold["approved_by"])))
    needed = hold["approvals"] if isinstance(hold["approvals"], int) else 1
    is_pending = hold["state"] == "pending_approval" and approved
    facts = {
        "authorized": _amount(amount, currency),
        "captured": _amount(captured, currency),
        "left": "" if hold["state"] == "captured" else _amount(left, currency),
        "refunded": _amount(refunded, currency) if refunded else "",
        "approved by": f"{approved}, of {needed} people" if is_pending else "",
    }
    return {name: text for name, text in facts.items() if text}


def case_facts(case: Mapping[str, Any]) -> dict[str, str]:
    """The facts of a case by their names, from its row."""
    entry = f"{case['entry']}, {case['direction']}" if case["entry"] is not None else ""
    facts = {
        "transfer": str(case["transfer_id"] or ""),
        "entry": entry,
        "booked": _amount(case["booked_minor"], case["booked_currency"]),
        "recorded": _amount(case["recorded_minor"], case["recorded_currency"]),
        "reference": str(case["reference"] or ""),
        "end-to-end id": str(case["end_to_end_id"] or ""),
        "statement": str(case["statement_id"]),
    }
    return {name: text for name, text in facts.items() if text}


def _payment(request: Mapping[str, Any]) -> dict[str, str]:
    amount = _part(request.get("amount"))
    return {
        "amount": _amount(amount.get("minor"), amount.get("currency")),
        "payee": ", ".join(str(value) for value in _part(request.get("destination")).values()),
        "description": str(request.get("description") or ""),
        "mandate": str(request.get("mandate") or ""),
        "purpose": str(request.get("purpose") or ""),
        "agent": str(request.get("agent_id") or ""),
    }


def _refund(request: Mapping[str, Any]) -> dict[str, str]:
    amount = _part(request.get("amount"))
    return {
        "refund of": str(request.get("payment") or ""),
        "amount": _amount(amount.get("minor"), amount.get("currency")) or "all that is left",
        **_asked(request),
    }


def _policy(request: Mapping[str, Any]) -> dict[str, str]:
    currency = request.get("currency")
    return {
        "policy of": str(request.get("agent_id") or ""),
        "at most": _amount(request.get("max_per_transaction_minor"), currency),
        "daily limit": _amount(request.get("daily_limit_minor"), currency),
        "approval above": _amount(request.get("approval_threshold_minor"), currency),
        **_asked(request),
    }


def _change(request: Mapping[str, Any]) -> dict[str, str]:
    items = map(_part, _parts(request.get("present")))
    present = [f"{item.get('name')} ({item.get('kind')})" for item in items]
    return {
        "environment": str(request.get("environment") or ""),
        "present": _listed(present),
        "absent": _listed([str(name) for name in _parts(request.get("absent"))]),
        **_asked(request),
    }


def _rollback(request: Mapping[str, Any]) -> dict[str, str]:
    return {
        "environment": str(request.get("environment") or ""),
        "back to": str(request.get("to") or ""),
        "resources": _listed([str(name) for name in _parts(request.get("resources"))]),
        **_asked(request),
    }


def _other(request: Mapping[str, Any]) -> dict[str, str]:
    does = " ".join(str(request[name]) for name in ("action", "agent_id") if request.get(name))
    return {"request": does, **_asked(request)}


_FACTS = {
    **{"payment": _payment, "refund": _refund, "policy": _policy},
    **{"change": _change, "rollback": _rollback},
}


def _asked(request: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(request.get(name) or "") for name in ("actor", "reason")}


def _part(value: Any) -> Mapping[str, Any]:
    """A part of a request that is an object; of one that is not, nothing can be said."""
    return value if isinstance(value, Mapping) else {}


def _parts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _listed(names: list[str]) -> str:
    more = [f"and {len(names) - _MOST} more"] if len(names) > _MOST else []
    return ", ".join([*names[:_MOST], *more])


def _amount(minor: Any, currency: Any) -> str:
    if not isinstance(minor, int):
        return ""
    return amount_text(minor, str(currency))
