"""Certificates in files, and a TLS client that a test drives record by record."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import pathlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme

from pywscore import TLSContext

MIB = 1 << 20
KINDS = ["TLSContext", "SSLContext"]


# Of what ssl.SSLContext has otherwise, or not at all.
tls_context = pytest.mark.parametrize("files", ["TLSContext"], indirect=True)
# Loops' own TLS ends differently there, or says less.
engine_only = pytest.mark.usefixtures("on_engine")


@dataclasses.dataclass(frozen=True)
class Certificates:
    server: ssl.SSLContext
    client: ssl.SSLContext


class Files:
    """``server()`` and ``client()`` make settings of one of KINDS."""

    def __init__(self, folder: pathlib.Path, kind: str = "TLSContext") -> None:
        self.folder = folder
        self.kind = kind
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.chain = self.issue("server", "localhost", "127.0.0.1")

    def issue(self, file: str, *names: str, **kwargs: Any) -> pathlib.Path:
        path = self.folder / f"{file}.pem"
        made = self.authority.issue_cert(*names, **kwargs)
        made.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def expired(self, name: str) -> pathlib.Path:
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        return self.issue("expired", name, not_after=past)

    def server(self, chain: pathlib.Path | None = None, **kwargs: Any) -> Any:
        if self.kind == "TLSContext":
            return TLSContext.server(chain or self.chain, **kwargs)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain or self.chain)
        if kwargs:
            context.load_verify_locations(kwargs.pop("client_ca"))
            optional = kwargs.pop("client_certificates", "") == "optional"
            context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
        assert not kwargs
        return context

    def client(
        self, certificate: pathlib.Path | None = None, trusting: bool = True
    ) -> Any:
        ca = self.ca if trusting else None
        if self.kind == "TLSContext":
            return TLSContext.client(ca=ca, certificate=certificate)
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def python_client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    def python_server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context


async def exchange(ws: Any) -> None:
    """Messages of some sizes with a server that echoes."""
    for message in ("text", b"x" * 300, b"y" * MIB):
        await ws.send(message)
        assert await ws.recv() == message


class TLSPeer:
    """A client whose TLS is in memory, so that a test decides what is sent when.

    What ``write()`` encrypts, one record each, waits for ``flush()``.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._got = b""

    @classmethod
    async def open(cls, server: Any, context: ssl.SSLContext) -> TLSPeer:
        host, port = server.sockets[0].getsockname()
        return cls(*await asyncio.open_connection(host, port), context)

    def encrypted(self) -> bytes:
        """What would be sent."""
        return self._out.read()

    def flush(self) -> None:
        self.writer.write(self.encrypted())

    def fail(self) -> None:
        """Say why, by a fatal alert, if TLS has begun."""
        self._in.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        with contextlib.suppress(ssl.SSLError):
            self.ssl.read(1)
        self.flush()

    async def _receive(self) -> bool:
        data = await self.reader.read(1 << 16)
        self._in.write(data) if data else self._in.write_eof()
        return bool(data)

    async def handshake(self) -> None:
        while True:
            try:
                self.ssl.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                await self._receive()
        self.flush()

    def write(self, data: bytes) -> None:
        assert self.ssl.write(data) == len(data)

    async def _read_more(self) -> None:
        while True:
            try:
                data = self.ssl.read(1 << 16)
            except ssl.SSLWantReadError:
                await self._receive()
                continue
            if not data:
                raise EOFError
            self._got += data
            return

    async def read_until(self, end: bytes) -> bytes:
        """All that came up to ``end``."""
        while end not in self._got:
            await self._read_more()
        found, _, self._got = self._got.partition(end)
        return found + end

    async def read_exactly(self, size: int) -> bytes:
        while len(self._got) < size:
            await self._read_more()
        found, self._got = self._got[:size], self._got[size:]
        return found

    async def drain(self) -> BaseException | None:
        """Read to the end; what was wrong with it, if anything."""
        try:
            while True:
                await self._read_more()
        except (EOFError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return None
        except (ssl.SSLError, OSError) as exc:
            return exc


@contextlib.asynccontextmanager
async def s_client(
    server: Any, ca: pathlib.Path, head: bytes, *options: str
) -> AsyncIterator[tuple[Any, Any]]:
    """OpenSSL's, connected to a server, or a port, and past the opening handshake: its
    input, in which a letter that comes first may be a command, and its output."""
    port = server if isinstance(server, int) else server.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options),
        *("-CAfile", str(ca), "-servername", "localhost"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(head)
    await process.stdout.readuntil(b"Sec-WebSocket-Accept")
    yield process.stdin, process.stdout
    process.stdin.close()
    await process.wait()


async def sent_so_far(stdin: Any, stdout: Any, data: bytes) -> None:
    """Send ``data`` to s_client with a ping before it, and wait for the pong."""
    stdin.write(b"\x89\x84" + bytes(4) + b"ping" + data)
    await stdout.readuntil(b"\x8a\x04ping")
