"""A replay finds what the first run found: what the files of workflows may use.

The sandbox, where it is on, sees the same at run time; this sees it before, on every path, and with
the sandbox off (docs/decisions/015). What only a replay shows, tests/sagas/test_replay.py shows;
what one run could leave for another, tests/test_shared_state.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).parent.parent / "workflows"
FILES = sorted(WORKFLOWS.rglob("*.py"))

# Not here: time, random, uuid, secrets, os, socket, threading, subprocess, and all that uses them.
MODULES = frozenset(
    {
        *("activities", "ledger", "workflows"),
        *("pydantic", "pydantic_core", "temporalio"),
        *("asyncio", "collections", "dataclasses", "datetime", "difflib", "enum", "functools"),
        *("graphlib", "re", "typing"),
    }
)
# Of temporalio: what a workflow may hold, and the base of interceptors. Its clients and its testing
# call the outside.
TEMPORAL = frozenset({"api", "common", "contrib", "converter", "exceptions", "worker", "workflow"})
# `asyncio.sleep`, `wait`, `wait_for` and `as_completed` have their places in `workflow`, where they
# are seen in the history or keep an order; `to_thread` and the loop itself lead out.
ASYNCIO = frozenset(
    {
        *("CancelledError", "FIRST_COMPLETED", "Task"),
        *("create_task", "current_task", "gather", "shield"),
    }
)
NAMES = frozenset({"open", "print", "input", "exec", "eval", "__import__", "globals", "id", "hash"})
# Each is another one at the replay: `workflow.now()` is not.
CLOCKS = frozenset({"now", "utcnow", "today"})


def against_replay(source: str) -> list[str]:
    """What would differ at a replay, or reaches out of the workflow."""
    tree = ast.parse(source)
    return [found for node in ast.walk(tree) for found in _wrong(node)]


def _wrong(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (f"import {name.name}" for name in names if not _may_import(name.name))
        case ast.ImportFrom(module=module, names=names):
            whole = [
                f"{module}.{name.name}" if module == "temporalio" else module for name in names
            ]
            yield from (f"import {name}" for name in whole if not _may_import(name or ""))
            if module == "asyncio":
                yield f"from asyncio import {', '.join(name.name for name in names)}"
        case ast.Attribute(value=ast.Name(id="asyncio"), attr=name) if name not in ASYNCIO:
            yield f"asyncio.{name}"
        case ast.Attribute(value=ast.Name(id="datetime" | "date" as of), attr=name) if (
            name in CLOCKS
        ):
            yield f"{of}.{name}"
        case ast.Attribute(value=ast.Name(id="workflow"), attr="unsafe"):
            yield "workflow.unsafe"
        case ast.Name(id=name) if name in NAMES:
            yield name
        case ast.Global():
            yield "global"
        case ast.For(iter=over) | ast.comprehension(iter=over) if _is_set(over):
            # Its order is the process's own: strings hash otherwise in each.
            yield "iteration over a set"


def _may_import(module: str) -> bool:
    root, _, rest = module.partition(".")
    if root == "temporalio":
        return rest.partition(".")[0] in TEMPORAL
    return root in MODULES


def _is_set(node: ast.AST) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
    return False


# A mark in the history keeps what the settings said; a replay asks for it whatever they say now.
ALLOWED = {"engine/inbound.py": ["workflow.unsafe"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(WORKFLOWS).as_posix())
def test_a_workflow_file_uses_nothing_that_differs_at_a_replay(path: Path) -> None:
    allowed = ALLOWED.get(path.relative_to(WORKFLOWS).as_posix(), [])
    assert against_replay(path.read_text()) == allowed


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import time", "import time"),
        ("import random", "import random"),
        ("def later():\n    from uuid import uuid4", "import uuid"),
        ("import os.path", "import os"),
        ("from temporalio import client", "import temporalio.client"),
        ("import temporalio.client", "import temporalio.client"),
        ("from asyncio import sleep", "from asyncio import sleep"),
        ("async def run():\n    await asyncio.sleep(1)", "asyncio.sleep"),
        ("async def run():\n    await asyncio.to_thread(work)", "asyncio.to_thread"),
        ("then = datetime.now(UTC)", "datetime.now"),
        ("today = date.today()", "date.today"),
        ("with workflow.unsafe.sandbox_unrestricted(): pass", "workflow.unsafe"),
        ("text = open(name).read()", "open"),
        ("def count():\n    global runs", "global"),
        ("for name in set(names): pass", "iteration over a set"),
        ("found = [name for name in {*names}]", "iteration over a set"),
    ],
)
def test_what_differs_at_a_replay_is_seen(source: str, wrong: str) -> None:
    [found] = against_replay(source)
    assert found.startswith(wrong)


def test_what_a_workflow_may_use_is_let_through() -> None:
    source = (
        "import asyncio\nfrom temporalio import workflow\n"
        "from ledger.aggregates.saga_step import UndoPlan\n"
        "async def run():\n"
        "    await asyncio.gather(*map(asyncio.create_task, works))\n"
        "    for name in sorted(set(names)): await workflow.sleep(workflow.now() - began)\n"
    )
    assert against_replay(source) == []
