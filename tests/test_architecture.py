"""The rules of the house that a machine can keep."""

import ast
import re
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
# Inside a room: the folders that a folder may import, beside itself. `.` is the room's own files.
LEDGER_ROOT = frozenset({"."})
FOLDER_MAY_IMPORT: dict[str, dict[str, frozenset[str]]] = {
    "ledger": {
        ".": frozenset(),
        "aggregates": frozenset(),
        "store": LEDGER_ROOT | {"aggregates"},
        "sagas": LEDGER_ROOT | {"aggregates", "store"},
        "read": LEDGER_ROOT | {"aggregates", "store"},
        "audit": LEDGER_ROOT | {"aggregates", "store", "read"},
        "migrations": LEDGER_ROOT | {"aggregates"},
    },
    "activities": {
        ".": frozenset({"adapters", "providers", "statements"}),
        "adapters": frozenset({"statements"}),
        "statements": frozenset(),
        "providers": frozenset(),
    },
    "workflows": {
        ".": frozenset({"contract", "engine", "planning"}),
        "contract": frozenset(),
        "engine": frozenset({"contract"}),
        "planning": frozenset({"contract"}),
    },
    "starter": {
        ".": frozenset({"client"}),
        "client": frozenset(),
        "cli": frozenset({"client"}),
        "demo": frozenset({"client"}),
    },
    "worker": {".": frozenset({"embedded"}), "embedded": frozenset({"."})},
}
# Names that say nothing: what is in such a file belongs beside its user.
NO_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "models", "base", "misc"})
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 70


def python_files() -> list[Path]:
    """All Python files that git knows or would take."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
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


def folder_of(parts: tuple[str, ...]) -> str:
    """The folder inside its room of a file or a module, by the parts of its name."""
    return parts[1] if parts[1:] and (ROOT / parts[0] / parts[1]).is_dir() else "."


def against_the_folders(room: str, folder: str, source: str) -> list[str]:
    """The folders of its own room that a file imports and may not."""
    named = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == room:
            named |= {f"{room}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add(node.module or "")
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    imported = {folder_of(tuple(name.split("."))) for name in named if name.split(".")[0] == room}
    return sorted(imported - FOLDER_MAY_IMPORT[room][folder] - {folder})


def too_long(source: str) -> list[str]:
    """The functions that nobody can see at once."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        f"{node.name}: {lines} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, functions)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_go_one_way_between_the_rooms_and_between_the_folders_of_a_room(room: str) -> None:
    wrong = {}
    for path in FILES:
        if (parts := path.relative_to(ROOT).parts)[0] == room:
            source = path.read_text()
            found = against_the_folders(room, folder_of(parts), source)
            wrong[name_of(path)] = against_the_way(room, source) + found
    assert {name: found for name, found in wrong.items() if found} == {}


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


@pytest.mark.parametrize(
    ("room", "folder", "line", "wrong"),
    [
        ("ledger", "aggregates", "from ledger.store.commit import commit", ["store"]),
        ("ledger", "sagas", "from ledger.read import log", ["read"]),
        ("ledger", "read", "def later():\n    import ledger.audit.verify", ["audit"]),
        ("ledger", "store", "from ledger.errors import Fenced", []),
        ("workflows", "contract", "from workflows.engine.saga import Saga", ["engine"]),
        ("workflows", "engine", "from workflows.payment import PaymentSaga", ["."]),
        ("workflows", "planning", "from workflows.contract.change import Resource", []),
        ("starter", "client", "from starter.cli.options import actor", ["cli"]),
    ],
)
def test_an_import_against_the_folders_is_seen(
    room: str, folder: str, line: str, wrong: list[str]
) -> None:
    assert against_the_folders(room, folder, line) == wrong


def test_every_file_finds_its_folder_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| \[(\w+(?:/\w+)?)/\]\((\w+(?:/\w+)?)\) \|", readme, re.MULTILINE)
    assert all(name == target for name, target in rows)
    folders = {
        f"{room}/{folder}".removesuffix("/.")
        for room, within in FOLDER_MAY_IMPORT.items()
        for folder in within
    }
    assert sorted(name for name, _ in rows) == sorted(folders)
    found = {
        f"{parts[0]}/{folder_of(parts)}".removesuffix("/.")
        for path in FILES
        if (parts := path.relative_to(ROOT).parts)[0] in ROOMS
    }
    assert found == folders


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


def test_nothing_connects_when_a_module_is_imported() -> None:
    """Every module can be imported where nothing can be reached and nothing is set."""
    modules = sorted(
        name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path in FILES
        if path.relative_to(ROOT).parts[0] in ROOMS
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
