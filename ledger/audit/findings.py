"""Defines the findings of `verify`: each kind of damage, and its possible causes."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Kind = Literal[
    "row_missing",
    "events_missing",
    "version_gap",
    "version_twice",
    "order",
    "hash",
    "unreadable_event",
    "unknown_aggregate_type",
    "name",
    "identity",
    "event_id",
    "head",
    "state",
    "transition",
    "future",
    "transaction",
    "partition",
    "saga_missing",
    "step",
    "open_step",
    "saga_end",
    "money",
    "mandate",
    "claim",
    "case",
    "signature",
    "spend_window",
    "snapshot",
    "mark",
    "rule",
]

_MEANING: dict[Kind, str] = {
    "row_missing": "the state row was deleted, or the events were inserted bypassing the rules",
    "events_missing": "events were deleted, or the row was written bypassing the rules",
    "version_gap": "events were deleted from the middle of the stream",
    "version_twice": "an event was inserted bypassing the rules",
    "order": "an event was inserted bypassing the rules, or its time or position was changed",
    "hash": "the event was changed after it was written, or the event before it was replaced",
    "unreadable_event": "a newer version of Amends wrote the event, or it was changed by hand",
    "unknown_aggregate_type": "a newer version of Amends wrote it, or a writer bypassed the rules",
    "name": "the name or the id was changed after it was written",
    "identity": "a writer took what belongs to another name: an operation id, an agent, a resource",
    "event_id": "the event was inserted or changed bypassing the rules",
    "head": "the head of the row was changed bypassing the rules",
    "state": "the row was changed without an event, or an event was changed",
    "transition": "the event was written bypassing the rules, or by a defect of the engine",
    "future": "its time was changed, or the server's clock was set back by more than a minute",
    "transaction": "its transaction id was changed, or the data was restored into another cluster "
    "and no incarnation says so",
    "partition": "the event was moved bypassing the rules, or a partition was attached unchecked",
    "saga_missing": "the saga was deleted, or its steps or events were written bypassing the rules",
    "step": "the step or its saga was written bypassing the rules",
    "open_step": "the saga ended with the step in doubt: look it up in the external system",
    "saga_end": "the end of the saga, or what it ended with, was written bypassing the engine",
    "money": "the authorization or the transfer was written bypassing the engine: ask the provider "
    "what it moved",
    "mandate": "the mandate, or a payment under it, was written bypassing the engine: revoke it",
    "claim": "the claim was written bypassing the engine: until it is dropped no change of the "
    "resource is accepted",
    "case": "a writer closed the case in the name of another, or cases were deleted: read its "
    "evidence",
    "signature": "the request, the decision or the key was changed after it was signed, or it was "
    "written bypassing the engine",
    "spend_window": "the window was changed without an event, or an event was changed",
    "snapshot": "the cached state was changed and may have been used: delete it as amends_owner",
    "mark": "the mark was changed bypassing the rules: what it covers is believed, or refused",
    "rule": "the schema itself was changed: do not trust what was written since then",
}

# Of each kind, so that many of one hide none of another. A ledger in ruins would have millions; who
# sees this many knows enough.
MAX_FINDINGS = 1_000


@dataclass(frozen=True)
class Finding:
    """A contradiction that an intact ledger can't have.

    `where` is an aggregate or a spend window; `position` and `since` name the event from which it
    shows, if there is one; `message` is one sentence with what it may mean, and no values.
    """

    kind: Kind
    where: str
    position: int | None
    since: datetime | None
    message: str


def moment_in(text: str | None) -> datetime | None:
    """The time of a text as the scan has it; None of a time that Python has not."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def finding(
    kind: Kind, where: str, what: str, position: int | None = None, since: object = None
) -> Finding:
    """Makes a finding with its sentence. A `since` that can't be read is none."""
    since = since if isinstance(since, datetime) else None
    place = "" if position is None else f" (position {position})"
    time = "" if since is None else f" since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    return Finding(
        kind=kind,
        where=where,
        position=position,
        since=since,
        message=f"{where}: {what}{place}{time}: {_MEANING[kind]}.",
    )


class Findings:
    """The findings so far: the first MAX_FINDINGS of each kind in full, the others counted.

    `judged` names the aggregates that have findings and relations that can be judged all the same.
    """

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.unlisted = 0
        self.judged: set[str] = set()
        self._counts = Counter[Kind]()

    @property
    def unjudged(self) -> set[str]:
        """The aggregates of which the relations to others can't be judged."""
        return {found.where for found in self.listed} - self.judged

    def add(self, *findings: Finding) -> None:
        """Keeps findings up to the limit, and counts the rest."""
        for found in findings:
            self._counts[found.kind] += 1
            if self._counts[found.kind] <= MAX_FINDINGS:
                self.listed.append(found)
            else:
                self.unlisted += 1

    def include(self, others: "Findings") -> None:
        """Adds all findings of another scan."""
        self.add(*others.listed)
        self.unlisted += others.unlisted
        self.judged |= others.judged
