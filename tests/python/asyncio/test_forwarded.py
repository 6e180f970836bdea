"""Whose a connection is behind proxies: by headers and by the PROXY protocol."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import pickle
import random
import re
import socket
import time
from typing import Any

import pytest
from peers import head_of
from tls_peer import Files
from waiting import until

import pywscore
from pywscore import Forwarded, Headers, _core
from pywscore.asyncio._forwarded import client_of
from pywscore.testing import Frame

LOOPBACK = ["127.0.0.1"]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.9 198.51.100.7 56324 443\r\n"
V2 = SIGNATURE + b"\x21\x11\0\x13" + bytes([192, 0, 2, 9, 0, 0, 0, 0])
V2 += (56324).to_bytes(2) + b"\x01\xbb" + b"\x03\0\x04crc!"
V2_IPV6 = SIGNATURE + b"\x21\x21\0\x24" + bytes.fromhex("20010db8" + "0" * 22 + "09")
V2_IPV6 += bytes(16) + (56324).to_bytes(2) + b"\x01\xbb"
V2_UNIX = SIGNATURE + b"\x21\x31\0\xd8" + b"/run/client".ljust(216, b"\0")
LOCAL = SIGNATURE + b"\x20\0\0\0"
CLIENT = ("192.0.2.9", 56324)


async def address(ws: pywscore.ServerConnection) -> None:
    await ws.send(repr(ws.remote_address))
    await ws.wait_closed()


# Headers


def client(by: Any, trusted: list[str], *values: str) -> Any:
    headers = Headers([(by, value) for value in values])
    return Forwarded(by, trusted=trusted)._client_of(headers)


@pytest.mark.threat("FWD-1")
@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([], None),
        ([""], None),
        (["192.0.2.1"], ("192.0.2.1", 0)),
        (["192.0.2.1:81"], ("192.0.2.1", 81)),
        (["2001:db8::1"], ("2001:db8::1", 0, 0, 0)),
        (["2001:DB8:0::1"], ("2001:db8::1", 0, 0, 0)),
        (["[2001:db8::1]:81"], ("2001:db8::1", 81, 0, 0)),
        # What stands left of the first that isn't trusted was the client's to write.
        (["203.0.113.7, 192.0.2.1"], ("192.0.2.1", 0)),
        (["10.0.0.1", "192.0.2.1"], ("192.0.2.1", 0)),
        (["203.0.113.7, 192.0.2.1, 10.1.2.3, 10.0.0.1"], ("192.0.2.1", 0)),
        (["192.0.2.1", "10.1.2.3", "::ffff:10.0.0.1"], ("192.0.2.1", 0)),
        ([" , 192.0.2.1 ,\t,10.0.0.1, "], ("192.0.2.1", 0)),
        # All of them are trusted: the farthest.
        (["10.0.0.2, 10.0.0.1"], ("10.0.0.2", 0)),
        # Where it can't be read, the nearest hop that is known.
        (["192.0.2.1, junk"], None),
        (["192.0.2.1, unknown, 10.0.0.1"], ("10.0.0.1", 0)),
        (["192.0.2.1, 10.0.0.300"], None),
        (["192.0.2.1:65536"], None),
        (["192.0.2.01"], None),
        (["fe80::1%eth0"], None),
        (["[192.0.2.1]"], None),
        (["192.0.2.1 10.0.0.1"], None),
        (["192.0.2.1;203.0.113.7"], None),
    ],
)
def test_x_forwarded_for(values: list[str], want: Any) -> None:
    assert client("X-Forwarded-For", ["10.0.0.0/8"], *values) == want


@pytest.mark.threat("FWD-1")
@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([], None),
        (["for=192.0.2.1"], ("192.0.2.1", 0)),
        (["For=192.0.2.1;proto=https;by=10.0.0.1"], ("192.0.2.1", 0)),
        (["by=203.0.113.7; for=192.0.2.1"], ("192.0.2.1", 0)),
        (['for="192.0.2.1:81"'], ("192.0.2.1", 81)),
        (['for="[2001:db8::1]:81"'], ("2001:db8::1", 81, 0, 0)),
        (['for="[2001:db8::1]"'], ("2001:db8::1", 0, 0, 0)),
        (['for="\\1\\92.0.2.1"'], ("192.0.2.1", 0)),
        (["for=192.0.2.1, for=10.0.0.1"], ("192.0.2.1", 0)),
        (["for=203.0.113.7", "for=192.0.2.1, for=10.0.0.1"], ("192.0.2.1", 0)),
        # RFC 7239 §6.2, §6.3.
        (["for=_hidden"], ("_hidden", 0)),
        (['for="_hidden:81", for=10.0.0.1'], ("_hidden", 81)),
        (['for="192.0.2.1:_port"'], ("192.0.2.1", 0)),
        (["for=192.0.2.1, for=unknown, for=10.0.0.1"], ("10.0.0.1", 0)),
        # A quote that the client left open, and what it had in quotes.
        (['for="203.0.113.7, for=192.0.2.1'], ("192.0.2.1", 0)),
        (['for="203.0.113.7, for=192.0.2.1, for=10.0.0.1'], ("192.0.2.1", 0)),
        (['for=192.0.2.1;host="a, for=203.0.113.7"'], ("192.0.2.1", 0)),
        (['for=192.0.2.1;host="a, for=203.0.113.7;x=";by="b"'], ("192.0.2.1", 0)),
        (['for=192.0.2.1;host="\\", for=203.0.113.7"'], ("192.0.2.1", 0)),
        # What isn't an element, or doesn't say.
        (["for=192.0.2.1;for=203.0.113.7"], None),
        (["proto=https;by=10.0.0.1"], None),
        (["192.0.2.1"], None),
        (["for = 192.0.2.1"], None),
        (['for="192.0.2.1'], None),
        (["for=2001:db8::1"], None),
    ],
)
def test_forwarded(values: list[str], want: Any) -> None:
    assert client("Forwarded", ["10.0.0.0/8"], *values) == want


@pytest.mark.threat("FWD-1")
@pytest.mark.parametrize("by", ["X-Forwarded-For", "Forwarded"])
def test_what_clients_send_changes_nothing(by: Any) -> None:
    """Whatever stands in front of what trusted proxies have added."""
    chance = random.Random(f"{by}")
    prefix = "for=" if by == "Forwarded" else ""
    parts = [
        "for=",
        '"',
        "\\",
        ",",
        ";",
        "=",
        "10.0.0.1",
        "[::1]",
        "_x",
        " ",
        "\t",
        "a",
    ]
    for _ in range(20_000):
        junk = "".join(chance.choices(parts, k=chance.randrange(12)))
        added = f"{prefix}192.0.2.1, {prefix}10.0.0.1"
        separate = [junk, added] if chance.random() < 0.5 else [f"{junk}, {added}"]
        assert client(by, ["10.0.0.0/8"], *separate) == ("192.0.2.1", 0), separate


@pytest.mark.threat("FWD-2")
@pytest.mark.parametrize(
    "value",
    [
        "," * 32000,
        "for=10.0.0.1," * 2400,
        "x," * 16000,
        '"' * 32000,
        ";" * 32000,
        'for="' + ",;" * 16000,
        "a=b;" * 8000,
        ";  " * 10000 + "@",
        "for=" + "\\" * 32000,
    ],
)
def test_hostile_values_take_no_time(value: str) -> None:
    """32 KiB, which is all that a head may have; what is exponential never ends."""
    forwarded = Forwarded("Forwarded", trusted=["10.0.0.0/8"])
    began = time.process_time()
    forwarded._client_of(Headers([("Forwarded", value)]))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("address", "trusted", "want"),
    [
        (("127.0.0.1", 80), ["127.0.0.0/8"], True),
        (("127.0.0.1", 80), ["127.0.0.2"], False),
        (("::ffff:127.0.0.1", 80, 0, 0), ["127.0.0.1"], True),
        (("fe80::1%eth0", 80, 0, 2), ["fe80::/10"], True),
        (("::1", 80, 0, 0), ["0.0.0.0/0"], False),
        ("", ["unix"], True),
        ("", ["0.0.0.0/0"], False),
        (b"\0abstract", ["unix"], True),
        (("127.0.0.1", 80), ["unix"], False),
        (None, ["unix", "0.0.0.0/0"], False),
        (("_hidden", 0), ["0.0.0.0/0"], False),
    ],
)
def test_who_is_trusted(address: Any, trusted: list[str], want: bool) -> None:
    assert Forwarded("PROXY", trusted=trusted).trusts(address) is want


@pytest.mark.parametrize(
    ("by", "trusted", "error", "text"),
    [
        ("X-Real-IP", LOOPBACK, ValueError, "by must be one of X-Forwarded-For"),
        ("PROXY", "127.0.0.1", TypeError, "must be a list"),
        ("PROXY", [], ValueError, "names nobody"),
        ("PROXY", ["localhost"], ValueError, "localhost"),
        ("PROXY", ["10.0.0.1/8"], ValueError, "host bits"),
    ],
)
def test_mistakes(by: Any, trusted: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        Forwarded(by, trusted=trusted)


def test_it_is_a_value() -> None:
    one = Forwarded("PROXY", trusted=iter(LOOPBACK))  # type: ignore[arg-type]
    assert one == Forwarded("PROXY", trusted=("127.0.0.1",))
    assert repr(one) == "Forwarded(by='PROXY', trusted=('127.0.0.1',))"
    assert pickle.loads(pickle.dumps(one)).trusts(("127.0.0.1", 1))
    with pytest.raises(TypeError, match="forwarded must be a Forwarded"):
        pywscore.serve(address, forwarded="PROXY")  # type: ignore[arg-type]


@pytest.mark.threat("FWD-1")
async def test_servers_ask_trusted_peers(serve: Any, raw_client: Any) -> None:
    for trusted, want in ((LOOPBACK, ("192.0.2.9", 81)), (["10.0.0.1"], None)):
        forwarded = Forwarded("X-Forwarded-For", trusted=trusted)
        async with serve(address, "127.0.0.1", 0, forwarded=forwarded) as server:
            extra = (
                "X-Forwarded-For: 203.0.113.7, 192.0.2.9:81\r\nForwarded: for=[x\r\n"
            )
            async with raw_client(server, extra=extra) as peer:
                own = peer.writer.get_extra_info("sockname")
                assert await peer.receive() == Frame(1, repr(want or own).encode())
                (ws,) = server.connections
                assert ws.transport.get_extra_info("peername") == own


@pytest.mark.threat("FWD-3")
async def test_limits_are_for_clients(serve: Any, raw_client: Any) -> None:
    """Each address has its places, through one proxy; and gets them back."""
    server = serve(
        address,
        "127.0.0.1",
        0,
        forwarded=Forwarded("X-Forwarded-For", trusted=LOOPBACK),
        max_connections_per_address=1,
    )
    async with server:
        for _ in range(2):
            async with contextlib.AsyncExitStack() as stack:
                for host in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
                    extra = f"X-Forwarded-For: {host}\r\n"
                    await stack.enter_async_context(raw_client(server, extra=extra))
                for host in ("192.0.2.1", "203.0.113.7, 192.0.2.1", "2001:db8::2"):
                    extra = f"X-Forwarded-For: {host}\r\n"
                    with pytest.raises(AssertionError, match="503"):
                        async with raw_client(server, extra=extra):
                            pass
            await server_is_empty(server)
        assert server._places._taken_from == {}
        assert server._places._taken == 0


async def server_is_empty(server: Any) -> None:
    """Of connections, and of handlers, which hold their places too."""
    await until(lambda: not server._all and not server._tasks)


# The PROXY protocol


async def talk(
    server: pywscore.Server,
    header: bytes,
    files: Files | None = None,
    piece: int = 9999,
) -> str:
    """What the server takes a client for that comes through a proxy; "" if it ends."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, server.sockets[0].getsockname())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for start in range(0, len(header), piece):
            await loop.sock_sendall(sock, header[start : start + piece])
            await asyncio.sleep(0)
        context = None if files is None else files.python_client()
        uri = f"ws{'s' if files else ''}://localhost/"
        async with pywscore.connect(
            uri, sock=sock, ssl=context, compression=None, carrier="transport"
        ) as ws:
            return str(await ws.recv())
    except (OSError, pywscore.InvalidHandshake):
        return ""
    finally:
        sock.close()


