"""The commands as processes: exit codes, one line of error, Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

import pywscore
from pywscore.utils import accept_key

COMMAND = [sys.executable, "-m", "pywscore"]
PATIENCE = 20


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """A server command on a free port, stopped by Ctrl-C; gives host:port."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "://" in line, line
        yield line.split("://")[1].split("/")[0]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        assert (process.returncode, stdout, stderr) == (0, "Stopped.\n", "")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def client() -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """`connect`, and the other end of its TCP connection, which the test speaks for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        process = subprocess.Popen(
            [*COMMAND, "connect", f"ws://127.0.0.1:{listener.getsockname()[1]}/"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            peer, _ = listener.accept()
            with peer:
                yield process, peer
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


def assert_one_line(result: subprocess.CompletedProcess[str], part: str) -> None:
    assert result.returncode == 1, result
    assert result.stderr.startswith("pywscore: error: ")
    assert result.stderr.count("\n") == 1
    assert part in result.stderr
    assert result.stdout == ""


def test_twice_verbose_logs_every_frame() -> None:
    with server("echo") as address:
        said = run("connect", f"ws://{address}/", "-vv", stdin="hello\n")
    assert said.stdout == "hello\n"
    for line in (
        "> GET / HTTP/1.1",
        "= connection is OPEN",
        "> TEXT 'hello' [5 bytes]",
        "< TEXT 'hello' [5 bytes]",
        "> CLOSE 1000 (OK) [2 bytes]",
    ):
        assert said.stderr.count(f" DEBUG {line}\n") == 1


@pytest.mark.parametrize("command", ["echo", "demo"])
def test_port_in_use(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(command, "--port", str(port))
    assert_one_line(result, f"127.0.0.1:{port}: address already in use")


def test_host_that_is_not_ours() -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737).
    assert_one_line(run("echo", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1")


def test_certificate_that_is_not_there() -> None:
    assert_one_line(run("echo", "--cert", "/nowhere.pem"), "no such file")
    assert_one_line(run("echo", "--key", "/nowhere.pem"), "--key needs --cert")
    result = run("connect", "wss://127.0.0.1/", "--ca", "/nowhere.pem")
    assert_one_line(result, "cannot load /nowhere.pem: no such file")


@pytest.mark.parametrize("command", ["connect", "bench"])
@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://127.0.0.1/", "must start with ws://"),
        ("127.0.0.1:80", "must start with ws://"),
        ("ws://", "no host"),
        ("ws://127.0.0.1:99999/", "ort"),
        ("ws://127.0.0.1/#fragment", "fragment"),
        ("ws://[::1/", "bad URL"),
        ("\x1b[2J", "\\x1b[2J"),
    ],
)
def test_bad_url(command: str, url: str, part: str) -> None:
    assert_one_line(run(command, url), part)


@pytest.mark.parametrize("command", ["connect", "bench"])
def test_nobody_there(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = run(command, f"ws://user:secret@127.0.0.1:{port}/")
    assert_one_line(result, "connection refused")
    assert "secret" not in result.stderr


@pytest.mark.threat("ORI-2")
@pytest.mark.parametrize("command", ["echo", "demo"])
def test_foreign_origins_are_refused(command: str) -> None:
    with server(command) as address:
        url = f"ws://{address}/ws/Ann"
        for origin in ("https://evil.example", "null", f"http://{address}.evil"):
            result = run("connect", url, "--origin", origin)
            assert_one_line(result, "refused the handshake: HTTP 403")
        port = address.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost"):
            result = run("connect", url, "--origin", f"http://{host}:{port}")
            assert result.returncode == 0, result


def test_refused_handshake() -> None:
    with server("demo") as address:
        result = run("connect", f"ws://{address}/nowhere")
        assert_one_line(result, "refused the handshake: HTTP 404")
        assert_one_line(run("bench", f"ws://{address}/nowhere"), "HTTP 404")


def test_server_that_is_not_one() -> None:
    with client() as (process, peer):
        peer.recv(4096)
        peer.sendall(b"SSH-2.0-x\x1b[2J\r\n")
        peer.close()
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert stderr.startswith("pywscore: error: ") and stderr.count("\n") == 1
    assert "\x1b" not in stderr


def test_wrong_usage() -> None:
    for arguments in ((), ("nonsense",), ("echo", "--port", "70000")):
        result = run(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr
    for option, text, part in (
        ("--connections", "many", "'many' is not a whole number"),
        ("--duration", "long", "'long' is not a number"),
        ("--duration", "0", "must be above 0 and up to"),
        ("--duration", "nan", "must be above 0 and up to"),
    ):
        result = run("bench", "ws://127.0.0.1/", option, text)
        assert result.returncode == 2 and part in result.stderr
    assert run("--version").stdout.startswith("pywscore ")
    assert "/ping" in run("connect", "--help").stdout


def test_connect_in_a_pipe() -> None:
    with server("echo") as address:
        result = run(
            "connect",
            f"ws://{address}/",
            stdin="hello\n/ping\n/binary 00ff\n//slash\n/nonsense\n\nlast \x1b line",
        )
    assert result.returncode == 0, result
    assert result.stdout.splitlines() == [
        "hello",
        "00 ff",
        "/slash",
        "",
        "last \\x1b line",
    ]
    assert "Pong after " in result.stderr
    assert "no command /nonsense" in result.stderr
    assert "Connection closed: 1000 (normal closure)." in result.stderr


def test_a_client_that_vanishes_disturbs_nobody() -> None:
    with server("echo") as address:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE) as peer:
            peer.sendall(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert peer.recv(4096).startswith(b"HTTP/1.1 101 ")
            # Close it by a reset.
            peer.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        assert run("connect", f"ws://{address}/", stdin="hello\n").stdout == "hello\n"


def test_commands_that_can_not_be_done() -> None:
    """They are said, and the connection goes on."""
    with server("echo") as address:
        result = run(
            *("connect", f"ws://{address}/"),
            stdin=f"/binary 0\n/binary x\n/ping {'x' * 126}\n/close 1000 {'x' * 124}\n"
            "/help\nhello\n",
        )
    assert result.returncode == 0 and result.stdout == "hello\n"
    assert result.stderr.count("/binary needs pairs of hex digits\n") == 2
    assert "A ping carries at most 125 bytes.\n" in result.stderr
    assert "A reason has at most 123 bytes.\n" in result.stderr
    assert "Type a line to send it" in result.stderr


def test_pings_with_the_same_text() -> None:
    """The second isn't sent while the first waits for its pong."""
    with client() as (process, peer):
        key = peer.recv(4096).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key.decode()).encode() + b"\r\n\r\n"
        )
        assert process.stdin is not None and process.stderr is not None
        assert process.stderr.readline().startswith("Connected to ")
        process.stdin.write("/ping same\n/ping same\n")
        process.stdin.flush()
        assert process.stderr.readline() == (
            "A ping with this text is still waiting.\n"
        )
        peer.sendall(b"\x88\x02\x03\xe8")
        assert process.stderr.readline() == (
            "Connection closed: 1000 (normal closure).\n"
        )
        peer.close()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_subprotocol_is_offered_and_shown() -> None:
    async def scenario() -> None:
        async def handler(ws: pywscore.Connection) -> None:
            await ws.wait_closed()

        async with pywscore.serve(
            handler, "127.0.0.1", 0, subprotocols=["v2.chat", "chat"]
        ) as ours:
            url = f"ws://127.0.0.1:{ours.sockets[0].getsockname()[1]}/"
            offer = ("--subprotocol", "chat", "--subprotocol", "v2.chat")
            result = await asyncio.to_thread(run, "connect", url, *offer)
            assert result.returncode == 0
            assert result.stderr.startswith(f"Connected to {url} (v2.chat).")

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_ctrl_c_before_the_connection_is_open() -> None:
    with client() as (process, peer):
        assert peer.recv(4096)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (130, "")


