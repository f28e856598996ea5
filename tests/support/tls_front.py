"""A TLS front of a server: with a certificate of its own, and for clients that have one, too."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from shutil import which

import pytest

HOST = "127.0.0.1"


async def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of HOST, signed by its own key, and that key, by the openssl command; skips the
    test where that is missing."""
    if which("openssl") is None:
        pytest.skip("openssl is missing: apt-get install openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
        *("-subj", "/CN=amends", "-addext", f"subjectAltName=IP:{HOST}"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-keyout", key, "-out", certificate),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    return certificate, key


@asynccontextmanager
async def tls_front(
    address: str, certificate: Path, key: Path, *, asks: bool
) -> AsyncIterator[str]:
    """The address of a TLS front of `address`, which asks clients for a certificate or does not."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
    passing: set[asyncio.Task[None]] = set()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*address.split(":"))
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            passing.add(asyncio.create_task(_pass(source, sink)))

    server = await asyncio.start_server(enter, HOST, ssl=context)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
    finally:
        sink.close()
