"""What a worker process of the explorer is told, and what it leaves behind: data only."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

# What may befall a worker at a place.
KILL, FROZEN, TWICE = "kill", "frozen", "twice"
NOT_SENT, ANSWER_LOST = "not sent", "answer lost"
# A server dies while the worker stands still at the place.
POSTGRES_KILLED, TEMPORAL_KILLED = "PostgreSQL killed", "Temporal killed"
OUTAGES = (POSTGRES_KILLED, TEMPORAL_KILLED)
# The worker is killed, and before another one is there, its run is terminated.
LOST = "lost"
# What a dead worker did not finish of a workflow task is given out again after this.
TASK_TIMEOUT = timedelta(seconds=1.5)
FAULTS = (KILL, FROZEN, TWICE, NOT_SENT, ANSWER_LOST, *OUTAGES)


@dataclass(frozen=True)
class Blow:
    """What befalls a worker at a place."""

    place: str
    fault: str


@dataclass(frozen=True)
class Orders:
    """One worker process: where it works, and what befalls it in which saga: `blows`, one after
    the other.

    `settings` are those of the worker, `temporal` is host:port; `room` is `payments` or
    `infrastructure`. Of `prefix`, the names of places are freed, so that they are the same in every
    run. `notes` is the file to which it writes what it passes and what befell it. A call outside
    that shows no life for `heartbeat_s` is given up; a person is asked after two tries of an undo,
    or in a blink, where one `is_soon_asked`.
    """

    settings: dict[str, Any] = field(repr=False)
    temporal: str
    room: str
    saga_id: str
    prefix: str
    notes: str
    heartbeat_s: float
    is_soon_asked: bool = False
    blows: Sequence[Blow] = ()
    mutation: str | None = None

    def to_line(self) -> bytes:
        """As it goes to the worker processes."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Self:
        told = json.loads(line)
        return cls(**told | {"blows": [Blow(**blow) for blow in told["blows"]]})


@dataclass(frozen=True)
class Notes:
    """What the worker processes of one point wrote down: `passed PLACE`, `struck PLACE`, `woke`."""

    path: Path

    def lines(self, word: str) -> list[str]:
        """What follows the word in each of its lines."""
        return [rest for first, rest in self._all() if first == word]

    def passed_between(self) -> list[list[str]]:
        """The places that were passed before the first blow, between the blows, after the last. The
        place of a blow is among those before it."""
        between: list[list[str]] = [[]]
        for word, place in self._all():
            if word == "struck":
                between.append([])
            elif word == "passed":
                between[-1].append(place)
        return between

    def _all(self) -> list[tuple[str, str]]:
        if not self.path.exists():
            return []
        split = (line.partition(" ") for line in self.path.read_text().splitlines())
        return [(word, rest) for word, _, rest in split]
