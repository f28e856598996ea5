"""Speaks to a client of another language: the TypeScript SDK, in a node process of its own."""

import asyncio
import json
import shutil
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.driver import Json

FOLDER = Path(__file__).parent
INSTALL = "npm ci --prefix tests/foreign"
_MODULES = FOLDER / "node_modules"
# The limit of a call that has nothing to do with time.
_WITHIN_S = 20.0
# Failures that are an answer: no trace of our code belongs into them.
ANSWERS = {"InvalidInput", "operation_id_reused", "operation_in_progress", "not_allowed"}


def missing() -> str | None:
    """The sentence that says what to install; None where all is there."""
    if shutil.which("node") is None:
        return f"node is missing: install Node.js 20 or newer, then run {INSTALL}"
    if not (_MODULES / "@temporalio/client").is_dir():
        return f"the SDK of TypeScript is missing: run {INSTALL}"
    return None


class ForeignFailure(Exception):
    """What the foreign client could decode of a failure. `origin` is the `saga` that ended or
    refused so, the `server`, or the `client`, which could not make sense of the answer."""

    def __init__(self, origin: str, told: Json) -> None:
        super().__init__(f"{origin}: {json.dumps(told)}")
        self.origin, self.told = origin, told
        self.type: str | None = told.get("type")
        self.message: str = told["message"]
        self.details: list[Any] = told.get("details", [])

    @property
    def fields(self) -> list[str]:
        """The fields that the failure names."""
        return [problem["field"] for problem in self.details]

    def leaks(self) -> list[str]:
        """What a public failure may not hold."""
        if self.origin != "saga":
            return [f"not a failure of a saga: {self}"]
        found = ["a cause"] if "cause" in self.told else []
        if self.told["error"] != "ApplicationFailure":
            found.append(self.told["error"])
        if self.type in ANSWERS and self.told["stack_trace"]:
            found.append("a stack trace")
        return found


def raw(data: bytes, encoding: str = "json/plain") -> Json:
    """An argument that is sent as it is, under the name of an encoding."""
    return {"$raw": b64encode(data).decode(), "encoding": encoding}


class Foreign:
    """The client of another language; its calls may run side by side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}

    async def call(
        self, call: str, workflow_id: str, *, within_s: float = _WITHIN_S, **more: Any
    ) -> Any:
        """Let it make a call: see `Command` of client.ts. Raises ForeignFailure."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "call": call, "workflow_id": workflow_id, **more}
        command["within_ms"] = round(within_s * 1_000)
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        said = await answer
        if "failure" in said:
            raise ForeignFailure(said["from"], said["failure"])
        return said["value"]

    async def listen(self) -> None:
        """Read its answers until it leaves."""
        assert self._process.stdout
        async for line in self._process.stdout:
            said = json.loads(line)
            answer = self._waiting.pop(said["id"])
            if not answer.done():
                answer.set_result(said)
        for answer in self._waiting.values():
            answer.set_exception(EOFError("the foreign client has left"))


@contextmanager
def compiled(**sources: str) -> Iterator[Path]:
    """A folder with our programs, and those in `sources` (name and TypeScript)."""
    with tempfile.TemporaryDirectory(prefix="build-", dir=FOLDER) as name:
        folder = Path(name)
        for program in ("client.ts", "types.ts"):
            shutil.copy(FOLDER / program, folder)
        for name, text in sources.items():
            (folder / f"{name}.ts").write_text(text)
        settings = {"extends": "../tsconfig.json", "include": ["*.ts"]}
        (folder / "tsconfig.json").write_text(json.dumps(settings))
        yield folder


async def compile_in(folder: Path) -> None:
    """Compile what is in a folder, strictly. Raises AssertionError with what is wrong."""
    compiler = await asyncio.create_subprocess_exec(
        *("node", str(_MODULES / "typescript/bin/tsc"), "-p", str(folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await compiler.communicate()
    assert compiler.returncode == 0, said.decode()


@asynccontextmanager
async def foreign_client(folder: Path, address: str) -> AsyncIterator[Foreign]:
    """The client, running, on a Temporal server."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(folder / "client.js"), address),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    client = Foreign(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        assert process.stdin
        process.stdin.close()
        await asyncio.gather(process.wait(), listening)
