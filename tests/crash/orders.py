"""What a worker process of the explorer is told, and what it leaves behind: data only."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

# What may befall a worker at a place.
KILL, FROZEN, TWICE = "kill", "frozen", "twice"
NOT_SENT, ANSWER_LOST = "not sent", "answer lost"
# A server dies while the worker stands still at the place.
POSTGRES_KILLED, TEMPORAL_KILLED = "PostgreSQL killed", "Temporal killed"
OUTAGES = (POSTGRES_KILLED, TEMPORAL_KILLED)
FAULTS = (KILL, FROZEN, TWICE, NOT_SENT, ANSWER_LOST, *OUTAGES)


@dataclass(frozen=True)
class Orders:
    """One worker process: where it works, and at which place of which saga what befalls it.

    `settings` are those of the worker, `temporal` is host:port; `room` is `payments` or
    `infrastructure`. Of `prefix`, the names of places are freed, so that they are the same in every
    run. `notes` is the file to which it writes what it passes and what befell it. A call outside
    that shows no life for `heartbeat_s` is given up.
    """

    settings: dict[str, Any] = field(repr=False)
    temporal: str
    room: str
    saga_id: str
    prefix: str
    notes: str
    heartbeat_s: float
    place: str | None = None
    fault: str | None = None
    mutation: str | None = None

    def to_line(self) -> bytes:
        """As it goes to the nursery."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Self:
        return cls(**json.loads(line))


@dataclass(frozen=True)
class Notes:
    """What the worker processes of one point wrote down: `passed PLACE`, `struck PLACE`, `woke`."""

    path: Path

    def lines(self, word: str) -> list[str]:
        """What follows the word in each of its lines."""
        if not self.path.exists():
            return []
        split = (line.partition(" ") for line in self.path.read_text().splitlines())
        return [rest for first, _, rest in split if first == word]
