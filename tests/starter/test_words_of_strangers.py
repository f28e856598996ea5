"""Words that anybody may write reach no terminal as more than words, and a program as they are."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from activities.adapters.mock import Fault, MockBank
from activities.adapters.payment import OutcomeUnknown, TransferReport
from activities.classification import classify
from activities.providers.provider import ProviderRefused, ProviderUnavailable
from ledger.words import MOST_CHARACTERS, MOST_RECORDED, code, escaped, said, summary_of
from starter.cli.live import LiveTable
from tests.starter.conftest import Command
from worker.logs import ConsoleFormatter
from workflows.contract.progress import Progress
from workflows.contract.waits import StepProgress
from workflows.engine.live_details import page

# Colours, a title, a cursor, the other direction of writing, markup of the tables, a line.
HOSTILE = "\x9b31m\u202eyranac\u2066 [red]canary[/red] \u2028 canary"
CONTROLS = HOSTILE + "\x1b]0;canary\x07\x1b[2J\r"


def controls(text: str) -> list[str]:
    """The characters of an answer that would do something on a terminal."""
    return [char for char in text if not char.isprintable() and char not in "\n\t"]


async def test_no_command_prints_what_steers_a_terminal_and_json_is_exact(
    command: Command, payment: Callable[..., dict[str, Any]], bank: MockBank
) -> None:
    metadata = {HOSTILE: CONTROLS.replace("\0", "")}
    request = payment(55_000, description=HOSTILE, metadata=metadata)
    refused = payment(40_000, description=HOSTILE)
    saga_id = f"payment/{request['operation_id']}"
    await bank.inject(Fault(f"payment/{refused['operation_id']}", "refuse", note=CONTROLS))
    shown = [await command("pay", request, "--reason", HOSTILE), await command("pay", refused)]
    authorization = (await command("payments", "--json")).json
    names = [
        f"saga/{saga_id}",
        *(f"authorization/{row['authorization_id']}" for row in authorization),
    ]
    reading = [
        *(["waiting"], ["sagas"], ["payments"], ["log"], ["log", request["operation_id"]]),
        *(["saga", saga_id], ["saga", f"payment/{refused['operation_id']}"]),
        *([verb, name] for verb in ("show", "blame") for name in names),
        *(["diff", name, "0", "999999999"] for name in names),
        *(["reject", saga_id, "--reason", HOSTILE], ["saga", saga_id], ["log", saga_id]),
        # What is refused is told on stderr.
        *(["saga", CONTROLS], ["show", CONTROLS], ["log", "--user", CONTROLS], [CONTROLS]),
        *(["policy", "show", CONTROLS], ["approve", f"payment/{CONTROLS}"], ["pay", CONTROLS]),
    ]
    shown += [await command(*words) for words in reading]
    assert "canary" in "".join(each.out for each in shown)
    assert [each for each in shown if controls(each.out + each.err)] == []
    assert [each.err for each in shown if each.err.count("\n") > 1] == []
    story = (await command("saga", saga_id, "--json")).json
    assert HOSTILE in json.dumps(story, ensure_ascii=False)


def test_a_table_a_log_and_a_defect_show_words_and_no_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = StepProgress(name=HOSTILE, state="failed", detail=CONTROLS)
    progress = Progress(
        saga_id=HOSTILE, kind="payment", state="running", waits_for=HOSTILE, steps=[step]
    )
    with LiveTable() as table:
        table.tell(progress)
    drawn = capsys.readouterr().out
    assert drawn.count("[red]canary[/red]") == 4
    try:
        raise RuntimeError(CONTROLS)
    except RuntimeError:
        record = logging.LogRecord("a", 30, "b", 1, "%s", (CONTROLS,), sys.exc_info())
    logged = ConsoleFormatter().format(record)
    assert "RuntimeError" in logged.splitlines()[-1]
    assert controls(drawn + logged) == []


def test_words_on_a_page_and_in_a_summary_are_bounded_and_without_account_numbers() -> None:
    for escape in (escaped, said, code):
        assert len(escape("x" * 100_000)) <= MOST_CHARACTERS + 2
    assert len(summary_of("ñ" * 100_000).encode()) == 400
    known = "rollback/20261122-081500-1a2b at 2026-11-30 07:28:15 UTC of 123456789012"
    ours = "payment/20261122-081500-12345678, payment/20261122-081500-1234, 1,000,000,000,000.00"
    assert said(known) == known
    assert said(ours) == ours


@pytest.mark.parametrize(
    "number",
    [
        "28505909 40090418 135201",
        "4111111111111111",
        "4111  1111 \t1111\u00a01111",
        "4111-1111-1111-1111",
        "4111\u20131111\u200b1111\n1111",
        "2850.5909.4009.0418.1352.01",
        "2850590/9400904181352-01",
        "ES91 2850 0418 4502 0005 1332",
        "MT84MALT011111000012345MTLCAST001S",
    ],
)
def test_no_page_has_an_account_or_a_card_number_in_whatever_groups(number: str) -> None:
    assert said(f"not {number}, not me") == "not (a number), not me"
    progress = Progress(
        saga_id="payment/x",
        kind="payment",
        state="completed",
        result={"state": "captured", "provider_reference": number},
    )
    assert "1111" not in (shown := page(progress, ["a payment"]))
    assert "2850" not in shown


def test_what_a_provider_says_is_cut_to_what_the_ledger_takes() -> None:
    told = "no\0w \ud800" + "x" * 70_000
    report = TransferReport(
        key="k",
        status="refused",
        reference=told,
        reason=told,
        amount_minor=1,
        currency="ARS",
        destination="d",
    )
    said_so = (report.reference, report.reason, str(ProviderRefused(told)))
    failures = (classify(error(told)).message for error in (OutcomeUnknown, ProviderUnavailable))
    for text in (*said_so, *failures):
        assert text is not None
        assert len(text) == MOST_RECORDED
        assert text.startswith("no\N{REPLACEMENT CHARACTER}w ?x")
