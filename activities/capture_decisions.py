"""The decisions on captures: whole or in parts, each in the windows of its moment, and on what is
left. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from activities.asked_again import ask_again, asked_by
from activities.authorization_decisions import needs_approval, require
from ledger.aggregates.aggregate import Event
from ledger.aggregates.authorization import (
    AuthorizationCaptured,
    AuthorizationCaptureStarted,
    AuthorizationState,
    authorization_name,
    evolve,
)
from ledger.aggregates.captures import (
    AuthorizationPartCaptured,
    AuthorizationPartReturned,
    AuthorizationPartStarted,
    AuthorizationRestReleased,
    begun,
)
from ledger.aggregates.policy import PolicyState, policy_name
from ledger.aggregates.policy_evaluation import Windows, limits_of, windows_at
from ledger.aggregates.saga import SagaWaitStarted, saga_name
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.errors import StateRefused
from ledger.store.decision import Decision, Loaded

Json = dict[str, Any]
Begun = AuthorizationCaptureStarted | AuthorizationPartStarted


def capture(
    loaded: Loaded,
    authorization: AuthorizationState | None,
    transfer_id: str,
    amount_minor: int,
    *,
    final: bool = False,
    update: str | None = None,
) -> Decision[Begun]:
    """The begin of a capture, if the policy of now allows it: of all, or of a part of what is left.
    What is captured moves to the windows of now: a limit counts what moves in its window.

    The policy is asked about the whole authorization, its windows about what moves. Raises
    StateRefused, with the first reason: `repeated` where the same update has begun a part before.
    """
    for part in authorization.parts if authorization and update else ():
        if part.update == update:
            raise StateRefused(f"can't capture again: its part is {part.state}", "repeated")
    require(authorization, "approved", "capture")
    assert authorization is not None
    if authorization.capture_until is not None and loaded.now >= authorization.capture_until:
        raise StateRefused("the deadline for the capture has passed", "capture_expired")
    if not 0 < amount_minor <= authorization.left_minor:
        left = authorization.left_minor
        raise StateRefused(f"can't capture: {left} minor units are left", "not_allowed")
    policy: PolicyState | None = loaded[policy_name(authorization.agent_id)]
    windows = windows_at(policy, asked_by(authorization), loaded.now) if policy else None
    started: Begun
    if authorization.parts or amount_minor < authorization.amount_minor:
        begins, already = _part(authorization, transfer_id, amount_minor, windows or {})
        started = begins.changed(final=final, update=update)
    else:
        started, already = _whole(authorization, transfer_id, windows or {}), None
    again = ask_again(loaded, authorization, already)
    if not again.reasons and policy is not None and needs_approval(authorization, policy):
        again = replace(again, reasons=["needs_approval"])
    if again.reasons or policy is None or windows is None:
        raise StateRefused(f"can't capture: {again.words}", again.reasons[0])
    started = started.changed(policy_version=again.version)
    events = [(authorization_name(authorization.authorization_id), started)]
    return Decision(started, events, limits_of(policy, windows))


def _now(windows: Windows, window: SpendWindow) -> SpendWindow:
    """The window of now in which falls what another window of the same period holds. The budget of
    a mandate has no next window."""
    return next((now for period, now in windows.items() if period == window.period), window)


def _whole(
    authorization: AuthorizationState, transfer_id: str, windows: Windows
) -> AuthorizationCaptureStarted:
    spend: list[SpendChange] = []
    for held in authorization.reserved:
        now = _now(windows, held.window)
        if now != held.window:
            spend += [held.reversed(), held.changed(window=now)]
    return AuthorizationCaptureStarted(transfer_id=transfer_id, spend=spend)


def _part(
    authorization: AuthorizationState, transfer_id: str, amount_minor: int, windows: Windows
) -> tuple[AuthorizationPartStarted, list[SpendChange]]:
    """The begin of a part, and what of the whole authorization needs no room in its windows."""
    spend, counted = begun(
        *(authorization.reserved, authorization.parts, amount_minor),
        into=lambda window: _now(windows, window),
    )
    moved = {change.window: change for change in spend if change.amount_minor > 0}
    whole = [each.changed(amount_minor=authorization.amount_minor, count=1) for each in counted]
    already = [
        each.plus(moved[each.window].reversed()) if each.window in moved else each for each in whole
    ]
    started = AuthorizationPartStarted(
        transfer_id=transfer_id,
        amount_minor=amount_minor,
        counted=counted,
        spend=spend,
        policy_version=None,
    )
    return started, already


def settled(authorization: AuthorizationState, reference: str, now: datetime) -> Decision[Json]:
    """The end of a capture whose transfer was executed. With something left, unless that was the
    final part, the saga waits for the next capture."""
    name = authorization_name(authorization.authorization_id)
    if not authorization.parts:
        captured = AuthorizationCaptured(provider_reference=reference)
        return Decision({"state": "captured"}, [(name, captured)])
    after = evolve(authorization, event := AuthorizationPartCaptured(provider_reference=reference))
    events: list[tuple[str, Event]] = [(name, event)]
    if after.state == "approved" and after.parts[-1].final:
        events += rest_released(after, None).events
        return Decision({"state": "captured"}, events)
    if after.state == "approved":
        events.append(waits_for_capture(after, now))
    return Decision({"state": after.state}, events)


def part_returned(
    authorization: AuthorizationState, reason: str, now: datetime
) -> list[tuple[str, Event]]:
    """The events of a later part whose transfer moved nothing: it may be captured again."""
    name = authorization_name(authorization.authorization_id)
    returned = AuthorizationPartReturned(reason=reason)
    return [(name, returned), waits_for_capture(authorization, now)]


def rest_released(authorization: AuthorizationState, reason: str | None) -> Decision[Json]:
    """The release of what is left after some was captured. Raises StateRefused."""
    require(authorization, "approved", "release what is left")
    if not authorization.captured_minor:
        raise StateRefused("can't release what is left: nothing was captured", "not_allowed")
    back = [held.reversed() for held in authorization.rest]
    released = AuthorizationRestReleased(spend=back, reason=reason)
    name = authorization_name(authorization.authorization_id)
    return Decision({"state": "captured"}, [(name, released)])


def waits_for_capture(authorization: AuthorizationState, since: datetime) -> tuple[str, Event]:
    """The wait of a saga for the next capture by its agent."""
    wait = SagaWaitStarted(
        waits_for="capture",
        waits_on=f"agent:{authorization.agent_id}",
        since=since,
        until=authorization.capture_until,
    )
    return saga_name(authorization.saga_id), wait
