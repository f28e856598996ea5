"""Turns a decision into the parts of one statement, and their values as text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from ledger.aggregates.aggregate import Event, State, id_text
from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.spend_window import SpendChange, SpendLimit, SpendWindow
from ledger.aggregates.transitions import objection
from ledger.errors import IllegalTransition
from ledger.store.canonical_json import as_it_is, is_exact, texts
from ledger.store.decision import Author, Decision, Head, Loaded, NotLoaded
from ledger.store.event_log import event_ids, hash_parts
from ledger.store.statements import Fresh, Held, Part, Spent, Written

Values = dict[str, str | None]

_NO_LIMIT = SpendLimit()


@dataclass(frozen=True)
class Writing:
    """The shape of a write: its parts, its events in the order of the decision with the numbers of
    their authors, and the values of all."""

    parts: tuple[Part, ...]
    events: tuple[tuple[str, int], ...]
    values: Values


@dataclass(frozen=True)
class _AuthorTexts:
    """An author of events, with the metadata as RFC 8785 text and as it is."""

    author: Author
    hashed: str
    metadata: str

    def values(self, prefix: str) -> Values:
        return {
            prefix + "user_id": self.author.user_id,
            prefix + "saga_id": self.author.saga_id,
            prefix + "step": self.author.step,
            prefix + "metadata": self.metadata,
        }


def writing(
    author: Author, loaded: Loaded, decision: Decision[Any], *, locked: bool = False
) -> Writing:
    """The rows and events of a decision, in one order for everybody: by aggregate.

    What the decision stands on and does not write is held. Raises ValueError for events of an
    aggregate that was loaded for share, and NotLoaded where only locks show that one is still
    absent.
    """
    known, by = _author_texts(author, decision)
    events: dict[str, list[tuple[Event, _AuthorTexts]]] = {}
    for (aggregate, event), number in zip(decision.events, by, strict=True):
        events.setdefault(aggregate, []).append((event, known[number]))
    parts: list[Part] = []
    places: dict[str, Iterator[str]] = {}
    values: Values = {}
    for number, each in enumerate(known):
        values |= each.values(f"a{number}_")
    if loaded.loaded_at is not None:
        parts.append(Fresh())
        values["loaded_at"] = loaded.loaded_at.isoformat()
    # Windows first: who waits for a hot one then keeps no row from others.
    for window, change in _changes(decision.events).items():
        prefix = f"p{len(parts)}_"
        parts.append(Spent(adds=change.amount_minor >= 0))
        limit = decision.limits.get(window, _NO_LIMIT)
        given = window.as_json() | {
            "amount_minor": change.amount_minor,
            "count": change.count,
        }
        values |= {prefix + name: str(value) for name, value in given.items()}
        values[prefix + "limit"] = _text(limit.amount_minor)
        values[prefix + "count_limit"] = _text(limit.count)
    for aggregate in sorted(loaded.heads):
        head, prefix = loaded.heads[aggregate], f"p{len(parts)}_"
        if aggregate in events:
            parts.append(
                Written(head.aggregate_type.name, head.version == 0, len(events[aggregate]))
            )
            values |= _written(head, events[aggregate], prefix[:-1])
            places[aggregate] = map(f"{prefix[:-1]}e{{}}".format, count())
        elif head.ref.given or head.version:
            held = dict(head.ref.given) or {"version": head.version}
            parts.append(Held(head.aggregate_type.name, tuple(held)))
            values |= {prefix + name: str(value) for name, value in held.items()}
            values[prefix + "aggregate_id"] = id_text(aggregate)
        elif not locked:
            # Absent, and no row to hold: nothing in the write would show that it exists by now.
            raise NotLoaded(aggregate)
    order = [next(places[aggregate]) for aggregate, _ in decision.events]
    return Writing(tuple(parts), tuple(zip(order, by, strict=True)), values)


def _author_texts(author: Author, decision: Decision[Any]) -> tuple[list[_AuthorTexts], list[int]]:
    """The authors of the events, each once in a row, and for each event the number of its own."""
    authors = decision.authors or [author] * len(decision.events)
    known: list[_AuthorTexts] = []
    by: list[int] = []
    for number, each in enumerate(authors):
        if not number or each is not authors[number - 1]:
            known.append(_AuthorTexts(each, *texts(dict(each.metadata))))
        by.append(len(known) - 1)
    return known, by


def _changes(events: Iterable[tuple[str, Event]]) -> dict[SpendWindow, SpendChange]:
    """Sums the changes of each spend window: one statement changes a row once."""
    changes: dict[SpendWindow, SpendChange] = {}
    for _, event in events:
        for change in getattr(event, "spend", ()):
            before = changes.get(change.window)
            changes[change.window] = change if before is None else before.plus(change)
    # In one order for everybody.
    return dict(sorted(changes.items(), key=lambda change: as_it_is(change[0].as_json())))


def _written(head: Head, events: Sequence[tuple[Event, _AuthorTexts]], prefix: str) -> Values:
    if head.ref.lock != "update":
        raise ValueError(
            f"{head.ref.aggregate} was loaded for share: load it for update to write it"
        )
    name, identity = head.ref.aggregate, id_text(head.ref.aggregate)
    values: Values = {
        f"{prefix}_aggregate": name,
        f"{prefix}_aggregate_id": identity,
        f"{prefix}_head_at": head.head_at,
        f"{prefix}_head_hash": head.head_hash,
        f"{prefix}_expected": str(head.version),
        f"{prefix}_version": str(head.version + len(events)),
    }
    state = head.state
    for number, (event, by) in enumerate(events):
        if (why := objection(head.aggregate_type.name, state, event)) is not None:
            raise IllegalTransition(f"{name}: {why}; nothing was written")
        state = head.aggregate_type.evolve(state, event)
        hashed, payload = texts(event.as_json())
        version = head.version + 1 + number
        row: dict[str, Any] = {
            "event_id": f"{event_ids(identity)}{version:08x}",
            "aggregate_id": identity,
            "aggregate": name,
            "version": str(version),
            "event_type": type(event).__name__,
            "schema_version": str(event.schema_version),
            "user_id": by.author.user_id,
            "saga_id": by.author.saga_id,
            "step": by.author.step,
            "payload": hashed,
            "metadata": by.hashed,
        }
        row["head"], row["middle"], row["tail"] = hash_parts(row)
        row["payload"] = payload
        values |= {f"{prefix}e{number}_{name}": row[name] for name in _OF_EVENT}
    return values | _state_values(f"{prefix}_", head, state)


_OF_EVENT = (
    *("event_id", "version", "event_type", "schema_version", "payload"),
    *("head", "middle", "tail"),
)


def _state_values(prefix: str, head: Head, state: State) -> Values:
    as_json, values = head.aggregate_type.json_columns, state.as_json()
    try:
        return {
            prefix + name: _json(value) if name in as_json else _text(value)
            for name, value in values.items()
        }
    except TypeError:
        # A row that was changed past the rules: no event of ours has such a value.
        wrong = [name for name in as_json if name in values and not is_exact(values[name])]
        if not wrong:
            raise
        raise RowUnreadable(head.ref.aggregate, wrong) from None


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _json(value: Any) -> str | None:
    return None if value is None else texts(value)[1]
