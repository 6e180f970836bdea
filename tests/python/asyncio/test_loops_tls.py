"""What of asyncio's TLS is found, and what is left alone."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ssl
from asyncio import sslproto
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tls_peer import Files, TLSPeer

from pywscore.asyncio import _loops_tls

KINDS = ["SSLContext"]


class Accepted(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport


@contextlib.asynccontextmanager
async def accepted(files: Files) -> AsyncIterator[tuple[Any, TLSPeer]]:
    """A transport of asyncio's, and its peer."""
    protocol = Accepted()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: protocol, "127.0.0.1", 0, ssl=files.server()
    )
    async with server:
        peer = await TLSPeer.open(server, files.python_client())
        await peer.handshake()
        while not hasattr(protocol, "transport"):
            await asyncio.sleep(0)
        yield protocol.transport, peer
        protocol.transport.abort()
        peer.writer.transport.abort()


def run(main: Any) -> None:
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


def too_much() -> ssl.MemoryBIO:
    bio = ssl.MemoryBIO()
    bio.write(bytes((1 << 16) + 1))
    return bio


def not_sent() -> ssl.MemoryBIO:
    bio = ssl.MemoryBIO()
    bio.write(b"x")
    return bio


class OtherProtocol(sslproto.SSLProtocol):
    pass


class OtherTransport(asyncio.Transport):
    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        pass


STATES: Any = sslproto.SSLProtocolState  # type: ignore[attr-defined]
OTHERS: dict[str, Any] = {
    "_state": STATES.FLUSHING,
    "_sslobj": object(),
    "_sslcontext": None,
    "_incoming": too_much(),
    "_outgoing": not_sent(),
    "_write_backlog": collections.deque([b"x"]),
    "_transport": OtherTransport(),
    "_extra": None,
    "__class__": OtherProtocol,
}
NAMES = [name for name in OTHERS if name != "__class__"]


@pytest.mark.parametrize("name", [*NAMES, "_ssl_buffer", "_ssl_buffer_view"])
def test_a_name_is_missing(files: Files, name: str) -> None:
    async def main() -> None:
        async with accepted(files) as (transport, _):
            protocol = transport._ssl_protocol
            assert _loops_tls.of_transport(transport) is not None
            value = getattr(protocol, name)
            delattr(protocol, name)
            assert _loops_tls.of_transport(transport) is None
            setattr(protocol, name, value)

    run(main)


@pytest.mark.parametrize("name", _loops_tls._READS)
def test_a_method_is_missing(
    files: Files, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody can say whether a read runs."""

    async def main() -> None:
        async with accepted(files) as (transport, _):
            with monkeypatch.context() as patch:
                patch.delattr(sslproto.SSLProtocol, name)
                assert _loops_tls.of_transport(transport) is None
            assert _loops_tls.of_transport(transport) is not None

    run(main)


@pytest.mark.parametrize("name", OTHERS)
def test_something_is_otherwise(files: Files, name: str) -> None:
    async def main() -> None:
        async with accepted(files) as (transport, _):
            protocol = transport._ssl_protocol
            value = getattr(protocol, name)
            setattr(protocol, name, OTHERS[name])
            assert _loops_tls.of_transport(transport) is None
            setattr(protocol, name, value)
            assert _loops_tls.of_transport(transport) is not None

    run(main)


def test_the_socket_has_not_taken_all(files: Files) -> None:
    async def main() -> None:
        async with accepted(files) as (transport, peer):
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            while transport._ssl_protocol._transport.get_write_buffer_size() == 0:
                transport.write(bytes(1 << 20))
            assert _loops_tls.of_transport(transport) is None

    run(main)


def test_other_transports(files: Files) -> None:
    async def main() -> None:
        async with accepted(files) as (transport, peer):
            plain = peer.writer.transport
            assert _loops_tls.of_transport(plain) is None
            assert _loops_tls.of_transport(asyncio.Transport()) is None
            transport.close()
            assert _loops_tls.of_transport(transport) is None
            transport.close()  # and now it has no protocol
            assert _loops_tls.of_transport(transport) is None

    run(main)


def test_what_is_forgotten(files: Files) -> None:
    """The transport ends; what was taken from it stays as it was."""

    async def main() -> None:
        async with accepted(files) as (transport, _):
            tls = _loops_tls.of_transport(transport)
            assert tls is not None
            assert len(transport._ssl_protocol._ssl_buffer) > 1 << 16
            _loops_tls.forget(transport)
            tls.outgoing.write(b"to be sent")
            tls.incoming.write(b"to be read")
            name = transport.get_extra_info("peername")
            transport.abort()
            await asyncio.sleep(0.01)
            assert (tls.outgoing.read(), tls.incoming.read()) == (
                b"to be sent",
                b"to be read",
            )
            assert transport.get_extra_info("ssl_object") is tls.made
            assert transport.get_extra_info("peername") == name is not None
            assert len(transport._ssl_protocol._ssl_buffer) == 0

    run(main)
