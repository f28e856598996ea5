"""The command line without any server: usage, refusals, exit statuses, one line of error."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from starter.cli.commands import amends
from starter.cli.run import run
from worker.__main__ import command_line
from workflows.contract.kinds import KINDS, SagaKind
from workflows.contract.payment import PaymentResult

CBU = "2850590940090418135201"
PAYMENT: dict[str, Any] = {
    "operation_id": "expenses-2026-11",
    "agent_id": "expense-bot",
    "amount": {"minor": 4_500_000, "currency": "ARS"},
    "destination": {"cbu": CBU},
    "description": "building expenses",
}


def role(name: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "kind": "postgres.role", **parts}


CHANGE: dict[str, Any] = {
    "operation_id": "shop-42",
    "present": [
        {"name": "shop-db", "kind": "postgres.database", "spec": {"owner": "shop-app"}},
        role("shop-app", spec={"login": True}),
    ],
}


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, and a folder in which nothing runs: what reaches for a server fails as 3."""
    for name in os.environ:
        if name.startswith(("AMENDS_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], status: int) -> str:
    """The one line of error of a command that ends with this status and prints nothing else."""
    assert run(arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("amends: ")
    assert err.count("\n") == 1
    return err


def written(fields: dict[str, Any]) -> str:
    Path("request").write_text(json.dumps(fields))
    return "request"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"amount": {"minor": -1, "currency": "ARS"}}, "amount.minor: "),
        ({"amount": {"minor": 0, "currency": "ARS"}}, "amount.minor: more than 0 is needed"),
        ({"amount": {"minor": 1.5, "currency": "ARS"}}, "amount.minor: a whole number is needed"),
        ({"amount": {"minor": "100", "currency": "ARS"}}, "amount.minor: "),
        ({"amount": {"minor": 10**13, "currency": "ARS"}}, "amount.minor: at most 1000000000000"),
        ({"amount": {"minor": 10**30, "currency": "ARS"}}, "amount.minor: "),
        ({"amount": {"minor": 100, "currency": "ZZZ"}}, "amount.currency: "),
        ({"destination": {"cbu": CBU[:-1] + "2"}}, "destination.cbu: "),
        ({"destination": CBU}, "destination: "),
        ({"destination": 7}, "destination: an object is needed"),
        ({"operation_id": "a b"}, "operation_id: 1 to 64 of A-Z a-z 0-9 . _ - are needed"),
        ({"operation_id": "with spaces"}, "operation_id: "),
        ({"operation_id": "x" * 65}, "operation_id: "),
        ({"operation_id": ""}, "operation_id: "),
        ({"operation_id": 7}, "operation_id: text is needed"),
        ({"approve_within": "1 day"}, "approve_within: "),
        ({"approve_within": "P400D"}, "approve_within: more than zero and at most P366D"),
        ({"approve_within": "PT0S"}, "approve_within: more than zero and at most P366D"),
        ({"approve_within": "Pnonsense"}, "approve_within: an ISO 8601 duration such as"),
        ({"capture": "later"}, "capture: one of 'automatic' or 'manual' is needed"),
        ({"surprise": 1}, "surprise: unknown field: leave it out"),
        ({"description": "two\nlines"}, "description: "),
        ({"description": "x" * 201}, "description: at most 200 characters are allowed"),
        ({"description": "\ud800"}, "input: holds half a character"),
        ({"metadata": {"x": 1.5}}, "metadata: "),
        ({"metadata": 7}, "metadata: an object is needed"),
    ],
)
def test_a_bad_payment_is_refused_by_field_in_words_of_json_and_not_by_value(
    capsys: pytest.CaptureFixture[str], changed: dict[str, Any], told: str
) -> None:
    request, value = written(PAYMENT | changed), str(next(iter(changed.values())))
    for more in ([], ["--json"], ["--reason", "because", "--as", "me"]):
        error = refused(capsys, ["pay", request, *more], 2)
        assert f"amends: {told}" in error
        assert len(value) < 5 or value not in error
        assert CBU[:-1] not in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "\udcff"], "an argument is no text in UTF-8"),
        (["saga", "a\ud800"], "an argument is no text in UTF-8"),
        (["log", "--limit", "99999999999999999999"], "--limit"),
        (["follow", "--limit", "99999999999999999999"], "--limit"),
    ],
)
def test_what_no_database_takes_is_refused_before_any_is_asked(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert told in refused(capsys, arguments, 2)


def test_a_missing_field_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, ["pay", written({"destination": {"cbu": CBU}})], 2)
    assert "agent_id: is missing; amount: is missing" in error


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"present": [{"name": "a", "kind": "no.such", "spec": {}}]}, "present[0].kind"),
        ({"present": [{"name": "a", "kind": "nonsense"}]}, "present[0].kind"),
        ({"present": [role("a b")]}, "present[0].name"),
        ({"present": [*CHANGE["present"], role("x", spec={"y": 1})]}, "present[2].spec.y"),
        ({"present": [{"name": "x", "kind": "postgres.database"}]}, "present[0].spec.owner"),
        (
            {"present": [role("a", depends_on=["b"]), role("b", depends_on=["a"])]},
            "present[0].depends_on",
        ),
        ({"absent": ["shop-app"]}, "absent[0]"),
        ({"environment": "a/b"}, "environment"),
        ({"actor": "nobody"}, "actor"),
        ({"surprise": True}, "surprise"),
    ],
)
def test_a_bad_change_is_refused_by_field(
    capsys: pytest.CaptureFixture[str], change: dict[str, Any], field: str
) -> None:
    request = written(CHANGE | change)
    for command in ("apply", "plan"):
        assert f"{field}: " in refused(capsys, [command, request], 2)


