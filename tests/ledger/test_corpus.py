"""Whatever version of an event was ever written can still be read, and a model that changes
without a new version is seen."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast, get_type_hints

import msgspec
import pytest

from ledger.aggregates.aggregate import AggregateType, Event, State, Upcaster
from ledger.aggregates.registry import AGGREGATE_TYPES
from tests.ledger.record_corpus import CORPUS, EVENTS, changed, file_of, record
from tests.ledger.samples import SAMPLES

# An event that may begin an aggregate of its aggregate type comes first among them.
FIRST = {name: kind.events[0].__name__ for name, kind in AGGREGATE_TYPES.items()}
BEGINS = {"StepStarted", *FIRST.values()}
FILES = sorted(CORPUS.glob("*.json"))


def recorded(file: Path) -> tuple[str, int, list[dict[str, Any]]]:
    name, version = file.stem.split(".v")
    return name, int(version), json.loads(file.read_text())["payloads"]


def aggregate_type_with(event_type: str) -> AggregateType:
    def has_it(aggregate_type: AggregateType) -> bool:
        return event_type in {event.__name__ for event in aggregate_type.events}

    [found] = filter(has_it, AGGREGATE_TYPES.values())
    return found


def test_every_version_of_every_event_has_payloads() -> None:
    """Also none is left over: an event type once written is never renamed and never removed."""
    wanted = {file_of(event, n + 1) for event in EVENTS for n in range(event.schema_version)}
    assert set(FILES) == wanted, "run python -m tests.ledger.record_corpus"


def test_no_event_has_changed_without_a_new_version() -> None:
    assert changed(EVENTS) == [], (
        "ledgers hold events of the version that is recorded: add an upcaster to the event "
        "(Event.upcasters), then run python -m tests.ledger.record_corpus"
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_payload_of_any_version_is_read_and_folded(file: Path) -> None:
    event_type, version, payloads = recorded(file)
    aggregate_type = aggregate_type_with(event_type)
    assert payloads
    for payload in payloads:
        before = deepcopy(payload)
        event = aggregate_type.event(event_type, version, payload)
        assert payload == before, "an upcaster changed what it was given"
        begun = None if event_type in BEGINS else _begun(aggregate_type)
        folded = aggregate_type.evolve(begun, event)
        assert set(aggregate_type.row(folded)) == set(aggregate_type.state.__struct_fields__)
        # Spend windows are summed by the server from what is stored, past the upcasters.
        assert payload.get("spend", []) == event.as_json().get("spend", [])


def _begun(aggregate_type: AggregateType) -> State:
    name = FIRST[aggregate_type.name]
    _, version, [payload, *_] = recorded(CORPUS / f"{name}.v1.json")
    return aggregate_type.evolve(None, aggregate_type.event(name, version, payload))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_what_is_written_is_recorded_with_optional_fields_given_and_left_out(
    event: type[Event],
) -> None:
    _, _, payloads = recorded(file_of(event, event.schema_version))
    assert payloads == [each.as_json() for each in SAMPLES if type(each) is event]
    for name, annotation in get_type_hints(event).items():
        if type(None) in getattr(annotation, "__args__", ()):
            assert {payload[name] is None for payload in payloads} == {True, False}, name


class Item(State):
    """What was bought."""

    sku: str


class Bought(Event):
    """A made-up event."""

    item: Item
    title: str
    channel: Literal["web", "shop"] = "web"


def _other(words: str, fields: dict[str, Any]) -> type[Event]:
    """Bought, with these words and fields."""
    made = {name: it[1] for name, it in fields.items() if len(it) > 1}
    namespace = made | {"__doc__": words, "__annotations__": {n: it[0] for n, it in fields.items()}}
    metaclass: Any = type(Event)
    return cast(type[Event], metaclass("Bought", (Event,), namespace, kw_only=True))


class ItemWithPrice(State):
    sku: str
    price_minor: int


ItemWithPrice.__name__ = "Item"
SAME = {"item": (Item,), "title": (str,), "channel": (Literal["web", "shop"], "web")}
CHANGES: dict[str, dict[str, Any]] = {
    "a field more": SAME | {"price_minor": (int,)},
    "an optional field more": SAME | {"note": (str | None, None)},
    "a field less": {name: SAME[name] for name in ("item", "channel")},
    "a field renamed": {"item": (Item,), "name": (str,), "channel": SAME["channel"]},
    "another type": SAME | {"title": (int,)},
    "another default": SAME | {"channel": (Literal["web", "shop"], "shop")},
    "no default": SAME | {"channel": (Literal["web", "shop"],)},
    "another choice": SAME | {"channel": (Literal["web", "shop", "mail"], "web")},
    "another limit": SAME | {"title": (Annotated[str, msgspec.Meta(max_length=10)],)},
    "a change in a model inside": SAME | {"item": (ItemWithPrice,)},
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus that holds Bought version 1."""
    bought = Bought(item=Item(sku="a-1"), title="a book")
    [file] = record([Bought], [bought], tmp_path / "corpus")
    return file.parent


def test_a_change_without_a_new_version_is_seen_and_other_words_are_none(corpus: Path) -> None:
    for what, fields in CHANGES.items():
        assert changed([_other("Changed.", fields)], corpus) == ["Bought"], what
    assert changed([_other("Something was sold.", SAME)], corpus) == []


def test_a_new_version_is_recorded_beside_the_old_one_and_none_is_overwritten(corpus: Path) -> None:
    class Sold(Bought, kw_only=True):
        price_minor: int

        upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old, "price_minor": 0},)

    Sold.__name__ = "Bought"
    old = (corpus / "Bought.v1.json").read_bytes()
    sold = Sold(item=Item(sku="a-1"), title="a book", price_minor=7)
    assert record([Sold], [sold], corpus) == [corpus / "Bought.v2.json"]
    assert changed([Sold], corpus) == []
    event = _other("Changed.", CHANGES["a field less"])
    assert record([event], [event.read({"item": {"sku": "b"}})], corpus) == []
    assert (corpus / "Bought.v1.json").read_bytes() == old
