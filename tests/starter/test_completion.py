"""Completion in real shells, by the script that `amends completion` prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from starter.cli.run import run

INSTALL = {
    "bash": "apt-get install bash",
    "zsh": "apt-get install zsh",
    "fish": "apt-get install fish",
}
# Each prints what the shell would offer for the words of $1, the last of which is incomplete.
ASK = {
    "bash": """
        eval "$(amends completion bash)"
        read -ra COMP_WORDS <<< "amends $1"
        [[ "$1" == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _amends_completion amends
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """
        autoload -Uz compinit && compinit -u -D
        eval "$(amends completion zsh)"
        [[ ${_comps[amends]} == _amends_completion ]] || exit 9
        words=(amends ${=1}); [[ "$1" == *' ' ]] && words+=("")
        CURRENT=${#words}
        # Outside of a key press these two have nowhere to put their words.
        compadd() { local array=$@[-1]; print -l -- ${(P)array}; }
        _describe() { local array=$3; print -l -- ${${(P)array}%%:*}; }
        _amends_completion amends
    """,
    "fish": """
        amends completion fish | source
        complete --do-complete "amends $argv[1]" | string replace -r "\\t.*" ""
        true
    """,
}
OFFERED = {
    "sag": {"sagas", "saga"},
    "policy s": {"set", "show"},
    "sagas --op": {"--open"},
    "completion ": {"bash", "zsh", "fish"},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `amends` is this one."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "amends"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m starter.cli "$@"\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("words", OFFERED)
@pytest.mark.parametrize("shell", ASK)
def test_a_shell_offers_commands_options_and_values(
    path: str, shell: str, words: str, tmp_path: Path
) -> None:
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"needs {shell}: {INSTALL[shell]}")
    start = {"bash": ["--norc", "-c"], "zsh": ["-f", "-c"], "fish": ["--no-config", "-c"]}[shell]
    name = [] if shell == "fish" else [shell]
    environment = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [program, *start, ASK[shell], *name, words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert OFFERED[words] <= set(done.stdout.split())


def test_another_shell_is_refused_with_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["completion", "tcsh"]) == 2
    assert "SHELL: bash or zsh or fish is needed" in capsys.readouterr().err