def test_a_yaml_that_does_not_parse_is_refused_with_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("bad.yaml").write_text("present:\n  - {name: a\n")
    assert "line 3" in refused(capsys, ["apply", "bad.yaml"], 2)


POLICY = "policy set b --daily-limit 0 --approval-threshold 0 "


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("nonsense", "no such command: see amends --help"),
        ("pay x y", "an argument too many: see amends pay --help"),
        ("pay", "FILE is missing: see amends pay --help"),
        ("pay nothing.json", ""),
        ("pay request --surprise", ""),
        ("schema NoSaga", "PaymentSaga"),
        ("rollback", "--to is missing: see"),
        ("rollback --to yesterday", ""),
        ("rollback --to before:x --at yesterday", ""),
        ("rollback --to before:x --at 2020-01-01T00:00:00Z", ""),
        ("rollback --to before:x --at 2099-01-01T00:00:00", ""),
        (f"rollback --to before:x --at PT1H --operation-id {'x' * 44}", ""),
        ("rollback --to before:x --at PT1H --plan", ""),
        ("rollback --to before:x --as robot:7", ""),
        ("rollback --to before:x --environment a/b --resource a/b", "--resource: "),
        ("sagas --limit 0", "--limit: a whole number from 1 to 100000 is needed: see amends sagas"),
        ("sagas --limt 3", "no option named --limt, perhaps --limit"),
        ("sagas -2850", "no such option"),
        ("sagas --json=3", "--json: a value is missing, or one too many"),
        ("log --after x", ""),
        (
            "log --after 1.5",
            "--after: a token as log and follow print it, such as 1-742-15, is needed",
        ),
        ("policy set bot", ""),
        (f"{POLICY} --max-per-transaction -4 --currency ARS", "amends: --max-per-transaction: "),
        (f"{POLICY} --max-per-transaction 4 --currency Peso", "amends: --currency: "),
        ("rebuild", ""),
        ("rebuild event_log", "there are agents, authorizations, cases, keys, mandates, "),
        ("agent register bot", ""),
        ("agent register bot --user x/y", "amends: --user: "),
        ("agent register b/t --user x --as a:b", "--as: "),
        ("agent register b/t --user x", "amends: NAME: "),
        ("agent register 'b t' --user u", "amends: NAME: "),
    ],
)
def test_wrong_words_are_status_2_and_told_by_option_and_not_by_value(
    capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    error = refused(capsys, shlex.split(words), 2)
    assert told in error
    assert not [value for value in ("nonsense", "1.5", "2850", "a/b", "x/y") if value in error]


@pytest.mark.parametrize("group", ["", "agent", "policy", "schedule"])
def test_a_group_alone_prints_its_help_and_no_sentence_of_it_is_cut(
    capsys: pytest.CaptureFixture[str], group: str
) -> None:
    for words in ([], ["--help"]):
        assert run([*group.split(), *words]) == 0
        out, err = capsys.readouterr()
        assert (out.startswith("Usage: amends"), err) == (True, "")
        assert "..." not in out.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        (
            "cancel x, agent register bot --user u, schedule list, "
            "rollback --to before:x --at PT1H",
            "Temporal at 127.0.0.1:1 can't be reached: run amends up",
        ),
        (
            "sagas, saga x, log, show x, verify, agent list, waiting, approve x, capture x",
            "AMENDS_AUDIT_URL is not set",
        ),
        ("env", "no amends up runs in this folder"),
    ],
)
def test_without_its_server_a_command_has_status_3_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], commands: str, told: str
) -> None:
    for command in commands.split(", "):
        assert told in refused(capsys, command.split(), 3)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.workflow)
def test_schema_prints_input_and_result_with_the_fields_of_the_contract(
    capsys: pytest.CaptureFixture[str], kind: SagaKind
) -> None:
    assert run(["schema", kind.workflow]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema) == {"input", "result"}
    assert set(schema["input"]["properties"]) == set(kind.request.model_fields)
    assert schema["input"]["additionalProperties"] is False
    assert "state" in schema["result"]["properties"]
    if kind.result is PaymentResult:
        states = set(schema["result"]["properties"]["state"]["enum"])
        assert {"captured", "denied", "rejected"} <= states


def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "starter.cli", "schema", "PaymentSaga"],
            stdout=full, stderr=subprocess.PIPE, text=True, env=_environment(),
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "amends: the answer can't be written: No space left on device\n"


def _commands(group: click.Group) -> list[tuple[str, click.Command]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {below}", each) for below, each in _commands(command)]
        else:
            found.append((name, command))
    return found


@pytest.mark.parametrize(("name", "command"), _commands(amends))
def test_every_command_takes_json_and_says_what_it_does(name: str, command: click.Command) -> None:
    passed_on = command.context_settings.get("ignore_unknown_options")
    assert passed_on or any("--json" in option.opts for option in command.params)
    assert command.help


def test_help_ends_with_status_0_and_imports_neither_temporal_nor_the_database() -> None:
    done = in_a_process("--help", python=("-X", "importtime"))
    assert done.returncode == 0
    assert "verify" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "starter.cli.run" in imported
    assert imported.isdisjoint({"temporalio", "psycopg", "sqlalchemy", "pydantic"})


def test_the_process_ends_with_the_status_of_the_command() -> None:
    assert in_a_process("schema", "NoSaga").returncode == 2
    assert in_a_process("approve", "payment/x").returncode == 3


@pytest.mark.parametrize(
    ("command", "its"), [("up", "up"), ("migrate", "migrate"), ("worker", "run")]
)
def test_what_a_server_command_takes_is_the_workers_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, its: str
) -> None:
    # A folder of the user's own that is called like one of ours.
    Path("worker").mkdir()
    Path("worker/__main__.py").write_text("raise SystemExit(9)")
    done = in_a_process(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: amends {command} " in done.stdout
    done = in_a_process(command, "--surprise=7")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"amends: no option named --surprise: see amends {command} --help\n"
    # The rest is what that process does, in this one.
    for wrong in ("--surprise", "surprise", "--queue=surprise", "--ui-port=surprise"):
        monkeypatch.setattr("sys.argv", ["worker", its, wrong])
        with pytest.raises(SystemExit) as ended:
            command_line()
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (2, "")
        assert err.startswith("amends: ")
        assert err.endswith(f": see amends {command} --help\n")
        assert err.count("\n") == 1
        assert "python" not in err


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m starter.cli schema PaymentSaga"
    piped = f"set -o pipefail; {command} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, env=_environment())
    assert done.returncode in (0, 141)
    assert done.stderr == b""


def in_a_process(*arguments: str, python: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *python, "-m", "starter.cli", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
