"""The banks of the tour: the mock bank's tables, or with BIND=1 the BIND simulator as a process."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote
from urllib.request import Request, urlopen

import psycopg

from starter.demo.errors import DemoServersFailed

START_DEADLINE_S = 20
# The tour's word for a fault, and what the simulator does then.
BIND_FAULTS: Mapping[str, dict[str, Any]] = {
    "refuse": {"http": 409, "code": "TX046"},
    "slow_after": {"when": "after", "cut": "hang"},
}


class Bank(Protocol):
    """A bank whose next call for a payment can be scripted, and whose books can be read."""

    async def script(self, saga_id: str, fault: str, delay_ms: int) -> None:
        """Script a fault: `refuse`, or `slow_after` (the work is done, the answer comes late)."""
        ...

    async def has(self, saga_id: str) -> tuple[int, str]:
        """The number of transfers under the payment's key, and the state of the last."""
        ...


class MockBankTables:
    """The database of the mock bank."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def script(self, saga_id: str, fault: str, delay_ms: int) -> None:
        """See Bank."""
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute(
                "INSERT INTO mock_bank.faults (key, fault, delay_ms) VALUES (%s, %s, %s)",
                (saga_id, fault, delay_ms),
            )

    async def has(self, saga_id: str) -> tuple[int, str]:
        """See Bank."""
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            cursor = await connection.execute(
                "SELECT status FROM mock_bank.transfers WHERE key = %s", (saga_id,)
            )
            rows = await cursor.fetchall()
        return len(rows), rows[-1][0] if rows else "none"


class BindSimulated:
    """The BIND simulator of the tests, running inside `async with`. `settings` lets a worker pay
    there."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bank"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_DEADLINE_S):
            line = await self._process.stdout.readline()
        if not line:
            raise DemoServersFailed("BIND=1 needs the checkout of Amends: run it in that folder")
        self.settings: dict[str, str] = json.loads(line)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()

    async def script(self, saga_id: str, fault: str, delay_ms: int) -> None:
        """See Bank."""
        await self._ask("faults", saga_id, BIND_FAULTS[fault])

    async def has(self, saga_id: str) -> tuple[int, str]:
        """See Bank."""
        moved = (await self._ask("transfers", saga_id))["moved"]
        return moved, "executed" if moved else "none"

    async def _ask(self, what: str, saga_id: str, body: Any = None) -> Any:
        base = self.settings["AMENDS_BIND_URL"].removesuffix("/v1")
        url = f"{base}/simulator/{what}?key={quote(saga_id)}"
        data = json.dumps(body).encode() if body is not None else None

        def ask() -> Any:
            with urlopen(Request(url, data=data)) as answer:
                return json.load(answer)

        return await asyncio.to_thread(ask)
