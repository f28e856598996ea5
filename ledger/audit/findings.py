"""What `verify` may find: each kind of damage, and what it may mean."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

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
    "head",
    "state",
    "future",
    "transaction",
    "partition",
    "saga_missing",
    "step",
    "open_step",
    "spend_window",
    "snapshot",
    "rule",
]

_MEANING: dict[Kind, str] = {
    "row_missing": "its state row was deleted, or its events were inserted past the rules",
    "events_missing": "events were deleted, or the row was written past the rules",
    "version_gap": "events were deleted from the middle of its log",
    "version_twice": "an event was inserted past the rules",
    "order": "an event was inserted past the rules, or its time or position was changed",
    "hash": "the event was changed after it was written, or the one before it was exchanged",
    "unreadable_event": "a newer version of Amends wrote it, or it was changed by hand",
    "unknown_aggregate_type": "a newer version of Amends wrote it, or it went past the rules",
    "name": "the name or the id was changed after it was written",
    "head": "the head of the row was changed past the rules",
    "state": "the row was changed without an event, or an event was changed",
    "future": "its time was changed, or the clock of the server was set back by more than a minute",
    "transaction": "its transaction id was changed, or the data was restored into another cluster "
    "and no incarnation says so",
    "partition": "it was moved past the rules, or a partition was attached unchecked",
    "saga_missing": "the saga was deleted, or this was written past the rules",
    "step": "the step or its saga was written past the rules",
    "open_step": "the saga ended without the outcome of this step; look at the outside",
    "spend_window": "the window was changed without an event, or an event was changed",
    "snapshot": "it was changed and may have been believed; amends_owner may delete it, as a cache",
    "rule": "somebody changed the database itself: what came in since then is not to be trusted",
}

# A ledger in ruins would have millions; who sees this many knows enough.
MAX_FINDINGS = 10_000


class Finding(BaseModel):
    """Something that can't be true of an intact ledger.

    `where` is an aggregate or a spend window; `position` and `since` name the event from which it
    shows, if there is one; `message` is one sentence with what it may mean, and no values.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    where: str
    position: int | None
    since: datetime | None
    message: str


def finding(
    kind: Kind, where: str, what: str, position: int | None = None, since: datetime | None = None
) -> Finding:
    """A finding with its sentence."""
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
    """What was found so far: the first MAX_FINDINGS in full, of the others how many."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.unlisted = 0

    def add(self, *findings: Finding) -> None:
        """Keep findings up to the limit, and count the rest."""
        room = MAX_FINDINGS - len(self.listed)
        self.listed.extend(findings[:room])
        self.unlisted += len(findings[room:])

    def include(self, others: "Findings") -> None:
        """All that was found elsewhere too."""
        self.add(*others.listed)
        self.unlisted += others.unlisted
