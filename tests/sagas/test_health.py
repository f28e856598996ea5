"""`GET /health`: what it says, and that it never waits for what it asks about."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import aiohttp
import pytest

from ledger.database import open_database
from ledger.store.rehearsal import rehearse
from tests.sagas.conftest import Place
from tests.support.driver import Json
from tests.support.tcp_gate import tcp_gate
from tests.support.until import DEADLINE_S, until
from tests.support.worker_process import free_address
from worker import health
from worker.health import Probe, serve_health
from worker.settings import needed


async def well() -> None:
    """A server that answers."""


async def never() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise ConnectionError("postgresql://amends:secret@somewhere/")


Ask = Callable[[], Awaitable[tuple[int, Json]]]


async def is_status(ask: Ask, status: int) -> bool:
    return (await ask())[0] == status


async def is_told(ask: Ask, server: str, error: str) -> bool:
    return bool((await ask())[1][server].get("error") == error)


@asynccontextmanager
async def serving(**probes: Probe) -> AsyncIterator[Ask]:
    """Health of these probes; `await ask()` gives status and body."""
    host, port = free_address().split(":")
    async with serve_health(host, int(port), probes), aiohttp.ClientSession() as http:

        async def ask() -> tuple[int, Json]:
            async with http.get(f"http://{host}:{port}/health") as answer:
                return answer.status, await answer.json()

        yield ask


async def test_it_is_well_when_all_servers_answer() -> None:
    async with serving(database=well, temporal=well) as ask:
        await until(lambda: is_status(ask, 200))
        status, body = await ask()
    assert (status, body["status"]) == (200, "ok")
    assert body["database"]["ok"] is True
    assert 0 <= body["database"]["answered_ms"] <= health.PROBE_TIMEOUT_S * 1_000


async def test_servers_that_fail_or_answer_late_are_named_and_nothing_of_them_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "PROBE_TIMEOUT_S", 0.05)
    late = "no answer within 0.05 s"
    for name, probe, error in [("database", broken, "ConnectionError"), ("bank", never, late)]:
        async with serving(**{name: probe, "temporal": well}) as ask:
            await until(partial(is_told, ask, name, error))
            status, body = await ask()
        assert (status, body["status"]) == (503, "unavailable")
        assert body[name] == {"ok": False, "error": error}
        assert body["temporal"]["ok"] is True


async def test_it_answers_while_a_probe_never_returns_that_it_is_not_well() -> None:
    asked = asyncio.Event()

    async def hangs() -> None:
        asked.set()
        await never()

    async with serving(database=hangs, temporal=well) as ask:
        await asked.wait()
        # The probe is in the middle of its wait, and the handler does not wait with it.
        status, body = await ask()
    assert (status, body["database"]) == (503, {"ok": False, "error": "not asked yet"})


def test_what_was_found_long_ago_is_not_believed() -> None:
    finding = health.Finding(ok=True, answered_ms=1, error=None)
    assert finding.as_json()["ok"] is True
    finding.checked_at -= 60
    assert finding.as_json()["ok"] is False


async def test_it_answers_whoever_asks_while_others_connect_and_say_nothing() -> None:
    host, port = free_address().split(":")
    async with (
        serve_health(host, int(port), {"database": well}),
        aiohttp.ClientSession() as http,
        AsyncExitStack() as stack,
    ):
        silent = []
        for _ in range(health.CONNECTIONS + 1):
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            silent.append(reader)
        async with http.get(f"http://{host}:{port}/health") as answer:
            assert answer.status in (200, 503)
        # The oldest had to leave, and nobody else.
        async with asyncio.timeout(DEADLINE_S):
            assert await silent[0].read() == b""
        assert not silent[-1].at_eof()


async def test_a_database_that_hangs_is_told_of_and_so_is_its_recovery(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_TIMEOUT_S", 1.0)
    monkeypatch.setattr(health, "PROBE_EVERY_S", 0.1)
    url = needed(place.settings.database_url, "AMENDS_DATABASE_URL")
    async with (
        tcp_gate(url) as gate,
        open_database(gate.url, size=2) as database,
        serving(database=lambda: rehearse(database)) as ask,
    ):
        await until(lambda: is_status(ask, 200))
        gate.stick()
        await until(lambda: is_status(ask, 503))
        # What this probe found, and not the age of the last one: the probe itself does not hang.
        assert (await ask())[1]["database"]["error"] == "no answer within 1 s"
        await gate.open()
        await until(lambda: is_status(ask, 200))
