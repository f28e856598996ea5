"""The examples of docs/contract.md do what the page says, as they stand there; the types are those
of the schemas."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.foreign.foreign import compile_in, compiled, missing
from tests.foreign.record_types import TYPES, types_of_the_contract
from tests.support.probe import Probe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/contract.md").read_text()


def example(language: str) -> str:
    """The one block of code of the page in a language."""
    [code] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(code)


async def output_of(environment: dict[str, str], *command: str) -> str:
    """What a program prints, which has to succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=os.environ | environment | {"PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, out.decode() + err.decode()
    return out.decode()


@pytest.fixture(scope="module")
async def told_by_the_command_line(environment: dict[str, str], working: None) -> str:
    return await output_of(environment, "bash", "-euc", example("bash"))


@pytest.fixture(scope="module")
async def program() -> AsyncIterator[Path]:
    """The example in TypeScript, compiled strictly beside the types of the contract."""
    if told := missing():
        pytest.skip(told)
    with compiled(pay=example("typescript"), amends=TYPES.read_text()) as folder:
        await compile_in(folder)
        yield folder


async def test_the_example_for_the_temporal_command_line_pays(
    told_by_the_command_line: str, probe: Probe
) -> None:
    told = told_by_the_command_line
    for word in ("registered", "policy_version", "pending_approval", "approved", "captured"):
        assert word in told
    query = "SELECT * FROM mock_bank.transfers WHERE key = 'payment/expenses-2026-11'"
    assert [row["status"] for row in await probe.bank(query)] == ["executed"]


async def test_the_example_in_typescript_pays_once_however_often_it_runs(
    environment: dict[str, str], program: Path, told_by_the_command_line: str, probe: Probe
) -> None:
    first = await output_of(environment, "node", str(program / "pay.js"))
    assert re.fullmatch(r"captured TRF-\S+\n", first)
    assert await output_of(environment, "node", str(program / "pay.js")) == first
    query = "SELECT * FROM mock_bank.transfers WHERE key = 'payment/rent-2026-11'"
    assert [row["deliveries"] for row in await probe.bank(query)] == [1]


async def test_the_types_are_those_of_the_schemas(program: Path) -> None:
    assert TYPES.read_text() == await types_of_the_contract(program), (
        "record the types again: python -m tests.foreign.record_types"
    )
