"""Points of the log, and how long a reader waits for one to be past."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from ledger.times import parse_time

# N (see `ledger.read.point_in_time`) and what an ordinary transaction takes.
PATIENCE_S = 10.0

Explain = Callable[[str], None]


@dataclass(frozen=True)
class Point:
    """A point of the log: after a position or after a moment (aware). Exactly one is set."""

    position: int | None = None
    moment: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses a position (digits) or an ISO 8601 time with a zone. Raises ValueError."""
        if re.fullmatch(r"[0-9]{1,18}", text):
            return cls(position=int(text))
        try:
            return cls(moment=parse_time(text))
        except ValueError as error:
            begun = re.match(r"[0-9]{4}-", text)
            raise ValueError(str(error) if begun else f"a position, or {error}") from None

    def covers(self, event: Mapping[str, Any]) -> bool:
        """Whether the event is at or before this point."""
        if self.moment is not None:
            return bool(event["timestamp"] <= self.moment)
        return bool(event["position"] <= self.position)

    def __str__(self) -> str:
        return str(self.position) if self.moment is None else self.moment.isoformat()


def in_silence(_: str) -> None:
    """An `explain` that reports nothing."""
