"""Simulates a policy over the log: which decisions of the past it would have made otherwise.

The evaluator is that of the deciding commit, and takes request by request in the order of the log.
The same policy over the same log gives the same answer.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger.aggregates.agent import AgentState
from ledger.aggregates.captures import CapturedPart, added, begun, rest_of
from ledger.aggregates.mandate_evaluation import REASONS as OF_MANDATES
from ledger.aggregates.policy import PolicyState
from ledger.aggregates.policy_evaluation import Asked, denials, verdict, windows_at
from ledger.aggregates.spend_window import SpendChange, SpendWindow
from ledger.database import Database
from ledger.read.cursors import reading, stretches

# What is decided, given back, or arrives after its end, of one agent, from the first event on:
# earlier spend stands in the windows of now. The verdict follows its request in the same commit.
_DECISIONS = """
    SELECT event.aggregate, event.event_type, event."timestamp", event.payload,
        event.payload->'inputs'->'agent' AS agent
    FROM (
        SELECT aggregate_id FROM ledger.authorizations WHERE agent_id = %(agent_id)s
        UNION ALL SELECT moved.aggregate_id FROM ledger.transfers AS moved
        JOIN ledger.authorizations AS asked USING (authorization_id)
        WHERE asked.agent_id = %(agent_id)s AND moved.state = 'arrived'
    ) AS told
    JOIN ledger.event_log AS event USING (aggregate_id)
    WHERE event."timestamp" < %(until)s
        AND event.event_type = ANY(%(types)s)
    ORDER BY event."timestamp", event.position"""
UNSIGNED = ("missing_signature", "invalid_signature")
_VERDICTS = {
    "AuthorizationDenied": "denied",
    "ApprovalRequested": "pending_approval",
    "AuthorizationApproved": "approved",
}
_RELEASES = (
    *("AuthorizationRejected", "AuthorizationExpired"),
    *("AuthorizationVoided", "AuthorizationCompensated"),
)
_PARTS = (
    *("AuthorizationReduced", "AuthorizationPartStarted", "AuthorizationPartReturned"),
    "AuthorizationRestReleased",
)
_TYPES = [
    *("AuthorizationRequested", "AuthorizationCaptureStarted", "TransferArrived"),
    *(*_PARTS, *_VERDICTS, *_RELEASES),
]


@dataclass(frozen=True)
class Differing:
    """A decision that the policy would have made otherwise: minor units of `currency`; `was` and
    `would` are `approved`, `pending_approval` or `denied`, with all reasons of a denial."""

    authorization: str
    saga_id: str
    requested_at: datetime
    amount_minor: int
    currency: str
    was: str
    was_reasons: list[str]
    would: str
    would_reasons: list[str]


@dataclass
class Simulated:
    """The outcome of a simulation: the decisions compared, and those that differ."""

    decisions: int = 0
    differing: list[Differing] = field(default_factory=list)


@dataclass
class _Open:
    asked: Asked
    saga_id: str
    agent: AgentState | None
    at: datetime
    # Whether no person would have been asked, so that a no, or silence, of one counts for nothing.
    by_policy: bool = False
    # What it holds in the windows of the simulation, and the captures of its parts.
    held: list[SpendChange] = field(default_factory=list)
    parts: list[CapturedPart] = field(default_factory=list)


class _Simulation:
    def __init__(self, policy: PolicyState, since: datetime) -> None:
        self._policy, self._since = policy, since
        self._windows: dict[SpendWindow, SpendChange] = {}
        self._open: dict[str, _Open] = {}
        self.found = Simulated()

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            name, payload = event["aggregate"], event["payload"]
            match event["event_type"]:
                case "AuthorizationRequested":
                    self._open[name] = _asked(event)
                case "AuthorizationCaptureStarted":
                    self._move(name, event["timestamp"])
                case "TransferArrived":
                    self._arrive(payload["spend"][:1], event["timestamp"])
                case told if told in _PARTS:
                    if name in self._open and self._open[name].held:
                        self._in_parts(self._open[name], told, payload, event["timestamp"])
                case told if told in _VERDICTS:
                    # The yes of a person is not the policy's.
                    if name in self._open and payload.get("automatic", True):
                        self._decide(name, _VERDICTS[told], payload)
                case told:
                    if payload.get("spend") and name in self._open:
                        self._end(name, told, payload.get("reason"))

    def _decide(self, name: str, was: str, payload: dict[str, Any]) -> None:
        asked = self._open[name]
        told = payload.get("reasons") or ([payload["reason"]] if was == "denied" else [])
        reasons = [
            # No policy makes up for a signature.
            *(reason for reason in told if reason in UNSIGNED),
            *denials(asked.asked, asked.agent, self._policy, self._spent, asked.at),
            # Nor for a mandate.
            *(reason for reason in told if reason in OF_MANDATES),
        ]
        would = verdict(asked.asked, self._policy, reasons)
        # Before the time asked for, the spend is what it was.
        counts = was if asked.at < self._since else would
        if counts != "denied":
            self._hold(asked, asked.at)
        if asked.at < self._since:
            return
        asked.by_policy = was == "pending_approval" and would == "approved"
        self.found.decisions += 1
        if (was, told) != (would, reasons) and (was != would or told[:1] != reasons[:1]):
            self.found.differing.append(
                Differing(
                    authorization=name,
                    saga_id=asked.saga_id,
                    requested_at=asked.at,
                    amount_minor=asked.asked.amount_minor,
                    currency=asked.asked.currency,
                    was=was,
                    was_reasons=told,
                    would=would,
                    would_reasons=reasons,
                )
            )

    def _end(self, name: str, told: str, reason: str | None) -> None:
        by_person = told == "AuthorizationRejected" or reason == "approval_expired"
        if not (by_person and self._open[name].by_policy):
            asked = self._open.pop(name)
            self._change(asked, *(each.reversed() for each in asked.held))

    def _move(self, name: str, at: datetime) -> None:
        if (asked := self._open.get(name)) is None:
            return
        for held in asked.held:
            now = self._windows_at(asked, at).get(held.window.period, held.window)
            self._change(asked, held.reversed(), held.changed(window=now))

    def _arrive(self, spend: list[dict[str, Any]], at: datetime) -> None:
        """Money that moved after its payment was undone counts, whatever the policy."""
        for told in spend:
            agent_id, currency = self._policy.agent_id, told["window"]["currency"]
            moved = Asked(agent_id, told["amount_minor"], currency, destination="")
            for window in (windows_at(self._policy, moved, at) or {}).values():
                change = SpendChange(window=window, amount_minor=moved.amount_minor, count=1)
                self._windows[window] = self._spent(window).plus(change)

    def _in_parts(self, asked: _Open, told: str, payload: dict[str, Any], at: datetime) -> None:
        match told:
            case "AuthorizationReduced" if not asked.by_policy:
                less = payload["amount_minor"] - asked.held[0].amount_minor
                self._change(
                    asked, *(each.changed(amount_minor=less, count=0) for each in asked.held)
                )
            case "AuthorizationPartStarted":
                amount, windows = payload["amount_minor"], self._windows_at(asked, at)
                spend, counted = begun(
                    *(asked.held, asked.parts, amount),
                    into=lambda window: windows.get(window.period, window),
                )
                self._change(asked, *spend)
                asked.parts.append(CapturedPart(payload["transfer_id"], amount, counted))
            case "AuthorizationPartReturned" if asked.parts:
                asked.parts.append(asked.parts.pop().changed(state="returned"))
            case "AuthorizationRestReleased":
                rest = rest_of(asked.held, asked.parts)
                self._change(asked, *(each.reversed() for each in rest))

    def _windows_at(self, asked: _Open, at: datetime) -> Mapping[str, SpendWindow]:
        windows = windows_at(self._policy, asked.asked, at) or {}
        return {str(period): window for period, window in windows.items()}

    def _hold(self, asked: _Open, at: datetime) -> None:
        amount = asked.asked.amount_minor
        windows = self._windows_at(asked, at).values()
        self._change(
            asked, *(SpendChange(window=each, amount_minor=amount, count=1) for each in windows)
        )

    def _change(self, asked: _Open, *changes: SpendChange) -> None:
        asked.held = added(asked.held, *changes)
        for change in changes:
            self._windows[change.window] = self._spent(change.window).plus(change)

    def _spent(self, window: SpendWindow) -> SpendChange:
        found = self._windows.get(window)
        return found or SpendChange(window=window, amount_minor=0, count=0)


def _asked(event: dict[str, Any]) -> _Open:
    payload, agent = event["payload"], event["agent"]
    asked = Asked(
        payload["agent_id"],
        payload["amount_minor"],
        payload["currency"],
        payload["destination"],
        payload["inputs"].get("payable", True),
        next(reversed(payload.get("mandates", ())), None),
        payload.get("purpose"),
    )
    return _Open(
        asked,
        payload["saga_id"],
        AgentState.read(agent) if agent else None,
        datetime.fromisoformat(payload["requested_at"]),
    )


async def simulate(
    database: Database, policy: PolicyState, since: datetime, until: datetime
) -> Simulated:
    """The decisions on requests of the agent of a policy in [since, until) that it would have made
    otherwise. Spend from before counts as it was; what it would allow and was denied counts as
    captured. Raises DatabaseUnavailable, ValueError for a damaged event."""
    simulation = _Simulation(policy, since)
    async with aclosing(_decisions(database, policy.agent_id, until)) as found:
        async for events in found:
            simulation.take(events)
    return simulation.found


async def _decisions(
    database: Database, agent_id: str, until: datetime
) -> AsyncGenerator[list[dict[str, Any]], None]:
    values = {"agent_id": agent_id, "until": until, "types": _TYPES}
    async with (
        reading(database) as connection,
        aclosing(stretches(connection, "decided", _DECISIONS, values)) as found,
    ):
        async for stretch in found:
            yield stretch
