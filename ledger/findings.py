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
    "unknown_noun",
    "name",
    "head",
    "state",
    "step_without_saga",
    "open_step",
    "spend_window",
]

_MEANING: dict[Kind, str] = {
    "row_missing": "its state row was deleted, or its events were inserted past the rules",
    "events_missing": "events were deleted, or the row was written past the rules",
    "version_gap": "events were deleted from the middle of its log",
    "version_twice": "an event was inserted past the rules",
    "order": "an event was inserted past the rules, or its time or position was changed",
    "hash": "the event was changed after it was written, or the one before it was exchanged",
    "unreadable_event": "a newer version of Amends wrote it, or it was changed by hand",
    "unknown_noun": "a newer version of Amends wrote it, or it was inserted past the rules",
    "name": "the name or the id was changed after it was written",
    "head": "the head of the row was changed past the rules",
    "state": "the row was changed without an event, or an event was changed",
    "step_without_saga": "the saga was deleted, or the step was written past the rules",
    "open_step": "the saga ended without the outcome of this step; look at the outside",
    "spend_window": "the window was changed without an event, or an event was changed",
}


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
