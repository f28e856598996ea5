"""Whatever version of an event was ever written can still be read, and a model that changes
without a new version is seen."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from ledger.aggregates.aggregate import AggregateType, Event, State, Upcaster
from ledger.aggregates.registry import AGGREGATE_TYPES
from tests.ledger.record_corpus import CORPUS, EVENTS, changed, file_of, record
from tests.ledger.samples import SAMPLES

# An event that may begin an aggregate of its aggregate type comes first among them.
FIRST = {
    aggregate_type.name: aggregate_type.events[0].__name__
    for aggregate_type in AGGREGATE_TYPES.values()
}
BEGINS = {"StepStarted", *FIRST.values()}
FILES = sorted(CORPUS.glob("*.json"))


def recorded(file: Path) -> tuple[str, int, list[dict[str, Any]]]:
    name, version = file.stem.split(".v")
    return name, int(version), json.loads(file.read_text())["payloads"]


def aggregate_type_with(event_type: str) -> AggregateType:
    [aggregate_type] = [
        aggregate_type
        for aggregate_type in AGGREGATE_TYPES.values()
        if event_type in {event.__name__ for event in aggregate_type.events}
    ]
    return aggregate_type


def test_every_version_of_every_event_has_payloads() -> None:
    """Also none is left over: an event type once written is never renamed and never removed."""
    wanted = {
        file_of(event, version)
        for event in EVENTS
        for version in range(1, event.schema_version + 1)
    }
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
        folded = aggregate_type.evolve(
            None if event_type in BEGINS else _begun(aggregate_type), event
        )
        assert set(aggregate_type.row(folded)) == set(aggregate_type.state.model_fields)


def _begun(aggregate_type: AggregateType) -> State:
    _, version, [payload, *_] = recorded(CORPUS / f"{FIRST[aggregate_type.name]}.v1.json")
    return aggregate_type.evolve(
        None, aggregate_type.event(FIRST[aggregate_type.name], version, payload)
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_spend_stands_in_every_version_as_in_the_newest(file: Path) -> None:
    """Spend windows are summed by the server from what is stored, past the upcasters."""
    event_type, version, payloads = recorded(file)
    for payload in payloads:
        event = aggregate_type_with(event_type).event(event_type, version, payload)
        assert payload.get("spend") == event.model_dump(mode="json").get("spend")


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_the_newest_payloads_are_what_is_written(event: type[Event]) -> None:
    _, _, payloads = recorded(file_of(event, event.schema_version))
    written = [each.model_dump(mode="json") for each in SAMPLES if type(each) is event]
    assert payloads == written


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_optional_fields_are_recorded_given_and_left_out(event: type[Event]) -> None:
    _, _, payloads = recorded(file_of(event, event.schema_version))
    for name, field in event.model_fields.items():
        if type(None) in getattr(field.annotation, "__args__", ()):
            assert {payload[name] is None for payload in payloads} == {True, False}, name


class Item(BaseModel):
    """What was bought."""

    sku: str


class Bought(Event):
    """A made-up event."""

    item: Item
    title: str
    channel: Literal["web", "shop"] = "web"


def _other(words: str, fields: dict[str, Any]) -> type[Event]:
    """Bought, with these words and fields."""
    return create_model("Bought", __base__=Event, __doc__=words, **fields)


class ItemWithPrice(BaseModel):
    sku: str
    price_minor: int


ItemWithPrice.__name__ = "Item"
SAME = {"item": (Item, ...), "title": (str, ...), "channel": (Literal["web", "shop"], "web")}
CHANGES: dict[str, dict[str, Any]] = {
    "a field more": SAME | {"price_minor": (int, ...)},
    "an optional field more": SAME | {"note": (str | None, None)},
    "a field less": {name: SAME[name] for name in ("item", "channel")},
    "a field renamed": {"item": (Item, ...), "name": (str, ...), "channel": SAME["channel"]},
    "another type": SAME | {"title": (int, ...)},
    "another default": SAME | {"channel": (Literal["web", "shop"], "shop")},
    "no default": SAME | {"channel": (Literal["web", "shop"], ...)},
    "another choice": SAME | {"channel": (Literal["web", "shop", "mail"], "web")},
    "another limit": SAME | {"title": (str, Field(max_length=10))},
    "a change in a model inside": SAME | {"item": (ItemWithPrice, ...)},
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus that holds Bought version 1."""
    bought = Bought(item=Item(sku="a-1"), title="a book")
    [file] = record([Bought], [bought], tmp_path / "corpus")
    return file.parent


@pytest.mark.parametrize("fields", CHANGES.values(), ids=CHANGES)
def test_a_change_without_a_new_version_is_seen(corpus: Path, fields: dict[str, Any]) -> None:
    assert changed([_other("Changed.", fields)], corpus) == ["Bought"]


def test_other_words_are_no_change(corpus: Path) -> None:
    assert changed([_other("Something was sold.", SAME)], corpus) == []


def test_a_new_version_is_recorded_beside_the_old_one(corpus: Path) -> None:
    class Sold(Bought):
        price_minor: int

        upcasters: ClassVar[tuple[Upcaster, ...]] = (lambda old: {**old, "price_minor": 0},)

    Sold.__name__ = "Bought"
    old = (corpus / "Bought.v1.json").read_bytes()
    sold = Sold(item=Item(sku="a-1"), title="a book", price_minor=7)
    assert record([Sold], [sold], corpus) == [corpus / "Bought.v2.json"]
    assert (corpus / "Bought.v1.json").read_bytes() == old
    assert changed([Sold], corpus) == []


def test_what_is_recorded_is_never_overwritten(corpus: Path) -> None:
    event = _other("Changed.", CHANGES["a field less"])
    before = (corpus / "Bought.v1.json").read_bytes()
    assert record([event], [event.model_validate({"item": {"sku": "b"}})], corpus) == []
    assert (corpus / "Bought.v1.json").read_bytes() == before
