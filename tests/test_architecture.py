"""The rules of the house that a machine can keep."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# starter -> workflows -> activities -> ledger; the worker wires; the starter also reads the ledger.
MAY_IMPORT = {
    "ledger": set[str](),
    "activities": {"ledger"},
    "workflows": {"activities", "ledger"},
    "starter": {"workflows", "ledger"},
    "worker": {"workflows", "activities", "ledger"},
}
ROOMS = frozenset(MAY_IMPORT)
# Names that say nothing: what is in such a file belongs beside its user.
NO_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "models", "base", "misc"})
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 70


def python_files() -> list[Path]:
    """All Python files that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


FILES = python_files()


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield node.module or ""


def against_the_way(room: str, source: str) -> list[str]:
    """What a file of a room imports and may not."""
    roots = {module.split(".")[0] for module in imports_of(ast.parse(source))}
    wrong = (roots & ROOMS) - MAY_IMPORT[room] - {room}
    if room == "ledger":
        wrong |= roots & {"temporalio"}
    return sorted(wrong | (roots & {"tests", "benchmarks"}))


def too_long(source: str) -> list[str]:
    """The functions that nobody can see at once."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        f"{node.name}: {lines} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, functions)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


def test_there_are_files_in_every_room() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} >= ROOMS


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_go_one_way(room: str) -> None:
    wrong = {
        name_of(path): found
        for path in FILES
        if path.relative_to(ROOT).parts[0] == room
        and (found := against_the_way(room, path.read_text()))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("room", "line", "wrong"),
    [
        ("ledger", "import temporalio.client", ["temporalio"]),
        ("ledger", "from activities import errors", ["activities"]),
        ("activities", "def later():\n    from workflows.engine.saga import Saga", ["workflows"]),
        ("workflows", "import worker.wiring", ["worker"]),
        ("starter", "from activities.errors import REFUSED", ["activities"]),
        ("worker", "from starter import Amends", ["starter"]),
        ("starter", "from ledger.read.log import log", []),
    ],
)
def test_an_import_against_the_way_is_seen(room: str, line: str, wrong: list[str]) -> None:
    assert against_the_way(room, line) == wrong


def test_files_are_short() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    long = {name_of(path): found for path in FILES if (found := too_long(path.read_text()))}
    assert long == {}


def test_a_long_function_is_seen() -> None:
    body = "    pass\n" * MAX_FUNCTION_LINES
    assert too_long(f"async def long():\n{body}") == [f"long: {MAX_FUNCTION_LINES + 1} lines"]


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [name_of(path) for path in FILES if path.stem in NO_NAMES] == []


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_nothing_connects_when_a_room_is_imported(room: str) -> None:
    """Every module can be imported where nothing can be reached and nothing is set."""
    modules = sorted(
        name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path in FILES
        if path.relative_to(ROOT).parts[0] == room
        and path.stem != "__main__"
        and "migrations" not in path.parts
    )
    refuse = (
        "import socket\n"
        "def refused(*_): raise AssertionError('connects at import')\n"
        "socket.socket.connect = refused\n"
    )
    code = refuse + "".join(f"import {module}\n" for module in modules)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
