"""Serves `GET /health`: 200 when the database takes commits and Temporal answers, 503 when one does
not.

A probe asks both every second and the handler only reads what it found, so that the answer comes
at once even while the database hangs.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from ledger.errors import LedgerError
from worker.errors import Unreachable

PROBE_EVERY_S = 1.0
# A server that has not answered a probe for this long is not healthy.
PROBE_TIMEOUT_S = 2.0
# Whoever is on the machine may connect. A question takes no time: with more connections than these
# the oldest has to leave.
CONNECTIONS = 100

Probe = Callable[[], Awaitable[object]]


@dataclass
class Finding:
    """The result of the last probe of one server."""

    ok: bool = False
    answered_ms: int | None = None
    error: str | None = "not asked yet"
    checked_at: float = field(default_factory=time.monotonic)

    @property
    def fresh(self) -> bool:
        """Whether the last probe is recent enough to be believed."""
        # A probe that itself got stuck must not leave an old `ok` standing.
        return time.monotonic() - self.checked_at < PROBE_EVERY_S + 2 * PROBE_TIMEOUT_S

    def as_json(self) -> dict[str, object]:
        """The finding as JSON."""
        if self.ok and self.fresh:
            return {"ok": True, "answered_ms": self.answered_ms}
        return {"ok": False, "error": self.error or "the probe got no answer"}


class Health:
    """The probes by name, and their last findings."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self.findings = {name: Finding() for name in probes}

    async def probe_for_ever(self, name: str) -> None:
        """Probe one server again and again."""
        while True:
            self.findings[name] = await _probe(self._probes[name])
            await asyncio.sleep(PROBE_EVERY_S)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer `GET /health`, and nothing else."""
        if request.path != "/health":
            return web.Response(status=404, text="404: Not Found")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET,HEAD"})
        found = {name: finding.as_json() for name, finding in self.findings.items()}
        well = all(finding["ok"] for finding in found.values())
        body: dict[str, object] = {"status": "ok" if well else "unavailable", **found}
        return web.json_response(body, status=200 if well else 503)


async def _probe(probe: Probe) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await probe()
    except TimeoutError:
        return Finding(error=f"no answer within {PROBE_TIMEOUT_S:g} s")
    except (LedgerError, Unreachable) as error:
        # It names what is refused, and no value.
        return Finding(error=f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is not healthy
        return Finding(error=type(error).__name__)
    return Finding(ok=True, answered_ms=round((time.monotonic() - began) * 1000), error=None)


class Visitors(web.Server):
    """The connections of those who ask, at most `CONNECTIONS`."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(answer, access_log=None)
        self._open: dict[web.RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Let one in, and the oldest one out where there are too many."""
        super().connection_made(handler, transport)
        self._open[handler] = transport
        # A process that has no descriptor left says so in its log, for each who knocks.
        if len(self._open) > CONNECTIONS:
            self._open.pop(next(iter(self._open))).abort()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Forget one that has left."""
        self._open.pop(handler, None)
        super().connection_lost(handler, exc)


def _site(runner: web.BaseRunner, host: str, port: int, listener: int | None) -> web.BaseSite:
    if listener is None:
        return web.TCPSite(runner, host, port)
    return web.SockSite(runner, socket.socket(fileno=listener))


@asynccontextmanager
async def serve_health(
    host: str, port: int, probes: Mapping[str, Probe], listener: int | None = None
) -> AsyncIterator[Health]:
    """Serve `GET /health` on host and port while the block runs, by the listener of this file
    descriptor if one is given.

    Raises OSError when the port is taken.
    """
    health = Health(probes)
    runner = web.ServerRunner(Visitors(health.handle))
    await runner.setup()
    probing = [asyncio.create_task(health.probe_for_ever(name)) for name in probes]
    try:
        await _site(runner, host, port, listener).start()
        yield health
    finally:
        for task in probing:
            task.cancel()
        await asyncio.gather(*probing, return_exceptions=True)
        await runner.cleanup()
