"""What somebody new does, from the wheel to a server behind nginx, with the programs of
the documentation."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from blocks import ROOT, blocks
from programs import free_port
from reverse_proxies import Nginx

sys.path.insert(0, str(ROOT / "tests" / "checks"))

import packages

pytestmark = pytest.mark.external

TUTORIAL = "docs/tutorial/08-first-server.md"
LIBRARIES = """
import pywscore
files = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line}
print(*sorted(it for it in files if "/pywscore.libs/" in it), sep="\\n")
"""


def of_page(title: str, language: str = "python") -> str:
    page = [each for each in blocks(ROOT / TUTORIAL) if each.language == language]
    return next(each.text for each in page if each.title == title)


class Newcomer:
    """An empty folder, an environment without pywscore, and a wheel of this tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv/bin/python"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYWSCORE", "COV_"))
        }
        self.environment["PYTHONUNBUFFERED"] = "1"

    def run(self, *command: object, **more: str) -> str:
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *command: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(self.python), *map(str, command)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )

    def wheel(self) -> Path:
        """As it is published under Linux: with its libraries inside."""
        # Without optimization: it is compiled in half of the time.
        self.run(
            *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"),
            *("--no-build-isolation", "--disable-pip-version-check"),
            *("-w", self.folder / "plain", ROOT),
            CFLAGS="-O0 -g0",
        )
        [wheel] = (self.folder / "plain").glob("*.whl")
        if sys.platform != "linux":
            return wheel
        return packages.repair(wheel, self.folder / "repaired")

    def install(self, wheel: Path) -> None:
        """Where there is no compiler, and nothing to be had but the wheel."""
        self.run(sys.executable, "-m", "venv", "--without-pip", "venv")
        self.environment |= {"PATH": str(self.python.parent), "CC": "/nonexistent"}
        for name in ("cc", "gcc", "clang", "c99", "make", "patchelf"):
            assert shutil.which(name, path=self.environment["PATH"]) is None
        self.run(
            *(sys.executable, "-m", "pip", "--python", self.python, "install", "-q"),
            *("--no-index", "--find-links", wheel.parent, "--only-binary", ":all:"),
            *("--disable-pip-version-check", "pywscore"),
        )

    def write(self, name: str, text: str, port: int) -> None:
        (self.folder / name).write_text(text.replace("8765", str(port)))


def answers(url: str) -> bytes:
    """What HTTP gives there, as soon as something listens."""
    for _ in range(500):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            return error.read()
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{url} doesn't answer")


def test_path(tmp_path: Path) -> None:
    user = Newcomer(tmp_path)
    user.install(user.wheel())
    said = user.run(user.python, "-P", ROOT / "tests/checks/echo.py")
    assert f"echoes, from {tmp_path}" in said
    if sys.platform == "linux":
        libraries = [Path(it) for it in user.run(user.python, "-c", LIBRARIES).split()]
        assert all(it.is_relative_to(tmp_path) for it in libraries)
        names = [it.name.partition("-")[0] for it in libraries]
        assert names == ["libcrypto", "libssl"]

    # A server and a client.
    port = free_port()
    for name in ("server.py", "client.py"):
        user.write(name, of_page(name), port)
    server = user.start("server.py")
    try:
        assert b"Upgrade" in answers(f"http://127.0.0.1:{port}/")
        printed = user.run(user.python, "client.py")
        assert printed == of_page("Output", "text")

        # Measured.
        said = user.run(
            *(user.python, "-m", "pywscore", "bench", f"ws://127.0.0.1:{port}/"),
            *("--connections", 4, "--duration", 0.5, "--fail-if", "errors>0"),
        )
        found = re.search(r"^messages +([\d,]+) in", said, re.MULTILINE)
        assert found is not None
        assert int(found[1].replace(",", "")) > 100

        # Behind nginx.
        (tmp_path / "nginx").mkdir()
        proxy = Nginx(tmp_path / "nginx", [port, port])

        async def through() -> str:
            async for ws in proxy.connect(
                process_exception=lambda _: None,
                reconnect_delays=lambda: iter([0.05] * 100),
            ):
                await ws.send("hello")
                message = await ws.recv()
                await ws.close()
                assert isinstance(message, str)
                return message
            raise AssertionError

        with proxy.running():
            assert asyncio.run(asyncio.wait_for(through(), 20)) == "hello"
    finally:
        server.terminate()
        server.wait()

    # A page.
    port = free_port()
    demo = user.start("-m", "pywscore", "demo", "--port", port)
    try:
        page = answers(f"http://127.0.0.1:{port}/").decode()
        script = re.search(r'<script[^>]* src="/?([^"]+)"', page)
        assert script is not None
        assert b"ReconnectingSocket" in answers(f"http://127.0.0.1:{port}/{script[1]}")
    finally:
        demo.terminate()
        demo.wait()

    # Tests of its own, with pytest of this environment and the plugin of that one.
    user.write("test_server.py", of_page("test_server.py"), port)
    here = sysconfig.get_path("purelib")
    said = user.run(
        *(user.python, "-m", "pytest", "-o", "anyio_mode=auto", "--ws-split=bytes"),
        *("-p", "no:cacheprovider", "-v", "test_server.py"),
        PYTHONPATH=f"{tmp_path}:{here}",
    )
    assert "1 passed" in said