HEADERS = [
    (V1, CLIENT),
    (b"PROXY TCP6 2001:db8::9 ::1 56324 1\r\n", ("2001:db8::9", 56324, 0, 0)),
    (b"PROXY UNKNOWN\r\n", None),
    (V2, CLIENT),
    (V2_IPV6, ("2001:db8::9", 56324, 0, 0)),
    (V2_UNIX, "/run/client"),
    (LOCAL, None),
]


@pytest.mark.threat("FWD-4")
@pytest.mark.parametrize("piece", [1, 7, 9999])
async def test_headers_of_the_proxy_protocol(serve: Any, piece: int) -> None:
    forwarded = Forwarded("PROXY", trusted=LOOPBACK)
    async with serve(address, "127.0.0.1", 0, forwarded=forwarded) as server:
        for header, want in HEADERS:
            said = await talk(server, header, piece=piece)
            assert said == repr(want) if want else said.startswith("('127.0.0.1', ")


@pytest.mark.threat("FWD-4")
@pytest.mark.usefixtures("of_the_carrier")
async def test_they_come_before_tls(serve: Any, files: Files) -> None:
    forwarded = Forwarded("PROXY", trusted=LOOPBACK)
    server = serve(address, "127.0.0.1", 0, forwarded=forwarded, ssl=files.server())
    async with server:
        for piece in (1, 9999):
            for header, want in HEADERS[:1] + HEADERS[3:5]:
                assert await talk(server, header, files, piece) == repr(want)
        assert await talk(server, b"", files) == ""


