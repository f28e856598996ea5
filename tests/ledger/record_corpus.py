"""`python -m tests.ledger.record_corpus`: keep the form of new versions of events, for ever.

tests/ledger/corpus/ holds a file for every version of every event ever written: `schema`, the JSON
Schema of its payload, and `payloads`, as they are written. Who changes an event model adds an
upcaster to it, changes tests/ledger/samples.py, and runs this. It writes the files of versions that
have none, and never touches one that is there: a ledger may hold such events.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ledger.aggregates.aggregate import Event
from ledger.aggregates.registry import AGGREGATE_TYPES
from tests.ledger.samples import SAMPLES

CORPUS = Path(__file__).parent / "corpus"
EVENTS = tuple(
    event for aggregate_type in AGGREGATE_TYPES.values() for event in aggregate_type.events
)
# These hold schemas by name, so their keys are names and no keywords.
_BY_NAME = ("properties", "$defs")


def schema(event: type[Event]) -> Any:
    """The form of an event's payload with all models in it: fields, types, defaults, no words."""
    _, schemas = msgspec.json.schema_components([event], ref_template="#/$defs/{name}")
    own = schemas.pop(event.__name__)
    return _without_words(own | ({"$defs": schemas} if schemas else {}))


def _without_words(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_words(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        keyword: value
        if keyword == "default"
        else {name: _without_words(each) for name, each in value.items()}
        if keyword in _BY_NAME
        else _without_words(value)
        for keyword, value in part.items()
        if keyword not in ("title", "description")
    }


def file_of(event: type[Event], version: int, corpus: Path = CORPUS) -> Path:
    return corpus / f"{event.__name__}.v{version}.json"


def changed(events: Iterable[type[Event]], corpus: Path = CORPUS) -> list[str]:
    """The events whose model is not what was recorded for the version it says it has."""
    return [
        event.__name__
        for event in events
        if (file := file_of(event, event.schema_version, corpus)).exists()
        and json.loads(file.read_text())["schema"] != schema(event)
    ]


def record(
    events: Iterable[type[Event]] = EVENTS,
    samples: Iterable[Event] = SAMPLES,
    corpus: Path = CORPUS,
) -> list[Path]:
    """Write the files of the newest versions that have none; returns them. Touches no other."""
    corpus.mkdir(exist_ok=True)
    samples, written = list(samples), []
    for event in events:
        file = file_of(event, event.schema_version, corpus)
        payloads = [each.as_json() for each in samples if type(each) is event]
        if file.exists() or not payloads:
            continue
        recorded = {"schema": schema(event), "payloads": payloads}
        file.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")
        written.append(file)
    return written


if __name__ == "__main__":
    for file in record():
        print(f"recorded {file.name}")
    if refused := changed(EVENTS):
        sys.exit(
            f"changed without a new version: {', '.join(refused)}. What is recorded stays: add an "
            "upcaster to each, from the version that is recorded to the new one, and run this again"
        )
