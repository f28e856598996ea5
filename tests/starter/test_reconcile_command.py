"""`amends reconcile` and `amends case` as people use them."""

from pathlib import Path

import pytest

from tests.starter.conftest import Command
from tests.statements.builders import camt, ntry, stmt, tx


async def test_a_statement_is_reconciled_and_its_case_is_closed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "November (1).xml"
    file.write_text(camt(stmt(ntry("5.00", tx("nobody's"), ref="B-1"), period="2020-11-02")))
    words = ("reconcile", "--statement", str(file), "--as", "ana")
    done = await command(*words)
    assert (done.status, done.err) == (1, "")
    assert "0 bookings agree; differences: 1 there_not_here" in done.out
    again = await command(*words, "--json")
    assert again.status == 1
    result = again.json
    assert (result["state"], result["repeated"], result["differences"]) == ("differences", True, 1)

    listed = (await command("case", "list", "--statement", result["statement_id"], "--json")).json
    [case] = listed
    assert (case["kind"], case["booked_minor"], case["reference"]) == ("there_not_here", 500, "B-1")
    waiting = await command("waiting", "--kind", "case")
    close = f"amends case close {case['case_id']} --evidence TEXT"
    assert f"case/{case['case_id']}: case there_not_here" in waiting.out
    assert f"$ {close}" in waiting.out
    closing = ("case", "close", case["case_id"], "--evidence", "a fee", "--as", "ana")
    assert (await command(*closing)).status == 0
    assert (await command(*closing)).status == 1
    shown = await command("case", "list", "--all", "--statement", result["statement_id"])
    assert "closed" in shown.out
    assert (await command("show", f"case/{case['case_id']}")).status == 0

    # The file is in the folder, and on record.
    everything = await command("reconcile", "--arrived", "--json")
    assert (everything.json["state"], everything.json["files"]) == ("agreed", 0)
    nightly = ("reconcile", "--arrived", "--cron", "0 7 * * *", "--operation-id", "bank")
    assert (await command(*nightly)).status == 0
    assert "bank" in (await command("schedule", "list")).out
    assert (await command("schedule", "delete", "bank")).status == 0

    file.write_text("name;amount\n")
    refused = await command(*words)
    assert refused.status == 1
    assert "line 1 of the statement: neither camt.053" in refused.out
    for wrong in ((), ("--statement", str(file), "--from", "PT1H")):
        assert (await command("reconcile", *wrong)).status == 2
    monkeypatch.setenv("AMENDS_STATEMENTS", str(tmp_path / "nowhere"))
    away = await command(*words)
    assert (away.status, "AMENDS_STATEMENTS names no folder" in away.err) == (2, True)
