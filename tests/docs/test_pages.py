"""Blocks of pages that need more around them than a page can have."""

from __future__ import annotations

import asyncio
import configparser
import inspect
import json
import logging
import re
import sys
from pathlib import Path

import pytest
import yaml
from blocks import ROOT, block, blocks

import pywscore
from pywscore.testing import Clock, serve_in_memory

# What is another one each time: times, keys, the payload of a ping.
CHANGING = re.compile(r"^[\d:]{8} |(?<=-Key: ).*|(?<=-Accept: ).*|(?<=P[IO]NG ).*")


async def converse() -> None:
    """What the page of the log shows."""

    async def handler(ws: pywscore.ServerConnection) -> None:
        async for message in ws:
            if isinstance(message, str):
                await ws.send(message.upper())

    async with (
        Clock() as clock,
        serve_in_memory(handler, server_header=None, ping_interval=20) as server,
    ):
        async with server.connect(
            "/chat?room=1",
            additional_headers={"Cookie": "secret", "Host": "127.0.0.1:8765"},
            compression=None,
            ping_interval=None,
            user_agent_header=None,
        ) as ws:
            await ws.send("hello")
            assert await ws.recv() == "HELLO"
            await ws.send(bytes(range(256)))
            await clock.advance(21)
            await ws.close(1001)


def test_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pywscore.server")
    asyncio.run(converse())
    written = block("docs/logging.md", "Log").splitlines()
    said = [record.getMessage() for record in caplog.records]
    shown = [CHANGING.sub("", CHANGING.sub("", line, count=1)) for line in written]
    assert [CHANGING.sub("", line) for line in said if line[:6] != "server"] == shown


def test_figures_of_a_load() -> None:
    """Those of the page are what `pywscore bench` prints, line by line."""

    async def echo(ws: pywscore.ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async def main() -> str:
        async with pywscore.serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            bench = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "pywscore", "bench"),
                *(f"ws://127.0.0.1:{port}/", "--connections", "4", "--messages", "100"),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await bench.communicate()
            assert bench.returncode == 0
            return output.decode()

    def labels(text: str) -> list[str]:
        return [re.split(r"  +", line)[0] for line in text.splitlines()]

    shown = labels(block("docs/how-to/measure.md", "Figures"))
    assert shown.pop() == "…"
    assert labels(asyncio.run(main()))[: len(shown)] == shown


def of_page(page: str, title: str) -> str:
    """A block that the page itself runs, too."""
    [found] = [each for each in blocks(ROOT / page) if each.title == title]
    return found.text


def test_units_of_systemd() -> None:
    units = {}
    for title in ("chat.service", "chat.socket"):
        units[title] = configparser.ConfigParser(interpolation=None)
        units[title].optionxform = str  # type: ignore[assignment, method-assign]
    units["chat.service"].read_string(block("docs/how-to/systemd.md", "chat.service"))
    units["chat.socket"].read_string(block("docs/how-to/systemd.md", "chat.socket"))
    service = units["chat.service"]["Service"]
    _, program = service["ExecStart"].split()
    assert "pywscore.run" in of_page("docs/how-to/systemd.md", Path(program).name)
    # Longer than what run() takes to end by itself.
    options = inspect.signature(pywscore.serve).parameters
    assert int(service["TimeoutStopSec"]) > options["close_timeout"].default + 2
    assert units["chat.socket"]["Socket"]["ListenStream"] == "443"


def test_containers() -> None:
    lines = block("docs/how-to/containers.md", "Dockerfile").splitlines()
    said = dict(line.split(maxsplit=1) for line in lines)
    file, folder = said["COPY"].split()
    program = of_page("docs/how-to/containers.md", file)
    assert json.loads(said["CMD"]) == ["python", f"{folder}{file}"]
    assert f'"0.0.0.0", {said["EXPOSE"]},' in program
    text = block("docs/how-to/containers.md", "deployment.yaml")
    template = yaml.safe_load(text)["spec"]["template"]
    [container] = template["spec"]["containers"]
    assert container["ports"] == [{"containerPort": int(said["EXPOSE"])}]
    probe = container["readinessProbe"]["httpGet"]
    assert (
        f'case "{probe["path"]}":'
        in (ROOT / "docs/how-to/health-checks.md").read_text()
    )
    options = inspect.signature(pywscore.serve).parameters
    grace = template["spec"]["terminationGracePeriodSeconds"]
    assert grace > options["close_timeout"].default + 2
