"""Passwords in a hub's URL: they go where it says, as it says, and into no text."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from pywscore.rooms import Hub, HubError

pytest.importorskip("redis")
pytestmark = pytest.mark.threat("SEC-1")

MARK = "s3cr3t"
# RFC 8446 §5.1: the first byte of a record with a ClientHello.
HANDSHAKE = b"\x16"


async def said(url: str) -> tuple[bytes, HubError]:
    """What a hub says first to who listens at a port, and why it gave up."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        heard.put_nowait(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(HubError) as info:
            await Hub(url.format(at=f"127.0.0.1:{port}"), connect_timeout=0.3).open()
        return await heard.get(), info.value


@pytest.mark.parametrize(
    "url",
    [
        f"rediss://user:{MARK}@{{at}}/0",
        f"rediss+sentinel://user:{MARK}@{{at}}/main?sentinel_password={MARK}",
        f"rediss+cluster://user:{MARK}@{{at}}",
    ],
)
async def test_nothing_before_tls(url: str) -> None:
    first, _ = await said(url)
    assert first.startswith(HANDSHAKE) and MARK.encode() not in first


async def test_what_is_said_of_sentinels() -> None:
    """redis-py would show all of their connections, some versions with passwords."""
    url = f"redis+sentinel://user:{MARK}@{{at}}/main?sentinel_password={MARK}"
    first, error = await said(url)
    assert MARK.encode() in first
    assert "no Sentinel names the master" in str(error)
    text = "".join(traceback.format_exception(error))
    assert MARK not in text and "ConnectionPool(" not in text


@pytest.mark.parametrize("several", [False, True])
def test_urls_that_are_none(several: bool) -> None:
    wrong = f"redis://user:{MARK}@\u2100host"
    with pytest.raises(ValueError, match="URL isn't one") as info:
        Hub(["redis://host", wrong] if several else wrong)
    assert MARK not in "".join(traceback.format_exception(info.value))
