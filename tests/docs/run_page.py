"""Runs the Python blocks of a page in their order:  python run_page.py PAGE [SECONDS]

Those of the page that are pieces share one namespace, in which `await` is allowed;
programs are processes. A server is there for the blocks behind it, until another server
takes its port, or the page ends. Ports in the page stand for free ones.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from blocks import PROGRAM, Block, blocks, is_tested_elsewhere

PORT = re.compile(r"(?<![\d.])(8765|8766|8000|8080|8443)(?!\d)")
UVICORN = re.compile(r"^(?:uvicorn|gunicorn) .*$", re.MULTILINE)
# Seconds for a block, and for a server to start or to end.
PATIENCE = int(sys.argv[2]) if sys.argv[2:] else 40


class Failed(Exception):
    """What is wrong with a block, and where it is."""


class Server:
    """A server of the page, which at least one block has to talk to."""

    def __init__(self, block: Block, process: asyncio.subprocess.Process) -> None:
        self.block = block
        self.used = False
        self._process = process
        assert process.stderr is not None
        self._said = asyncio.ensure_future(process.stderr.read())

    async def listens(self, port: int) -> None:
        while self._process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise Failed(f"{self.block.where}: {(await self._said).decode()}")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = await asyncio.wait_for(self._process.wait(), PATIENCE)
        finally:
            self.kill()
        said = (await self._said).decode()
        if status not in (0, -signal.SIGTERM) or "Traceback" in said:
            raise Failed(f"{self.block.where}: ended with {status}\n{said}")
        if not self.used:
            raise Failed(f"{self.block.where}: no block talks to this server")


class Page:
    def __init__(self, page: Path) -> None:
        self.page = page
        self.names: dict[str, Any] = {"__name__": "page"}
        self.ports: dict[str, str] = {}
        self.servers: dict[str, Server] = {}
        self.printed = ""  # by the last block

    async def run(self) -> None:
        try:
            for block in blocks(self.page):
                if not is_tested_elsewhere(block):
                    self._limit(block)
                    await self._run(block)
        finally:
            signal.alarm(0)
            for server in self.servers.values():
                await server.stop()

    def _limit(self, block: Block) -> None:
        """By a signal, since some pages move the loop's own clock; and without an
        exception, which a callback of the loop might be the one to get."""

        def late(*_: object) -> None:
            print(f"{block.where}: not done after {PATIENCE} s", file=sys.stderr)
            for server in self.servers.values():
                server.kill()
            sys.stderr.flush()
            os._exit(1)

        signal.signal(signal.SIGALRM, late)
        signal.alarm(PATIENCE)

    async def _run(self, block: Block) -> None:
        if block.language == "sh" and (line := UVICORN.search(block.text)):
            await self._serve(block, [sys.executable, "-m", *line[0].split()])
        elif block.title == "Output":
            self._compare(block)
        elif block.language == "python":
            for server in self.servers.values():
                server.used |= not block.is_server
            if block.title.endswith(".py") or block.is_program:
                name = block.title or f"line_{block.line}.py"
                Path(name).write_text(self._with_ports(block.text), encoding="utf-8")
            if block.is_server:
                await self._serve(block, [sys.executable, name])
            elif block.is_program:
                self.printed = await self._program(block, name)
            if block.is_program:
                self._define(block)
            else:
                await self._piece(block)

    def _define(self, block: Block) -> None:
        """What a program has, for the pieces that follow."""
        tree = ast.parse(self._with_ports(block.text))
        tree.body = [node for node in tree.body if not PROGRAM.match(ast.unparse(node))]
        exec(compile(tree, block.page, "exec"), self.names)

    async def _piece(self, block: Block) -> None:
        """With the lines and the name of the page, for tracebacks."""
        code = compile(
            "\n" * (block.line - 1) + self._with_ports(block.text),
            block.page,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            result = eval(code, self.names)
            if inspect.isawaitable(result):
                await result
        self.printed = output.getvalue()

    async def _start(
        self, command: list[str], stdout: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _program(self, block: Block, name: str) -> str:
        process = await self._start([sys.executable, name])
        try:
            printed, said = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if process.returncode:
            raise Failed(f"{block.where}: {said.decode()}")
        return printed.decode()

    async def _serve(self, block: Block, command: list[str]) -> None:
        text = block.text
        if command[1] == "-m":
            command += [] if "--port" in text else ["--port", "8000"]
            text = " ".join(command)
            command = self._with_ports(text).split()
        [port] = PORT.findall(text)[:1] or [""]
        if not port:
            raise Failed(f"{block.where}: a server on none of the ports 8765, 8000 …")
        if port in self.servers:
            await self.servers.pop(port).stop()
        process = await self._start(command, stdout=asyncio.subprocess.DEVNULL)
        server = Server(block, process)
        self.servers[port] = server
        await server.listens(int(self.ports[port]))

    def _with_ports(self, text: str) -> str:
        return PORT.sub(lambda match: self._port(match[0]), text)

    def _port(self, written: str) -> str:
        if written not in self.ports:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.ports[written] = str(free.getsockname()[1])
        return self.ports[written]

    def _compare(self, block: Block) -> None:
        printed = self.printed
        for written, free in self.ports.items():
            printed = printed.replace(free, written)
        if printed.rstrip().splitlines() != block.text.rstrip().splitlines():
            raise Failed(f"{block.where}: what is printed is\n{printed}")


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    try:
        asyncio.run(Page(Path(sys.argv[1]).resolve()).run())
    except Failed as failed:
        sys.exit(str(failed))