@pytest.mark.skipif(os.name == "nt", reason="needs a pipe")
def test_a_reader_that_is_gone() -> None:
    """As of ``pywscore bench ... | head -0``: no traceback."""
    with server("echo") as address:
        read, write = os.pipe()
        os.close(read)
        process = subprocess.run(
            [*COMMAND, "bench", f"ws://{address}/", "--messages", "10"],
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
        os.close(write)
    assert (process.returncode, process.stderr) == (1, b"")


def test_connect_closes_with_a_code() -> None:
    async def scenario() -> None:
        closed: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()

        async def handler(ws: pywscore.Connection) -> None:
            with contextlib.suppress(pywscore.ConnectionClosed):
                await ws.recv()
            closed.put_nowait((ws.close_code, ws.close_reason))

        async with pywscore.serve(handler, "127.0.0.1", 0) as ours:
            url = f"ws://127.0.0.1:{ours.sockets[0].getsockname()[1]}/"
            for line, code, reason in (
                ("/close 4001 good bye\n", 4001, "good bye"),
                ("/close\n", 1000, ""),
                ("/close 1006\n/close x\n", 1000, ""),  # refused, then end of file
                ("", 1000, ""),
            ):
                result = await asyncio.to_thread(run, "connect", url, stdin=line)
                assert result.returncode == 0, result
                assert await closed.get() == (code, reason)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_connect_says_how_the_server_closed() -> None:
    async def scenario() -> None:
        async def handler(ws: pywscore.Connection) -> None:
            await ws.send("first")
            await ws.close(1011, "oh\x1bno")

        async with pywscore.serve(handler, "127.0.0.1", 0) as ours:
            url = f"ws://127.0.0.1:{ours.sockets[0].getsockname()[1]}/"
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                "connect",
                url,
                stdin=asyncio.subprocess.PIPE,  # stays open: the server ends it
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None and process.stderr is not None
            assert await process.stdout.read() == b"first\n"
            assert b": 1011 (internal error): oh\\x1bno." in await process.stderr.read()
            assert await process.wait() == 1

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_ctrl_c_tells_the_clients() -> None:
    async def scenario() -> None:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "echo", "--port", "0", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        async with pywscore.connect(
            "ws://" + line.split("ws://")[1].split("/")[0]
        ) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
            with pytest.raises(pywscore.ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1001
        assert await process.wait() == 0

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_ctrl_c_ends_the_client() -> None:
    async def scenario() -> None:
        codes: asyncio.Queue[int | None] = asyncio.Queue()

        async def handler(ws: pywscore.Connection) -> None:
            await ws.send("ready")
            with contextlib.suppress(pywscore.ConnectionClosed):
                await ws.recv()
            codes.put_nowait(ws.close_code)

        async with pywscore.serve(handler, "127.0.0.1", 0) as ours:
            url = f"ws://127.0.0.1:{ours.sockets[0].getsockname()[1]}/"
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                "connect",
                url,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None and process.stderr is not None
            assert await process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert await codes.get() == 1001
            assert await process.wait() == 130
            assert b"Traceback" not in await process.stderr.read()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, ca = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(certificate)
    )
    authority.cert_pem.write_to_path(str(ca))
    with server("echo", "--cert", str(certificate)) as address:
        url = f"wss://{address}/"
        assert_one_line(run("connect", url), "certificate refused")
        for trust in (["--insecure"], ["--ca", str(ca)]):
            result = run("connect", url, *trust, stdin="hello\n")
            assert (result.returncode, result.stdout) == (0, "hello\n")


def test_pages() -> None:
    with server("demo") as address:
        for path, status, kind in (
            ("/", 200, "text/html; charset=utf-8"),
            ("/?room=tea&name=Ann", 200, "text/html; charset=utf-8"),
            ("/chat.js", 200, "text/javascript; charset=utf-8"),
            ("/connection.js", 200, "text/javascript; charset=utf-8"),
            ("/chat.css", 200, "text/css; charset=utf-8"),
            ("/favicon.svg", 200, "image/svg+xml"),
            ("/healthz", 200, "text/plain; charset=utf-8"),
            ("/../pages.py", 404, "text/plain; charset=utf-8"),
            ("/ws/a/b", 404, "text/plain; charset=utf-8"),
            ("//[", 404, "text/plain; charset=utf-8"),
        ):
            connection = http.client.HTTPConnection(address, timeout=PATIENCE)
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, response.headers["Content-Type"]) == (status, kind)
            body = response.read()
            assert int(response.headers["Content-Length"]) == len(body) > 0
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
            connection.close()
        # The chat's own path without a handshake is not a page.
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        connection.request("GET", "/ws/Ann")
        assert connection.getresponse().status in {400, 426}
        connection.close()


