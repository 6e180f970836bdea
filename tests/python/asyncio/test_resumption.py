"""``async for ws in connect("wss://…")`` resumes the TLS session of before."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from tls_peer import Files

import pywscore


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def only_auto(environment: Any) -> None:
    if environment.carrier == "transport":
        pytest.skip("elsewhere: the engine only")


async def close(ws: Any) -> None:
    await ws.close()


async def cut(ws: Any) -> None:
    ws.transport.abort()


async def resumed(uri: str, context: Any, end: Any, count: int = 4) -> list[bool]:
    """Whether each of some connections in a row resumed a session."""
    found: list[bool] = []
    async for ws in pywscore.connect(uri, ssl=context, proxy=None):
        await ws.send("so that tickets have come")
        assert await ws.recv() == "so that tickets have come"
        tls = ws.transport.get_extra_info("ssl_object")
        found.append(tls.session_reused)
        await end(ws)
        if len(found) == count:
            break
    return found


CLIENTS: dict[str, Callable[[Files], Any]] = {
    "SSLContext": lambda files: files.python_client(),
    "TLSContext": lambda files: files.client(),
}


@pytest.mark.parametrize("end", [close, cut])
@pytest.mark.parametrize("kind", CLIENTS)
async def test_each_after_the_first(
    serve: Any, uri_of: Any, echo: Any, files: Files, kind: str, end: Any
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")
        context = CLIENTS[kind](files)
        assert await resumed(uri, context, end) == [False, True, True, True]


async def test_tls_1_2(serve: Any, uri_of: Any, echo: Any, files: Files) -> None:
    context = files.python_client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")
        assert await resumed(uri, context, close) == [False, True, True, True]


@pytest.mark.threat("TLS-8")
async def test_not_for_another_server(
    serve: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    """It would stand for a certificate that nobody has looked at."""
    context, theirs = files.python_client(), files.server()
    async with (
        serve(echo, "127.0.0.1", 0, ssl=theirs) as first,
        serve(echo, "127.0.0.1", 0, ssl=theirs) as second,
    ):
        connecting = pywscore.connect(
            uri_of(first, scheme="wss"), ssl=context, proxy=None
        )
        found: list[bool] = []
        async for ws in connecting:
            await ws.send("")
            await ws.recv()
            found.append(ws.transport.get_extra_info("ssl_object").session_reused)
            await ws.close()
            if len(found) == 3:
                break
            connecting.ws_uri = pywscore.uri.parse_uri(uri_of(second, scheme="wss"))
        assert found == [False, False, True]


class Strict(ssl.SSLContext):
    """Wraps BIOs in a way that knows of no sessions."""

    def wrap_bio(  # type: ignore[override]
        self, incoming: Any, outgoing: Any, server_side: bool, server_hostname: Any
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname)


async def test_contexts_of_others(
    serve: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    context = Strict(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.ca)
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        uri = uri_of(server, scheme="wss")
        assert await resumed(uri, context, close, 2) == [False, False]
