"""What another user of this machine may do: take a port that is free, and fill one that is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from worker.embedded.ports import HOST

_ENCRYPTION = (80877103, 80877104)
_IN_CLEAR = b"R" + (8).to_bytes(4) + (3).to_bytes(4)


@dataclass
class Impostor:
    """A listener that asks whoever connects for the password in clear, as PostgreSQL could."""

    port: int = 0
    asked: int = 0
    passwords: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(4))
                packet = await reader.readexactly(length - 4)
                if int.from_bytes(packet[:4]) not in _ENCRYPTION:
                    break
                writer.write(b"N")
            self.asked += 1
            writer.write(_IN_CLEAR)
            if await reader.readexactly(1) == b"p":
                self.passwords.append(await reader.readexactly(4))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def impostor(port: int = 0) -> AsyncIterator[Impostor]:
    """An impostor on this port, or on a free one. Raises OSError where the port is taken."""
    found = Impostor()
    async with await asyncio.start_server(found.serve, HOST, port) as server:
        found.port = server.sockets[0].getsockname()[1]
        yield found
