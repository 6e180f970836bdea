"""`pywscore connect URL`: talk to a server by hand, or in a pipe."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from typing import Any

import pywscore
from pywscore._shown import escape
from pywscore.cli._common import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    add_client_tls_options,
    add_handshake_options,
    add_verbose_option,
    bounded_int,
    connect_arguments,
    connect_errors,
    describe_close,
    parse_headers,
    wait_for_interrupt,
    without_credentials,
)
from pywscore.cli._terminal import Terminal

MAX_SHOWN_BYTES = 1024
MAX_REASON_BYTES = 123  # RFC 6455 §5.5: 125 bytes of payload, 2 for the code
MAX_PING_BYTES = 125
MAX_WAIT_SECONDS = 86_400
LAST_PONG_SECONDS = 5

HELP = """\
Type a line to send it as a text message. A line that starts with / is a command:
  /ping [text]            send a ping and show how long the pong took
  /binary HEX             send a binary message, e.g. /binary 00 ff 10
  /close [code] [reason]  close the connection (1000 unless told)
  /help                   this text
  //text                  send a text that starts with /
Ctrl-D closes with 1000, Ctrl-C with 1001."""

EXPECTED_CLOSE_CODES = {1000, 1001}


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    parser = subparsers.add_parser(
        "connect",
        help="an interactive client",
        description="Connect to a WebSocket server.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="ws://… or wss://…")
    add_handshake_options(parser)
    parser.add_argument(
        "--no-compression", action="store_true", help="do not offer permessage-deflate"
    )
    parser.add_argument(
        "--wait",
        type=lambda text: bounded_int(text, 0, MAX_WAIT_SECONDS),
        default=0,
        metavar="SECONDS",
        help="when stdin is a pipe: wait for messages so long after its end",
    )
    add_client_tls_options(parser)
    add_verbose_option(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    arguments = connect_arguments(options)
    if options.header:
        arguments["additional_headers"] = parse_headers(options.header)
    if options.subprotocol:
        arguments["subprotocols"] = options.subprotocol
    if options.origin:
        arguments["origin"] = options.origin
    return asyncio.run(Client(options.url, arguments, wait=options.wait).run())


class Client:
    """One connection, a task for each direction, and the terminal between."""

    def __init__(self, uri: str, arguments: dict[str, Any], *, wait: float) -> None:
        self._uri = uri
        self._arguments = arguments
        self._wait = wait
        self._terminal = Terminal()
        self._pings: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        interrupted = asyncio.create_task(wait_for_interrupt())
        opening = asyncio.create_task(self._open())
        try:
            await first_of(opening, interrupted)
            if not opening.done():
                return EXIT_INTERRUPTED
            ws = opening.result()
            async with ws:
                return await self._talk(ws, interrupted)
        finally:
            for task in (opening, interrupted, *self._pings):
                await cancel(task)

    async def _open(self) -> pywscore.Connection:
        with connect_errors(self._uri):
            ws: pywscore.Connection
            ws = await pywscore.connect(self._uri, **self._arguments)
            return ws

    async def _talk(
        self, ws: pywscore.Connection, interrupted: asyncio.Task[None]
    ) -> int:
        with self._terminal.input_mode():
            subprotocol = f" ({escape(ws.subprotocol)})" if ws.subprotocol else ""
            hint = " Type /help for help." if self._terminal.interactive else ""
            self._terminal.notice(
                f"Connected to {without_credentials(self._uri)}{subprotocol}.{hint}"
            )
            receiving = asyncio.create_task(self._receive(ws))
            sending = asyncio.create_task(self._send_lines(ws))
            try:
                await first_of(receiving, sending, interrupted)
                if interrupted.done():
                    await ws.close(1001)
                elif sending.done():
                    sending.result()
                # What arrived before the closing handshake ended is still shown.
                await receiving
            finally:
                await cancel(sending)
                await cancel(receiving)
        code, reason = ws.close_code, ws.close_reason
        self._terminal.notice(f"Connection closed: {describe_close(code, reason)}.")
        if interrupted.done():
            return EXIT_INTERRUPTED
        # 3000-4999 belong to the applications: only they know whether it is bad.
        expected = code in EXPECTED_CLOSE_CODES or (code or 0) >= 3000
        return 0 if expected else EXIT_FAILURE

    async def _receive(self, ws: pywscore.Connection) -> None:
        with suppress(pywscore.ConnectionClosed):
            async for message in ws:
                self._terminal.show(
                    render(message, interactive=self._terminal.interactive)
                )

    async def _send_lines(self, ws: pywscore.Connection) -> None:
        with suppress(pywscore.ConnectionClosed):
            async for line in self._terminal.lines():
                if self._terminal.interactive and line:
                    self._terminal.show(f"\x1b[36m> {escape(line)}\x1b[0m")
                if line.startswith("//"):
                    await ws.send(line[1:])
                elif line.startswith("/"):
                    if await self._command(ws, line):
                        return
                elif line or not self._terminal.interactive:
                    await ws.send(line)
            if not self._terminal.interactive:
                await self._await_last_answers(ws)
            await ws.close()

    async def _await_last_answers(self, ws: pywscore.Connection) -> None:
        """Let a server that answers each message do so before we close.

        It sees our closing frame only after a ping has come back, not in one go
        with the last message, after which it could not send any more.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_PONG_SECONDS):
                await (await ws.ping())
        await asyncio.sleep(self._wait)

    async def _command(self, ws: pywscore.Connection, line: str) -> bool:
        """Run a line that starts with a slash; True when it closed."""
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        match name:
            case "/ping":
                await self._ping(ws, rest.encode())
            case "/binary":
                try:
                    data = bytes.fromhex(rest)
                except ValueError:
                    self._terminal.notice("/binary needs pairs of hex digits")
                else:
                    await ws.send(data)
            case "/close":
                return await self._close(ws, rest)
            case "/help":
                self._terminal.notice(HELP)
            case _:
                self._terminal.notice(
                    f"There is no command {escape(name, limit=40)}; /help lists them."
                )
        return False

    async def _ping(self, ws: pywscore.Connection, data: bytes) -> None:
        if len(data) > MAX_PING_BYTES:
            self._terminal.notice(f"A ping carries at most {MAX_PING_BYTES} bytes.")
            return
        try:
            pong = await ws.ping(data or None)
        except pywscore.ConcurrencyError:
            self._terminal.notice("A ping with this text is still waiting.")
            return

        async def report() -> None:
            with suppress(pywscore.ConnectionClosed):
                latency = await pong
                self._terminal.notice(f"Pong after {latency * 1000:.2f} ms.")

        task = asyncio.create_task(report())
        self._pings.add(task)
        task.add_done_callback(self._pings.discard)

    async def _close(self, ws: pywscore.Connection, arguments: str) -> bool:
        code_text, _, reason = arguments.partition(" ")
        try:
            code = int(code_text) if code_text else 1000
        except ValueError:
            self._terminal.notice("/close needs a number, e.g. /close 1000 goodbye")
            return False
        if len(reason.encode()) > MAX_REASON_BYTES:
            self._terminal.notice(f"A reason has at most {MAX_REASON_BYTES} bytes.")
            return False
        if not is_sendable(code):
            self._terminal.notice(f"{code} must not be sent as a close code.")
            return False
        await ws.close(code, reason)
        return True


def is_sendable(code: int) -> bool:
    """RFC 6455 §7.4: 1005, 1006 and 1015 are never sent, 1004 has no meaning."""
    if 1000 <= code <= 1014:
        return code not in {1004, 1005, 1006}
    return 3000 <= code <= 4999


def render(message: str | bytes, *, interactive: bool) -> str:
    """A message as it may be printed: one line each when nobody watches."""
    if isinstance(message, str):
        if not interactive:
            return escape(message, keep="\t")
        return "< " + escape(message, keep="\t\n").replace("\n", "\n  ")
    if not interactive:
        return bytes(message).hex(" ")
    shown = bytes(message[:MAX_SHOWN_BYTES]).hex(" ")
    more = len(message) - MAX_SHOWN_BYTES
    tail = f" … and {more:,} more" if more > 0 else ""
    unit = "byte" if len(message) == 1 else "bytes"
    return f"< [{len(message):,} {unit}] {shown}{tail}".rstrip()


async def first_of(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over; its result does not matter."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
