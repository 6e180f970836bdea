"""The peer that a script drives, over TCP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Self

from .. import _core
from .._numbers import real
from ..http import host_header
from ..uri import WebSocketURI, parse_uri
from ._frames import Frame, FrameReader, frame_bytes
from ._script import ScriptError, Step, parse_script, shown_frame

__all__ = ["ScriptedPeer", "scripted_server"]


class ScriptedPeer:
    """One end of a WebSocket connection after the opening handshake, that speaks frames
    as it is told to, right or wrong, over TCP: to a server by ``connect()``, to a
    client by ``scripted_server()``.

    Args:
        reader: of the TCP connection.
        writer: of the same.
        client: it stands for a client.
        timeout: seconds that ``expect`` waits.

    Attributes:
        reader: the same: nothing is read from it but what makes a frame.
        writer: the same.
        timeout: the same.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        client: bool,
        timeout: float = 5.0,
    ) -> None:
        self.timeout = real("timeout", timeout, "a number of seconds")
        self.reader = reader
        self.writer = writer
        self._client = client
        self._frames = FrameReader()
        self._rest = b""

    @classmethod
    async def connect(cls, uri: str, *, timeout: float = 5.0) -> Self:
        """A client of a server under test; the opening handshake is done.

        Args:
            uri: ``ws://host:port/path``.
            timeout: seconds for the handshake, and that ``expect`` waits.

        Raises:
            ScriptError: if the server refuses.
            OSError: if it isn't there.
        """
        parsed = parse_uri(uri)
        timeout = real("timeout", timeout, "a number of seconds")
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(parsed.host, parsed.port)
            writer.write(_request(parsed))
            head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            writer.transport.abort()
            status = head.partition(b"\r\n")[0].decode("latin-1")
            raise ScriptError(f"the server refused: {status}")
        return cls(reader, writer, client=True, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None:
        self.reset()

    async def run(self, script: str) -> None:
        """Do a script's steps.

        Args:
            script: see ``pywscore.testing.parse_script()``.

        Raises:
            ScriptError: if something else comes than it expects.
        """
        for step in parse_script(script):
            try:
                await self._do(step)
            except ScriptError as exc:
                raise ScriptError(f"line {step.number}: {exc}") from None
            except TimeoutError:
                wanted = step.verb.removeprefix("expect ")
                if step.verb == "expect":
                    wanted = shown_frame(step.frame)
                raise ScriptError(
                    f"line {step.number}: expected {wanted}, nothing came in "
                    f"{self.timeout:g} s"
                ) from None

    async def _do(self, step: Step) -> None:
        match step.verb:
            case "send":
                await self._send(self._bytes_of(step))
            case "half":
                data = self._bytes_of(step)
                await self._send(data[: len(data) // 2])
                self._rest = data[len(data) // 2 :]
            case "rest":
                await self._send(self._rest)
                self._rest = b""
            case "bytes":
                await self._send(step.data)
            case "pause":
                await asyncio.sleep(step.seconds)
            case "end":
                self.writer.write_eof()
            case "reset":
                self.reset()
            case "expect":
                await self._expect(step)
            case "expect nothing":
                await self._expect_nothing(step.seconds)
            case "expect end" | "expect reset":
                await self._expect_end()

    def _bytes_of(self, step: Step) -> bytes:
        return frame_bytes(step.frame, client=self._client, mask=step.mask)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Args:
            data: anything.
        """
        await self._send(data)

    def send_frame(self, opcode: int, payload: bytes = b"", fin: bool = True) -> None:
        """Send a frame, masked as it has to be, without waiting for room.

        Args:
            opcode: 0 to 15.
            payload: of any size.
            fin: it is the last of its message.
        """
        frame = Frame(opcode, payload, fin)
        self.writer.write(frame_bytes(frame, client=self._client))

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame.

        Args:
            code: 0 to 65535.
            reason: says more.
        """
        self.send_frame(8, code.to_bytes(2, "big") + reason.encode())

    async def close_code(self) -> int:
        """What the next close frame says, whatever comes before: 1005 for nothing,
        1006 if TCP ends without one.

        Raises:
            TimeoutError: if none comes in time.
        """
        while (frame := await self.receive()) is not None:
            if frame.opcode == 8:
                code = frame.payload[:2]
                return int.from_bytes(code, "big") if code else 1005
        return 1006

    async def receive(self) -> Frame | None:
        """The next frame, None at the end of TCP.

        Raises:
            TimeoutError: if none comes in time.
        """
        async with asyncio.timeout(self.timeout):
            while True:
                try:
                    data = await self.reader.read(self._frames.missing)
                except OSError:
                    return None
                if not data:
                    return None
                if frames := self._frames.feed(data):
                    return frames[0]

    def reset(self) -> None:
        """End TCP at once."""
        self.writer.transport.abort()

    async def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # what comes next says more
            self.writer.write(data)
            await self.writer.drain()

    async def _expect(self, step: Step) -> None:
        frame = await self.receive()
        wanted = step.frame
        if frame is None:
            raise ScriptError(f"expected {shown_frame(wanted)}, the connection ended")
        if frame.masked == self._client:
            raise ScriptError(f"{shown_frame(frame)} came with a wrong mask")
        same = (frame.opcode, frame.fin, frame.rsv) == (
            *(wanted.opcode, wanted.fin),
            wanted.rsv,
        )
        payload = frame.payload
        if wanted.opcode == 8 and len(wanted.payload) == 2:
            payload = payload[:2]  # any reason
        if not same or not (step.any_payload or payload == wanted.payload):
            raise ScriptError(
                f"expected {shown_frame(wanted)}, got {shown_frame(frame)}"
            )

    async def _expect_nothing(self, seconds: float) -> None:
        before, self.timeout = self.timeout, seconds
        try:
            frame = await self.receive()
        except TimeoutError:
            return
        finally:
            self.timeout = before
        what = "the end" if frame is None else shown_frame(frame)
        raise ScriptError(f"expected nothing, got {what}")

    async def _expect_end(self) -> None:
        frame = await self.receive()
        if frame is not None:
            raise ScriptError(f"expected the end, got {shown_frame(frame)}")
        if self._frames.rest:
            raise ScriptError("the connection ended within a frame")


@contextlib.asynccontextmanager
async def scripted_server(
    *scripts: str, timeout: float = 5.0, subprotocol: str | None = None
) -> AsyncIterator[str]:
    """A server that does a script with each connection, for clients under test::

        async with scripted_server('send text "hi"\\nsend close 1000') as uri:
            ...

    Args:
        scripts: of the first connection, the second, and so on; the last is repeated.
        timeout: seconds that ``expect`` waits.
        subprotocol: what to answer as Sec-WebSocket-Protocol.

    Returns:
        Its ``ws://`` URI.

    Raises:
        ScriptError: at the end, of the first script that failed or wasn't done.
    """
    timeout = real("timeout", timeout, "a number of seconds")
    for script in scripts or ("",):
        parse_script(script)
    failures: list[BaseException] = []
    tasks: set[asyncio.Task[None]] = set()
    count = 0

    async def accepted(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal count
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        script = scripts[min(count, len(scripts) - 1)] if scripts else ""
        count += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(_response(head, subprotocol))
            peer = ScriptedPeer(reader, writer, client=False, timeout=timeout)
            await peer.run(script)
        except asyncio.CancelledError:
            failures.append(ScriptError("a script wasn't at its end"))
        except (ScriptError, OSError, EOFError) as exc:
            failures.append(exc)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}/"
    finally:
        server.close()
        if tasks:
            await asyncio.wait(list(tasks), timeout=timeout)
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))
    if failures:
        raise failures[0]


def _request(uri: WebSocketURI) -> bytes:
    lines = [
        f"GET {uri.resource_name} HTTP/1.1",
        f"Host: {host_header(uri.host, uri.port, 80)}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _response(head: bytes, subprotocol: str | None) -> bytes:
    key = ""
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "sec-websocket-key":
            key = value.strip()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {_core.accept_key(key)}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode()
