"""Input and output of a commit, as data: author, refs, loaded states, decision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from ledger.aggregates.aggregate import AggregateType, Event
from ledger.aggregates.spend_window import SpendChange, SpendLimit, SpendWindow

T = TypeVar("T")


@dataclass(frozen=True)
class Author:
    """The author of a commit, recorded in every event: the actor (`user_id`: `user:`, `agent:` or
    `system:` and a name), the saga and step, and `metadata` as JSON (workflow id, run id, activity,
    attempt, context)."""

    user_id: str
    saga_id: str | None = None
    step: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ref:
    """An aggregate that a decision needs: for `update` if the commit may write it, or for `share`.

    `new` and `given` save the round trip that loads it: the first try takes it for absent, or takes
    these columns of its row for given, and the write checks it. When that is wrong, or the decision
    needs more than that, the next try loads it.
    """

    aggregate: str
    lock: Literal["update", "share"] = "update"
    new: bool = False
    given: tuple[tuple[str, str | int], ...] = ()

    @property
    def assumed(self) -> bool:
        """Whether the first try assumes the state instead of loading it."""
        return self.new or bool(self.given)


@dataclass(frozen=True)
class Head:
    """The state and version of an aggregate as loaded: None at version 0, if it does not exist.

    `head_at` and `head_hash` are as PostgreSQL writes them.
    """

    ref: Ref
    aggregate_type: AggregateType
    state: Any
    version: int
    head_at: str | None
    head_hash: str


class NotLoaded(Exception):
    """The decision needs a state that the first try has not loaded: the next try loads it."""


class Loaded:
    """The states a decision is based on. `now` is the database's clock when they were loaded."""

    def __init__(
        self,
        heads: Mapping[str, Head],
        now: datetime | None,
        windows: Mapping[SpendWindow, SpendChange],
    ) -> None:
        self.heads, self._now, self._windows = heads, now, windows

    def __getitem__(self, aggregate: str) -> Any:
        """The state of a loaded aggregate; None if it does not exist."""
        if self.holds(aggregate):
            raise NotLoaded(aggregate)
        return self.heads[aggregate].state

    @property
    def now(self) -> datetime:
        """The database's clock at the load. Raises NotLoaded."""
        if self._now is None:
            raise NotLoaded("the time")
        return self._now

    @property
    def loaded_at(self) -> datetime | None:
        """The same as `now`; None where nothing had to be loaded."""
        return self._now

    def holds(self, aggregate: str) -> bool:
        """Whether the columns given in the Ref are assumed: the write checks them."""
        return bool(self.heads[aggregate].ref.given)

    def version(self, aggregate: str) -> int:
        """The number of events of a loaded aggregate."""
        return self.heads[aggregate].version

    def after(self, events: Sequence[tuple[str, Event]]) -> "Loaded":
        """The states as they will be when these events are written."""
        heads, windows = dict(self.heads), dict(self._windows)
        for aggregate, event in events:
            head = heads[aggregate]
            heads[aggregate] = replace(
                head,
                ref=Ref(aggregate),
                state=head.aggregate_type.evolve(head.state, event),
                version=head.version + 1,
            )
            for change in getattr(event, "spend", ()):
                before = windows.get(change.window)
                windows[change.window] = change if before is None else before.plus(change)
        return Loaded(heads, self._now, windows)

    def spent(self, window: SpendWindow) -> SpendChange:
        """The amount reserved or spent in a window so far."""
        return self._windows.get(window) or SpendChange(window=window, amount_minor=0, count=0)


@dataclass(frozen=True)
class Decision(Generic[T]):
    """The decision of a `decide` function: events per aggregate, in order, and a result for the
    caller.

    `limits` bind the spend windows that the events add to. `authors` are those of the
    events, one for each, where not all are of the commit's.
    """

    result: T
    events: Sequence[tuple[str, Event]] = ()
    limits: Mapping[SpendWindow, SpendLimit] = field(default_factory=dict)
    authors: Sequence[Author] = ()


Decide = Callable[[Loaded], Decision[T]]
