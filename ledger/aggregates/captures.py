"""The captures of an authorization in parts: what each of them counts in the spend windows, and the
rest that none has captured. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from ledger.aggregates.aggregate import Event, State, UnknownEvent
from ledger.aggregates.spend_window import SpendChange, SpendWindow

# The windows of one holder and period: a payment is counted in one of them.
Group = tuple[str, str, str]


class CapturedPart(State):
    """A capture of a part of an authorization: minor units, and its transfer. `counted` is what it
    counts, in a window of each period; of one that was `returned` it is the rest's again. `final`:
    what is left after it is released; `update` names the update that asked for it."""

    transfer_id: str
    amount_minor: int
    counted: list[SpendChange]
    final: bool = False
    update: str | None = None
    state: Literal["started", "settled", "returned"] = "started"


class AuthorizationReduced(Event):
    """A person approves a smaller amount, which is authorized from now on: `spend` releases the
    difference, and `binding` ties later approvals to the smaller amount."""

    by: str
    amount_minor: int
    spend: list[SpendChange]
    binding: str


class AuthorizationPartStarted(Event):
    """The capture of a part began, as `AuthorizationCaptureStarted` says; the rest stays in its
    windows. `counted` is what the part counts once `spend` has moved it; `final`: the rest is
    released when it is captured; `update` names the update that asked for it."""

    transfer_id: str
    amount_minor: int
    counted: list[SpendChange]
    spend: list[SpendChange]
    policy_version: int | None
    final: bool = False
    update: str | None = None


class AuthorizationPartCaptured(Event):
    """The transfer of a part was executed and settled; what is left may be captured."""

    provider_reference: str


class AuthorizationPartReturned(Event):
    """The transfer of a later part moved no money: its amount is part of the rest again, in the
    windows in which it was counted."""

    reason: str


class AuthorizationRestReleased(Event):
    """What no part has captured was released to its windows: nothing more is captured."""

    spend: list[SpendChange]
    reason: str | None = None


def group_of(window: SpendWindow) -> Group:
    """The holder, the currency and the period of a window."""
    return window.agent_id, window.currency, window.period


def added(held: Sequence[SpendChange], *more: SpendChange) -> list[SpendChange]:
    """What is held in each window after more changes of it; nothing of a window that holds nothing
    any more."""
    totals = {change.window: change for change in held}
    for change in more:
        before = totals.get(change.window)
        totals[change.window] = before.plus(change) if before else change
    return [total for total in totals.values() if total.amount_minor or total.count]


def rest_of(reserved: Sequence[SpendChange], parts: Iterable[CapturedPart]) -> list[SpendChange]:
    """What an authorization holds in each window and no part has captured, or is capturing."""
    captured = [each for part in parts if part.state != "returned" for each in part.counted]
    return added(reserved, *(each.reversed() for each in captured))


def begun(
    reserved: Sequence[SpendChange],
    parts: Sequence[CapturedPart],
    amount_minor: int,
    into: Callable[[SpendWindow], SpendWindow],
) -> tuple[list[SpendChange], list[SpendChange]]:
    """What the capture of a part moves, and what it counts then, in the windows `into` which it
    falls. What the rest holds there already is taken first, then what it holds longest; the payment
    itself is counted with its first part."""
    groups: dict[Group, list[SpendChange]] = {}
    for held in rest_of(reserved, parts):
        groups.setdefault(group_of(held.window), []).append(held)
    spend, counted = list[SpendChange](), list[SpendChange]()
    for rest in groups.values():
        window = into(rest[0].window)
        missing = amount_minor - sum(each.amount_minor for each in rest if each.window == window)
        moved = SpendChange(window=window, amount_minor=0, count=0)
        for held in sorted(rest, key=lambda held: held.window.starts_on):
            taken = min(max(missing, 0), held.amount_minor)
            if held.window == window or not taken:
                continue
            missing -= taken
            away = SpendChange(window=held.window, amount_minor=-taken, count=-held.count)
            spend.append(away)
            moved = moved.plus(away.reversed())
        spend += [moved] if moved.amount_minor else []
        counted.append(
            SpendChange(window=window, amount_minor=amount_minor, count=0 if parts else 1)
        )
    return spend, counted


# What tells of an amount that is not that of the request, and of one that is captured in parts.
OF_PARTS = (
    AuthorizationReduced,
    AuthorizationPartStarted,
    AuthorizationPartCaptured,
    AuthorizationPartReturned,
    AuthorizationRestReleased,
)


def changed_in_parts(state: Any, event: Event) -> dict[str, Any]:
    """What one of these events changes in the state of an authorization. Raises UnknownEvent."""
    before, last = state.parts[:-1], state.parts[-1:]
    match event:
        case AuthorizationReduced():
            return {
                "amount_minor": event.amount_minor,
                "reserved": added(state.reserved, *event.spend),
                "binding": event.binding,
            }
        case AuthorizationPartStarted():
            part = CapturedPart(
                transfer_id=event.transfer_id,
                amount_minor=event.amount_minor,
                counted=event.counted,
                final=event.final,
                update=event.update,
            )
            return {
                "state": "capturing",
                "transfer_id": state.transfer_id or event.transfer_id,
                "reserved": added(state.reserved, *event.spend),
                "parts": [*state.parts, part],
            }
        case AuthorizationPartCaptured():
            captured = state.captured_minor + sum(part.amount_minor for part in last)
            return {
                "state": "captured" if captured == state.amount_minor else "approved",
                "provider_reference": state.provider_reference or event.provider_reference,
                "captured_minor": captured,
                "parts": [*before, *(part.changed(state="settled") for part in last)],
            }
        case AuthorizationPartReturned():
            returned = [part.changed(state="returned") for part in last]
            return {"state": "approved", "parts": [*before, *returned]}
        case AuthorizationRestReleased():
            reserved = added(state.reserved, *event.spend)
            return {"state": "captured", "reserved": reserved, "reason": event.reason}
        case _:
            raise UnknownEvent(f"{type(event).__name__} is of no part of an authorization")
