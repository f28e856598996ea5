"""Tables on terminals of any width."""

import io
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ledger.read.log import LoggedEvent
from starter.cli import events as event_lines
from starter.cli import output

SAGA = "payment/20261122-081500-1a2b3c4d"
TYPES = ("SagaStarted", "AuthorizationCaptureStarted", "TransferExecuted", "StepDone")
NAMES = (
    f"saga/{SAGA}",
    "authorization/0f7c2f5e-9f83-4e34-8d4e-2ab1a7a7a1b2",
    "transfer/0f7c2f5e-9f83-4e34-8d4e-2ab1a7a7a1b2",
    f"step/{SAGA}/execute transfer",
)


def events(apart: timedelta) -> list[LoggedEvent]:
    return [
        LoggedEvent(
            position=1_000_000 + number,
            event_id=uuid4(),
            aggregate=name,
            version=1,
            event_type=kind,
            schema_version=1,
            timestamp=datetime(2026, 11, 22, 8, 15, tzinfo=UTC) + number * apart,
            user_id="user:somebody.with-a-long-name",
            saga_id=SAGA,
            step=None,
            payload={},
            metadata={},
        )
        for number, (kind, name) in enumerate(zip(TYPES, NAMES, strict=True))
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [80, 90, 100, 110, 160])
@pytest.mark.parametrize("apart", [timedelta(seconds=1), timedelta(days=1)])
@pytest.mark.parametrize("saga_id", [None, SAGA])
def test_no_word_of_an_event_is_folded(
    monkeypatch: pytest.MonkeyPatch, width: int, apart: timedelta, saga_id: str | None
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    found = events(apart)
    event_lines.show(found, saga_id)
    drawn = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    lines = drawn.splitlines()
    assert len(lines) == 1 + len(found)
    assert all(len(line) <= width for line in lines)
    for event, line in zip(found, lines[1:], strict=True):
        assert event.event_type in line.split()
        assert event_lines.called(event.aggregate, saga_id)[:18] in line
        assert output.moment(event.timestamp, "milliseconds") in line


def test_columns_go_in_their_order_until_the_rest_fits() -> None:
    headers, rows = ("a", "b", "c"), [("x" * 10, "y" * 10, "z" * 10)]
    kept = [output.fitting(headers, rows, ("c", "a"), width) for width in (40, 34, 33, 22, 21)]
    assert kept == [[0, 1, 2], [0, 1, 2], [0, 1], [0, 1], [1]]


def test_a_program_gets_the_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    event_lines.show(events(timedelta(seconds=1)))
    out = capsys.readouterr().out
    assert out.splitlines()[0].split("\t")[0] == "position"
    assert "\t1\ttransfer/0f7c2f5e-9f83-4e34-8d4e-2ab1a7a7a1b2\n" in out
    assert out.splitlines()[3].split("\t")[2] == "TransferExecuted"
