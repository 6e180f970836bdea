"""Real proxies in front of servers: HAProxy and nginx say whose a connection is."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from programs import free_port, program
from waiting import until

import pywscore
from pywscore import Forwarded

CARRIERS = ["engine", "transport"]
# Ours, which isn't the one that is trusted.
CLIENT = ("127.0.0.2", 0)

HAPROXY = """
defaults
    mode {mode}
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend front
    bind 127.0.0.1:{front}
    {rules}
    default_backend back
backend back
    server one 127.0.0.1:{back} {options}
"""

NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://127.0.0.1:{back};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


@contextlib.asynccontextmanager
async def running(*command: str, port: int) -> AsyncIterator[str]:
    """A proxy that listens on ``port``; gives the URI."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while True:
                assert process.poll() is None, command
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.01)
        yield f"ws://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


@contextlib.asynccontextmanager
async def haproxy(
    folder: pathlib.Path, back: int, options: str, mode: str = "tcp", rules: str = ""
) -> AsyncIterator[str]:
    front = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(
        HAPROXY.format(front=front, back=back, options=options, mode=mode, rules=rules)
    )
    async with running(program("haproxy"), "-f", str(file), port=front) as uri:
        yield uri


async def address(ws: pywscore.ServerConnection) -> None:
    await ws.send(repr(ws.remote_address))
    await ws.wait_closed()


def serve(carrier: Any, by: Any, **kwargs: Any) -> pywscore.Server:
    forwarded = Forwarded(by, trusted=["127.0.0.1"])
    return pywscore.serve(
        address, "127.0.0.1", 0, forwarded=forwarded, carrier=carrier, **kwargs
    )


def port_of(server: pywscore.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def told(uri: str, **kwargs: Any) -> tuple[str, str]:
    """What the server takes us for, and what we are."""
    async with pywscore.connect(uri, proxy=None, **kwargs) as ws:
        return str(await ws.recv()), repr(ws.local_address)


@pytest.mark.threat("FWD-4")
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_speaks_the_proxy_protocol(
    tmp_path: pathlib.Path, carrier: str, option: str
) -> None:
    async def main() -> None:
        async with serve(carrier, "PROXY") as server:
            async with haproxy(tmp_path, port_of(server), option) as uri:
                for _ in range(2):
                    said, own = await told(uri)
                    assert said == own

    asyncio.run(main())


@pytest.mark.threat("FWD-4")
@pytest.mark.parametrize("carrier", CARRIERS)
def test_haproxy_looks_whether_we_are_there(
    tmp_path: pathlib.Path, carrier: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its checks say LOCAL and end. TLS comes behind the header, which has TLVs."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    options = "send-proxy-v2 proxy-v2-options unique-id,crc32c check inter 20"
    accepted = []

    class Counted(pywscore.ServerConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            accepted.append(True)

    async def main() -> None:
        server = serve(carrier, "PROXY", ssl=context, create_connection=Counted)
        async with server:
            async with haproxy(tmp_path, port_of(server), options) as uri:
                said, own = await told(uri.replace("ws:", "wss:"), ssl=client)
                assert said == own
                await until(lambda: len(accepted) >= 4)
                assert (await told(uri.replace("ws:", "wss:"), ssl=client))[0]

    asyncio.run(main())
    assert not [it for it in caplog.records if it.levelname == "WARNING"]


@pytest.mark.threat("FWD-1")
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(
    ("by", "lie", "rule"),
    [
        ("X-Forwarded-For", "127.0.0.1", "option forwardfor"),
        (
            "Forwarded",
            'for="127.0.0.1',
            "http-request add-header Forwarded for=%[src];proto=http",
        ),
    ],
)
def test_haproxy_adds_headers(
    tmp_path: pathlib.Path, carrier: str, by: str, lie: str, rule: str
) -> None:
    async def main() -> None:
        async with serve(carrier, by) as server:
            async with haproxy(tmp_path, port_of(server), "", "http", rule) as uri:
                for headers in ({}, {by: lie}):
                    said, _ = await told(
                        uri, local_addr=CLIENT, additional_headers=headers
                    )
                    assert said == repr(CLIENT)

    asyncio.run(main())


@pytest.mark.threat("FWD-1")
@pytest.mark.parametrize("carrier", CARRIERS)
def test_nginx_adds_a_header(tmp_path: pathlib.Path, carrier: str) -> None:
    async def main() -> None:
        front = free_port()
        async with serve(carrier, "X-Forwarded-For") as server:
            file = tmp_path / "nginx.conf"
            file.write_text(
                NGINX.format(folder=tmp_path, front=front, back=port_of(server))
            )
            command = program("nginx"), "-c", str(file), "-e", str(tmp_path / "early")
            async with running(*command, port=front) as uri:
                for headers in ({}, {"X-Forwarded-For": "203.0.113.7, 127.0.0.1"}):
                    said, _ = await told(
                        uri, local_addr=CLIENT, additional_headers=headers
                    )
                    assert said == repr(CLIENT)
                # One that is trusted has its own peers.
                said, _ = await told(
                    uri, additional_headers={"X-Forwarded-For": "192.0.2.9"}
                )
                assert said == "('192.0.2.9', 0)"

    asyncio.run(main())