@pytest.mark.threat("FWD-5")
@pytest.mark.parametrize(
    "header",
    [b"", b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", SIGNATURE + b"\x21\x41\0\0", V1[1:]],
)
async def test_what_is_no_header_ends(
    serve: Any, header: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    forwarded = Forwarded("PROXY", trusted=LOOPBACK)
    async with serve(address, "127.0.0.1", 0, forwarded=forwarded) as server:
        assert await talk(server, header) == ""
        await server_is_empty(server)
    lines = [it.getMessage() for it in caplog.records if it.levelname == "WARNING"]
    assert len(lines) == 1
    assert re.fullmatch(
        r"the proxy at 127\.0\.0\.1:\d+ sends no header of the PROXY protocol", lines[0]
    )
    assert server.stats().handshakes_failed == server.stats().connections_total


@pytest.mark.threat("FWD-1")
async def test_nobody_else_has_one(serve: Any, raw_client: Any) -> None:
    """From who isn't trusted it is no HTTP, and without it all is as ever."""
    forwarded = Forwarded("PROXY", trusted=["192.0.2.0/24"])
    async with serve(address, "127.0.0.1", 0, forwarded=forwarded) as server:
        assert await talk(server, V1) == ""
        async with raw_client(server, path=None) as peer:
            peer.writer.write(V1 + b"\r\n")
            assert (await head_of(peer)).startswith("HTTP/1.1 400 ")
        assert (await talk(server, b"")).startswith("('127.0.0.1', ")


@pytest.mark.threat("FWD-5")
@pytest.mark.parametrize("sent", [b"", V1[:20], V2[:14]])
async def test_it_has_the_time_of_a_handshake(
    serve: Any, raw_client: Any, sent: bytes
) -> None:
    forwarded = Forwarded("PROXY", trusted=LOOPBACK)
    server = serve(address, "127.0.0.1", 0, forwarded=forwarded, open_timeout=0.05)
    async with server, raw_client(server, path=None) as peer:
        peer.writer.write(sent)
        assert await peer.reader.read() == b""
        await server_is_empty(server)


@pytest.mark.threat("FWD-5")
@pytest.mark.usefixtures("of_the_carrier")
async def test_it_shares_the_time_with_tls(serve: Any, files: Files) -> None:
    """Of a proxy that is late with it, TLS has what is left."""
    forwarded = Forwarded("PROXY", trusted=LOOPBACK)
    options: dict[str, Any] = {"forwarded": forwarded, "ssl": files.server()}
    server = serve(address, "127.0.0.1", 0, open_timeout=0.8, **options)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.monotonic()
        await asyncio.sleep(0.6)
        writer.write(V1)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert 0.7 < time.monotonic() - began < 1.2
        writer.close()
        await server_is_empty(server)


@pytest.mark.threat("FWD-5")
async def test_a_server_closes_meanwhile(serve: Any, raw_client: Any) -> None:
    forwarded = Forwarded("PROXY", trusted=LOOPBACK)
    server = await serve(address, "127.0.0.1", 0, forwarded=forwarded, open_timeout=60)
    async with raw_client(server, path=None) as peer:
        peer.writer.write(V1[:20])
        async with asyncio.timeout(5):
            while server._places._taken == 0:
                await asyncio.sleep(0.001)
        server.close()
        assert b"101" not in await peer.reader.read()
        await server.wait_closed()
    assert server._places._taken == 0


@pytest.mark.threat("FWD-3")
async def test_limits_by_the_proxy_protocol(serve: Any, raw_client: Any) -> None:
    server = serve(
        address,
        "127.0.0.1",
        0,
        forwarded=Forwarded("PROXY", trusted=LOOPBACK),
        max_connections_per_address=1,
    )
    async with server:
        for _ in range(2):
            async with raw_client(server, path=None) as first:
                first.writer.write(V1)
                async with asyncio.timeout(5):
                    while "192.0.2.9" not in server._places._taken_from:
                        await asyncio.sleep(0.001)
                async with raw_client(server, path=None) as second:
                    second.writer.write(V2)
                    assert (await head_of(second)).startswith("HTTP/1.1 503 ")
                assert await talk(server, V2_IPV6) == repr(HEADERS[4][1])
            await server_is_empty(server)
        assert (server._places._taken_from, server._places._taken) == ({}, 0)


async def test_unix_peers(
    environment: Any, tmp_path: pathlib.Path, connect: Any
) -> None:
    path = str(tmp_path / "socket")
    server = pywscore.unix_serve(
        address,
        path,
        forwarded=Forwarded("X-Forwarded-For", trusted=["unix"]),
        carrier=environment.carrier,
    )
    async with (
        server,
        pywscore.unix_connect(
            path,
            additional_headers={"X-Forwarded-For": "192.0.2.9"},
            carrier=environment.carrier,
        ) as ws,
    ):
        assert await ws.recv() == "('192.0.2.9', 0)"


@pytest.mark.threat("LOG-2")
async def test_the_path_of_a_unix_peer_is_no_line_of_the_log(
    environment: Any, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "socket")
    forwarded = Forwarded("PROXY", trusted=["unix"])
    server = pywscore.unix_serve(
        address, path, forwarded=forwarded, carrier=environment.carrier
    )
    async with server:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.bind(str(tmp_path / "x\nforged \x1b[31m"))
            peer.connect(path)
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: "sends no header" in caplog.text)
    assert r"x\nforged \x1b[31m sends no header" in caplog.text
    assert "\nforged" not in caplog.text and "\x1b" not in caplog.text


def test_the_parser_in_pieces() -> None:
    for header, want in HEADERS:
        for end in range(len(header)):
            assert _core.read_proxy_header(header[:end]) is None
        source, size = _core.read_proxy_header(header + b"GET /") or (None, 0)
        assert size == len(header)
        assert client_of(source) == want
    with pytest.raises(ValueError, match="no header of the PROXY protocol"):
        _core.read_proxy_header(b"GET /")
