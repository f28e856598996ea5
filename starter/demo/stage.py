"""The stage of the tour: the client, the ledger, the external systems, the output."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import psycopg
from rich.console import Console
from rich.markup import escape

from ledger.audit.verify import Verified, verify
from ledger.database import Database
from ledger.errors import NotFound
from ledger.read.queries import sagas
from ledger.read.sagas import saga
from starter.client.client import Amends
from starter.client.short_names import short
from starter.demo.banks import Bank
from starter.demo.servers import DemoServers

Found = TypeVar("Found")

# Longer than any timeout of the worker by which a killed attempt is found out.
DEADLINE_S = 45


class Surprise(Exception):
    """A fact of the tour differs from what the scene announced."""


class Stage:
    """The tools of a scene. `run` makes the operation ids of each run new."""

    def __init__(
        self,
        amends: Amends,
        database: Database,
        servers: DemoServers,
        bank: Bank,
        console: Console,
    ) -> None:
        self.amends, self.servers, self._bank = amends, servers, bank
        self._database, self._console = database, console
        self.run = uuid4().hex[:6]
        self._scene = 0

    def scene(self, title: str) -> None:
        """Print the title of a new scene."""
        self._scene += 1
        self._console.print(f"\n[bold cyan]{self._scene}. {escape(title)}[/bold cyan]")

    def say(self, text: str) -> None:
        """Print a line of the scene."""
        self._console.print(f"   {escape(text)}", soft_wrap=True)

    async def tell(self, saga_id: str) -> None:
        """Print the events of a saga, in order, and its page in the Web UI."""
        story = await saga(self._database, saga_id)
        for event in story.events:
            when = f"{event.timestamp:%H:%M:%S.%f}"[:-3]
            self._console.print(
                f"   [dim]{when}[/dim] {event.event_type:<28} "
                f"{escape(short(event.aggregate, saga_id)):<36} [dim]{escape(event.user_id)}[/dim]",
                soft_wrap=True,
            )
        self._console.print(f"   [link]{self.link(saga_id)}[/link]", soft_wrap=True)

    def link(self, saga_id: str) -> str:
        """The page of a saga in the Temporal Web UI."""
        return f"{self.servers.web_ui}/namespaces/default/workflows/{quote(saga_id, safe='')}"

    def expect(self, what: str, found: Any, expected: Any) -> None:
        """Stop the tour when a fact differs from what the scene announced."""
        if found != expected:
            raise Surprise(f"{what} is {found!r}, not {expected!r}")

    async def until(self, what: str, look: Callable[[], Awaitable[Found | None]]) -> Found:
        """Wait for a fact; returns what was found."""
        deadline = time.monotonic() + DEADLINE_S
        while (found := await look()) is None:
            if time.monotonic() > deadline:
                raise Surprise(f"{what} was not seen within {DEADLINE_S} s")
            await asyncio.sleep(0.1)
        return found

    async def ended(self, saga_id: str) -> dict[str, Any] | None:
        """The recorded result of a saga; None while it is open or unknown."""
        try:
            result: dict[str, Any] | None = (await saga(self._database, saga_id)).row["result"]
        except NotFound:
            return None
        return result

    async def newest_saga(self, prefix: str) -> str | None:
        """The newest saga whose name begins with `prefix`; None if there is none."""
        for found in (await sagas(self._database, limit=20)).rows:
            if found["workflow_id"].startswith(prefix):
                return str(found["workflow_id"])
        return None

    async def verified(self) -> Verified:
        """Verify the ledger."""
        return await verify(self._database)

    async def script_bank(self, saga_id: str, fault: str, delay_ms: int = 0) -> None:
        """Script a fault of the bank for the next call for this payment."""
        await self._bank.script(saga_id, fault, delay_ms)

    async def bank_has(self, saga_id: str) -> tuple[int, str]:
        """The number of transfers of the bank under the payment's key, and the state of the
        last."""
        return await self._bank.has(saga_id)

    async def target_has(self, *names: str) -> list[str]:
        """The names of these roles and databases that exist on the target server."""
        rows = await _query(
            self.servers.environment["AMENDS_POSTGRES_TARGET_URL"],
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) UNION ALL "
            "SELECT datname FROM pg_database WHERE datname = ANY(%s) ORDER BY 1",
            list(names),
            list(names),
        )
        return [row[0] for row in rows]


async def _query(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []
