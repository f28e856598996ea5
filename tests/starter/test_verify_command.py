"""`amends verify` on a real ledger."""

import pytest

from tests.starter.conftest import Command

pytestmark = pytest.mark.usefixtures("agent")


async def test_says_what_was_read_and_what_it_cannot_detect(command: Command) -> None:
    done = await command("verify", "--processes", "2")
    assert (done.status, done.err) == (0, "")
    read, cannot = done.out.splitlines()
    assert read.endswith(" aggregates, 0 findings")
    assert "docs/verify.md" in cannot
    document = (await command("verify", "--json")).json
    assert read.startswith(f"{document['events']} events, {document['aggregates']} aggregates")
    assert len(document["cannot_detect"]) > 3


async def test_since_a_point_it_reads_less_and_says_where_to_go_on(command: Command) -> None:
    whole = (await command("verify", "--json")).json
    for since in ("0", "PT1H", "2020-01-01T00:00Z"):
        part = (await command("verify", "--since", since, "--json")).json
        assert part["events"] == whole["events"]
        assert len(part["cannot_detect"]) > len(whole["cannot_detect"])
    done = await command("verify", "--since", str(whole["settled"]))
    assert done.out.startswith("0 events, 0 aggregates, 0 findings")
    assert f"next time: --since {whole['settled']}" in done.out


async def test_another_point_is_wrong_input_and_one_to_come_is_no_all_clear(
    command: Command,
) -> None:
    for since in ("yesterday", "1.5", "9" * 19, "2026-01-01T00:00"):
        done = await command("verify", "--since", since)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("amends: --since: ")
    done = await command("verify", "--since", "999999999")
    assert (done.status, done.out) == (2, "")
    assert done.err == "amends: the log has not reached position 999999999\n"
