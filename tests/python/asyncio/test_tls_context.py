"""TLSContexts that change while connections use them."""

from __future__ import annotations

import asyncio
import gc
import pathlib
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from tls_peer import Files

import pywscore._tls
from pywscore import TLSContext, _core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the engine")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def only_auto(environment: Any) -> None:
    if environment.carrier == "transport":
        pytest.skip("elsewhere: the engine only")


async def given(server: Any, files: Files, name: str) -> str:
    """The name in the certificate that those get who ask for ``name``."""
    client = files.python_client()
    client.check_hostname = False
    _, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=client, server_hostname=name
    )
    certificate = writer.get_extra_info("peercert")
    writer.transport.abort()
    return str(certificate["subjectAltName"][0][1])


@pytest.mark.threat("LIF-4")
async def test_threads_change_it(serve: Any, echo: Any, files: Files) -> None:
    """No name is lost, and whoever connects meanwhile gets one certificate or other."""
    context = files.server()
    other = TLSContext.server(files.issue("other", "*.example"))

    def add(thread: int) -> None:
        for number in range(40):
            context.add_certificate(f"{thread}-{number}.example", other)
            time.sleep(0.001)

    def reload() -> None:
        for _ in range(40):
            context.reload()

    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        changes = asyncio.gather(
            *(asyncio.to_thread(add, thread) for thread in range(2)),
            *(asyncio.to_thread(reload) for _ in range(2)),
        )
        while not changes.done():
            assert await given(server, files, "0-39.example") in (
                "*.example",
                "localhost",
            )
        await changes
        for thread in range(2):
            for number in range(40):
                name = f"{thread}-{number}.example"
                assert await given(server, files, name) == "*.example"


@pytest.mark.threat("LIF-4")
async def test_the_last_reload_counts(
    serve: Any, echo: Any, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if one that began earlier, and has read the old files, takes longer."""
    path = files.issue("slow", "old.example")
    context = TLSContext.server(path)
    has_read, goes_on = threading.Event(), threading.Event()
    read = pywscore._tls._read

    def read_slowly(settings: Any) -> Any:
        made = read(settings)
        if not has_read.is_set():
            has_read.set()
            assert goes_on.wait(10)
        return made

    monkeypatch.setattr(pywscore._tls, "_read", read_slowly)
    first, second = (threading.Thread(target=context.reload) for _ in range(2))
    first.start()
    assert has_read.wait(10)
    files.issue("slow", "new.example")
    second.start()
    second.join(0.05)
    goes_on.set()
    first.join(10)
    second.join(10)
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        assert await given(server, files, "any.example") == "new.example"


async def test_contexts_with_names_of_each_other(
    serve: Any, echo: Any, files: Files
) -> None:
    one = TLSContext.server(files.issue("one", "one.example"))
    two = TLSContext.server(files.issue("two", "two.example"))
    one.add_certificate("two.example", two)
    two.add_certificate("one.example", one)
    async with (
        serve(echo, "127.0.0.1", 0, ssl=one) as first,
        serve(echo, "127.0.0.1", 0, ssl=two) as second,
    ):
        for _ in range(2):
            for server in (first, second):
                for name in ("one.example", "two.example"):
                    assert await given(server, files, name) == name
            one.reload()
    del first, second, server
    gone = weakref.ref(one)
    cores = core_contexts()
    del one, two
    gc.collect()
    assert gone() is None and core_contexts() == cores - 2


def core_contexts() -> int:
    gc.collect()
    return sum(type(one) is _core.TLSContext for one in gc.get_objects())


async def test_reload_changes_all_or_nothing(
    serve: Any, echo: Any, files: Files, tmp_path: pathlib.Path
) -> None:
    """Also of the contexts whose names it has, which may be used on their own."""
    shared = TLSContext.server(files.issue("shared", "old.example"))
    broken = files.issue("broken", "broken.example")
    context = files.server()
    context.add_certificate("shared.example", shared)
    context.add_certificate("broken.example", TLSContext.server(broken))
    files.issue("shared", "new.example")
    good = broken.read_text()
    broken.write_text("nonsense")
    async with (
        serve(echo, "127.0.0.1", 0, ssl=context) as both,
        serve(echo, "127.0.0.1", 0, ssl=shared) as alone,
    ):
        with pytest.raises(ValueError):
            context.reload()
        assert await given(both, files, "shared.example") == "old.example"
        assert await given(alone, files, "shared.example") == "old.example"
        broken.write_text(good)
        context.reload()
        assert await given(both, files, "shared.example") == "new.example"
        assert await given(alone, files, "shared.example") == "new.example"


async def test_reload_of_a_name_takes_effect_where_it_is_served(
    serve: Any, echo: Any, files: Files
) -> None:
    """Whether it is read again itself, or by another one that has it."""
    shared = TLSContext.server(files.issue("shared", "1.example"))
    contexts = [files.server(), files.server()]
    for context in contexts:
        context.add_certificate("shared.example", shared)
    async with (
        serve(echo, "127.0.0.1", 0, ssl=contexts[0]) as one,
        serve(echo, "127.0.0.1", 0, ssl=contexts[1]) as other,
    ):
        for number, reload in enumerate([shared.reload, contexts[0].reload], 2):
            files.issue("shared", f"{number}.example")
            reload()
            for server in one, other:
                served = await given(server, files, "shared.example")
                assert served == f"{number}.example"


async def test_old_settings_go_with_their_last_connection(
    serve: Any, connect: Any, uri_of: Any, echo: Any, files: Files
) -> None:
    context = files.server()
    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        before = core_contexts()
        async with connect(uri_of(server, scheme="wss"), ssl=files.client()) as ws:
            await ws.send("x")
            assert await ws.recv() == "x"
            with_client = core_contexts()
            for _ in range(3):
                context.reload()
            assert core_contexts() == with_client + 1
            await ws.send("y")
            assert await ws.recv() == "y"
        del ws
        while server.connections:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        assert core_contexts() == before


def test_what_is_refused(files: Files) -> None:
    context = files.server()
    for other in (context, files.client()):
        with pytest.raises(ValueError):
            context.add_certificate("localhost", other)
    with pytest.raises(ValueError):
        files.client().add_certificate("localhost", context)
    file = files.chain
    with pytest.raises(ValueError, match="client certificates need client_ca"):
        pywscore.TLSContext.server(file, client_certificates="required")
    for version in ("1.1", "1.4", "TLSv1.3"):
        with pytest.raises(ValueError, match="minimum_version must be"):
            pywscore.TLSContext.client(minimum_version=version)  # type: ignore[arg-type]


@pytest.mark.threat("SEC-1")
async def test_a_name_asks_for_nothing_else(
    serve: Any, echo: Any, files: Files, tmp_path: pathlib.Path
) -> None:
    """It would not be asked for: neither another's certificates nor a newer TLS."""
    another = tmp_path / "ca.pem"
    another.write_text(files.ca.read_text())
    demanding = files.server(client_ca=files.ca)
    for first, other in [
        (files.server(), demanding),
        (demanding, files.server()),
        (demanding, files.server(client_ca=another)),
        (demanding, files.server(client_ca=files.ca, client_certificates="optional")),
        (files.server(), files.server(minimum_version="1.3")),
    ]:
        with pytest.raises(ValueError, match="same client certificates"):
            first.add_certificate("*.example", other)
        async with serve(echo, "127.0.0.1", 0, ssl=first) as server:
            if first is not demanding:
                assert await given(server, files, "a.example") == "localhost"
    demanding.add_certificate("*.example", files.server(client_ca=files.ca))
    files.server(minimum_version="1.3").add_certificate("*.example", files.server())
