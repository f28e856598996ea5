"""The log of a worker: a line for a person, or one JSON object a line for a program."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from ledger.words import plain_lines

# What the SDK puts on a record about where it was written; the workflow id is the saga's id.
_PLACES = ("temporal_activity", "temporal_workflow")


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON: time, level, logger, message, and its saga."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _PLACES:
            if isinstance(place := getattr(record, name, None), dict):
                line["saga"] = place.get("workflow_id")
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class ConsoleFormatter(logging.Formatter):
    """Formats a record for a terminal: others may have written words of it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write one record, its traceback in lines of their own."""
        return plain_lines(super().format(record))


def configure_logs(form: str) -> None:
    """Log to stderr in `form`: `console` or `json`."""
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(ConsoleFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
