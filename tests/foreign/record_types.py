"""Writes the types of the contract in TypeScript: `python -m tests.foreign.record_types`."""

import asyncio
import json
import sys
from pathlib import Path

from tests.foreign.foreign import compile_in, compiled, missing
from workflows.contract.public import contract

TYPES = Path(__file__).parents[2] / "clients/typescript/amends.ts"


async def types_of_the_contract(programs: Path) -> str:
    """The types as TypeScript, made by the program `types` in the folder of compiled ones."""
    writer = await asyncio.create_subprocess_exec(
        *("node", str(programs / "types.js")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await writer.communicate(json.dumps(contract()).encode())
    assert writer.returncode == 0
    return written.decode()


async def record() -> None:
    with compiled() as programs:
        await compile_in(programs)
        TYPES.write_text(await types_of_the_contract(programs))


if __name__ == "__main__":
    if told := missing():
        sys.exit(told)
    asyncio.run(record())
