"""Runs the Temporal dev server in a network of its own, and lets only one user in.

The dev server has no authentication, and whoever is on the machine can connect to a port of
127.0.0.1. So the server listens where nobody else is, and this program outside in its place: it
passes on what comes from processes of its own user (or root), as the kernel names the owner of the
other end. The Web UI also has to be asked for by its own address: a page of another site, or of a
name that was pointed here, is refused.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from aiohttp import ClientSession, web

from worker.embedded.ports import HOST
from worker.embedded.private_network import Connections, leave_network

Answer = Awaitable[web.StreamResponse]

_PR_SET_PDEATHSIG = 1
# Of one hop, by RFC 9110; and the length, which the next hop says anew.
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length")
)


class Door:
    """Who may come in: processes of our own user, and of root."""

    def __init__(self) -> None:
        self._connections = Connections()
        self._users = {os.geteuid(), 0}
        self._told: set[int | None] = set()

    def lets_in(self, transport: asyncio.BaseTransport) -> bool:
        """Whether the other end of this connection may come in."""
        peer, here = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        owner = self._connections.owner(peer, here) if peer and here else None
        if owner in self._users:
            return True
        if owner not in self._told:
            self._told.add(owner)
            who = "a process that is gone" if owner is None else f"user {owner}"
            print(f"refused a connection of {who}: see docs/security.md", flush=True)
        return False


class Pipe(asyncio.Protocol):
    """One end of a connection that is passed on: what it receives is written to the other end."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Write it to the other end."""
        self._others().write(data)

    def eof_received(self) -> bool:
        """Say so to the other end, which may have more to say."""
        self._others().write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other end."""
        if self.other is not None:
            self._others().close()

    def pause_writing(self) -> None:
        """Read no more from the other end."""
        self._others().pause_reading()

    def resume_writing(self) -> None:
        """Read on from the other end."""
        self._others().resume_reading()

    def _others(self) -> asyncio.Transport:
        assert self.other is not None
        assert self.other.transport is not None
        return self.other.transport


class Entrance(Pipe):
    """The outer end: it is joined to the port of the server inside, if the door lets it in."""

    def __init__(self, door: Door, port: int) -> None:
        super().__init__()
        self._door, self._port = door, port
        self._joining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is."""
        super().connection_made(transport)
        assert self.transport is not None
        if not self._door.lets_in(transport):
            self.transport.abort()
            return
        self.transport.pause_reading()
        self._joining = asyncio.create_task(self._join(self.transport))

    async def _join(self, transport: asyncio.Transport) -> None:
        try:
            _, inner = await asyncio.get_running_loop().create_connection(Pipe, HOST, self._port)
        except OSError:
            transport.abort()
            return
        self.other, inner.other = inner, self
        if transport.is_closing():
            self._others().close()
        else:
            transport.resume_reading()


class Visitors(web.Server):
    """The connections to the Web UI, of those whom the door lets in: it looks before a word is
    said, so that nobody else holds a descriptor."""

    def __init__(self, door: Door, answer: Callable[[web.BaseRequest], Answer]) -> None:
        super().__init__(answer)
        self._door = door

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Look who it is."""
        super().connection_made(handler, transport)
        if not self._door.lets_in(transport):
            transport.abort()


class WebUi:
    """The Web UI, for pages of its own address."""

    def __init__(self, port: int, session: ClientSession) -> None:
        self._port, self._session = port, session
        # Not `localhost`: on [::1] another user of the machine may listen on the same port.
        self._hosts = {f"{HOST}:{port}"}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Pass a request on, or refuse it with status 403 and the reason."""
        if (why := self._refusal(request)) is not None:
            return web.Response(status=403, text=f"refused: {why}\n")
        url = f"http://{HOST}:{self._port}{request.raw_path}"
        headers = [(name, value) for name, value in request.headers.items() if _goes_on(name)]
        asked = self._session.request(
            *(request.method, url),
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        )
        async with asked as inner:
            answer = web.StreamResponse(status=inner.status, reason=inner.reason)
            answer.headers.extend((k, v) for k, v in inner.headers.items() if _goes_on(k))
            answer.headers["X-Frame-Options"] = "DENY"
            await answer.prepare(request)
            async for part in inner.content.iter_any():
                await answer.write(part)
            await answer.write_eof()
            return answer

    def _refusal(self, request: web.BaseRequest) -> str | None:
        origin = request.headers.get("Origin")
        asked = {request.host, *([origin.removeprefix("http://")] if origin else [])}
        if not asked <= self._hosts:
            return f"ask for http://{HOST}:{self._port}, and from its own pages"
        return None


def _goes_on(header: str) -> bool:
    return header.lower() not in _HOP_BY_HOP


async def run(listeners: dict[int, socket.socket], door: Door, command: Sequence[str]) -> int:
    """Run the server until it ends; returns its exit status."""
    server = await asyncio.create_subprocess_exec(*command, preexec_fn=_end_with_us)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server, number)
    (grpc, grpc_listener), (ui, ui_listener) = listeners.items()
    await loop.create_server(lambda: Entrance(door, grpc), sock=grpc_listener)
    async with ClientSession(auto_decompress=False) as session:
        runner = web.ServerRunner(Visitors(door, WebUi(ui, session).answer))
        await runner.setup()
        await web.SockSite(runner, ui_listener).start()
        status = await server.wait()
        await runner.cleanup()
    return status if status >= 0 else 128 - status


def _end_with_us() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop(server: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        server.send_signal(number)


def main(grpc: str, ui: str, *command: str) -> int:
    """Run `command`, a server on two ports, behind its guard; returns its exit status.

    grpc, ui: file descriptors of listeners on these ports. Who started us holds them too, so that
    the ports stay ours when we are killed.
    """
    opened = [socket.socket(fileno=int(descriptor)) for descriptor in (grpc, ui)]
    listeners = {listener.getsockname()[1]: listener for listener in opened}
    door = Door()
    leave_network()
    return asyncio.run(run(listeners, door, command))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
