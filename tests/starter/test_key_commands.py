"""`amends keys`, and commands that sign with `--key`."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starter.client.errors import WrongSetting
from starter.client.keys import make_key, read_key
from tests.starter.conftest import Command

Payment = Callable[..., dict[str, Any]]


async def test_a_key_that_is_made_and_added_signs_until_it_is_revoked(
    command: Command, agent: str, payment: Payment, tmp_path: Path
) -> None:
    file = str(tmp_path / "bot.pem")
    made = (await command("keys", "make", file, "--json")).json
    holder = ("--holder", f"agent:{agent}", "--as", "user:u-17")
    added = await command("keys", "add", made["public_key"], *holder, "--until", "tomorrow")
    assert (added.status, "--until" in added.err) == (2, True)
    until = ("--until", "2099-01-01T00:00:00Z", "--json")
    added = await command("keys", "add", made["public_key"], *holder, *until)
    assert (added.status, added.json["key"]) == (0, made["key"])
    unsigned = await command("pay", payment(10_000), "--json")
    assert (unsigned.json["state"], unsigned.json["unsigned"]) == ("captured", True)
    signed = await command("pay", payment(10_000), "--key", file, "--json")
    assert (signed.json["state"], "unsigned" in signed.json) == ("captured", False)
    waiting = await command("pay", large := payment(55_000), "--key", file, "--json")
    assert (waiting.status, waiting.json["unsigned"]) == (4, False)
    # Whoever decides has to sign as well.
    approved = await command("approve", large["operation_id"], "--json")
    assert (approved.status, approved.json["unsigned"]) == (0, True)
    listed = (await command("keys", "list", "--holder", f"agent:{agent}")).out
    assert made["key"] in listed
    revoked = await command(
        "keys", "revoke", made["key"], "--reason", "stolen", "--as", "user:u-17"
    )
    assert revoked.status == 0, revoked.err
    denied = await command("pay", payment(10_000), "--key", file, "--json")
    assert (denied.status, denied.json["reason"]) == (1, "invalid_signature")
    [known] = (await command("keys", "list", "--holder", f"agent:{agent}", "--json")).json
    assert (known["state"], known["reason"]) == ("revoked", "stolen")


async def test_a_decision_on_the_command_line_is_signed_by_whoever_decides(
    command: Command, payment: Payment, tmp_path: Path
) -> None:
    request, file = payment(55_000), str(tmp_path / "ana.pem")
    assert (await command("pay", request, "--json")).status == 4
    ana = ("--as", "user:ana", "--key", file, "--json")
    public = (await command("keys", "make", file, "--json")).json["public_key"]
    refused = await command("approve", request["operation_id"], *ana)
    assert (refused.status, "invalid_signature" in refused.err) == (2, True)
    added = await command("keys", "add", public, "--holder", "user:ana", "--as", "user:ana")
    assert added.status == 0, added.err
    approved = await command("approve", request["operation_id"], *ana)
    assert approved.status == 0, approved.err


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (None, 0o600, "can't be read"),
        ("", 0o600, "no private key"),
        ("secret", 0o600, "no private key"),
        ("secret", 0o644, "may be read by others"),
    ],
)
def test_a_key_file_that_is_none_or_open_to_others_is_refused_without_its_content(
    tmp_path: Path, text: str | None, mode: int, why: str
) -> None:
    file = tmp_path / "key.pem"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(WrongSetting, match=why) as refused:
        read_key(file)
    assert "secret" not in str(refused.value)


def test_a_key_is_read_as_it_was_made_and_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    made = make_key(file)
    assert read_key(file).id == made.id
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "private" not in repr(made).lower()
    with pytest.raises(WrongSetting, match="can't be written"):
        make_key(file)