def read_until(descriptor: int, wanted: bytes) -> bytes:
    seen = b""
    end = time.monotonic() + PATIENCE
    while wanted not in seen:
        ready, _, _ = select.select([descriptor], [], [], end - time.monotonic())
        assert ready, seen
        seen += os.read(descriptor, 4096)
    return seen


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_connect_on_a_terminal() -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with server("echo") as address:
        process = subprocess.Popen(
            [*COMMAND, "connect", f"ws://{address}/"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        try:
            assert b"Type /help" in read_until(ours, b"\x1b[K> ")
            os.write(ours, b"/ping\r")
            seen = read_until(ours, b"Pong after ")
            # Half a line survives what is printed meanwhile: it is drawn again.
            os.write(ours, "hallö".encode())
            read_until(ours, b"> " + "hallö".encode())
            os.write(ours, b"!\r")
            seen = read_until(ours, b"< " + "hallö!".encode())
            os.write(ours, b"\x04")
            seen = read_until(ours, b"Connection closed: 1000 (normal closure).")
            assert b"Traceback" not in seen
            assert process.wait(PATIENCE) == 0
            assert termios.tcgetattr(theirs) == before
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(ours)
            os.close(theirs)


# Workers and metrics


def get(address: str, path: str) -> tuple[int, str, str]:
    client = http.client.HTTPConnection(address, timeout=PATIENCE)
    client.request("GET", path)
    response = client.getresponse()
    body = response.read().decode()
    client.close()
    return response.status, response.getheader("Content-Type", ""), body


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT")
def test_echo_with_workers() -> None:
    with server("echo", "--workers", "2") as address:
        for _ in range(3):
            result = run("connect", f"ws://{address}/", stdin="hello\n")
            assert result.returncode == 0, result
            assert "hello" in result.stdout
        port = address.rpartition(":")[2]
        result = run("echo", "--workers", "2", "--port", port)
        assert_one_line(result, f"{address}: address already in use")
        result = run("connect", f"ws://{address}/", "--origin", "https://evil.example")
        assert_one_line(result, "HTTP 403")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("demo", "--workers", "2"), "--workers needs --redis URL, which joins them"),
        (("demo", "--redis", "memory://x", "--workers", "2"), "the URL of a Redis"),
        (("demo", "--redis", "http://x"), "must be"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], part: str) -> None:
    assert_one_line(run(*arguments), part)


