"""A door in front of a server: open, closed (connection refused), or stuck (no byte passes)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

HOST = "127.0.0.1"


class Gate:
    """Passes bytes between its own port and the server of `url`, while it is open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.port is not None
        self._url, self._server_port, self._port = url, parts.port, 0
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._unstuck = asyncio.Event()
        self._unstuck.set()

    @property
    def url(self) -> str:
        """The server's URL, through this gate."""
        return self._url.replace(f":{self._server_port}/", f":{self._port}/")

    async def open(self) -> None:
        """Let everything through, on the same port as before."""
        self._unstuck.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._enter, HOST, self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def stick(self) -> None:
        """From now on connections stand, and nothing passes."""
        self._unstuck.clear()

    async def close(self) -> None:
        """Cut what passes, and refuse new connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(HOST, self._server_port)
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while data := await source.read(65_536):
                    await self._unstuck.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()


@asynccontextmanager
async def tcp_gate(url: str) -> AsyncIterator[Gate]:
    """An open gate in front of the server of `url`, inside the block."""
    gate = Gate(url)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.close()