def test_redis_that_is_not_there() -> None:
    pytest.importorskip("redis")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = run("demo", "--redis", f"redis://:secret@127.0.0.1:{port}")
    assert_one_line(result, f"127.0.0.1:{port} isn't there")
    assert "secret" not in result.stderr


@pytest.mark.parametrize("command", ["echo", "demo"])
def test_metrics(command: str) -> None:
    with server(command, "--metrics") as address:
        url = f"ws://{address}/ws/Ann"
        assert run("connect", url, stdin="hello\n").returncode == 0
        status, content_type, body = get(address, "/metrics")
        assert status == 200
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        samples = dict(
            line.rsplit(" ", 1) for line in body.splitlines() if line[0] != "#"
        )
        assert samples["pywscore_messages_received_total"] == "1"
        assert samples["pywscore_connections_accepted_total"] == "2"
        assert samples['pywscore_connections{state="open"}'] == "0"
        assert samples['pywscore_connections_closed_total{code="1000"}'] == "1"
        # What was said and, before, that the name is taken.
        assert samples.get("pywscore_rooms_published_total") == (
            "2" if command == "demo" else None
        )


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT")
def test_metrics_of_workers() -> None:
    """Whichever worker is asked, it tells of all of them."""
    with server("echo", "--workers", "2", "--metrics") as address:
        scrapes = 0
        for done in range(1, 6):
            result = run("connect", f"ws://{address}/", stdin="hello\n")
            assert result.returncode == 0
            deadline = time.monotonic() + PATIENCE
            while True:
                _, _, body = get(address, "/metrics")
                scrapes += 1
                samples = dict(
                    line.rsplit(" ", 1) for line in body.splitlines() if line[0] != "#"
                )
                if samples["pywscore_messages_received_total"] == str(done):
                    break
                assert samples["pywscore_messages_received_total"] == str(done - 1)
                assert time.monotonic() < deadline
        assert samples['pywscore_connections_closed_total{code="1000"}'] == "5"


@pytest.mark.parametrize("command", ["echo", "demo"])
def test_no_metrics_unless_asked_for(command: str) -> None:
    with server(command) as address:
        status, _, body = get(address, "/metrics")
        assert status in {404, 426}
        assert "pywscore_" not in body
