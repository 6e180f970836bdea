"""install(): other packages' names for pywscore, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_websockets() -> None:
    run("""
        import pywscore
        pywscore.install("websockets")

        import importlib.util
        import websockets
        import websockets.asyncio.server
        import websockets.extensions.permessage_deflate as deflate
        import websockets.version
        from websockets import *
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidStatusCode
        from websockets.frames import CloseCode
        from websockets.legacy.exceptions import AbortHandshake

        assert websockets.asyncio.server.serve is websockets.serve is pywscore.serve
        assert connect is pywscore.connect
        assert ConnectionClosed is pywscore.ConnectionClosed
        assert issubclass(websockets.InvalidStatus, websockets.InvalidStatusCode)
        assert AbortHandshake is websockets.AbortHandshake
        assert deflate.PerMessageDeflate is pywscore.PerMessageDeflate
        assert websockets.frames.CloseCode is CloseCode is pywscore.CloseCode
        assert websockets.__version__.startswith("17.")
        assert websockets.version.version == websockets.__version__
        assert Headers is pywscore.Headers
        assert pywscore.frames.__name__ == "pywscore.frames"
        pywscore.install("websockets")  # once more
        assert websockets is __import__("websockets")
        assert importlib.util.find_spec("websockets") is not None
    """)


def test_every_module_is_there() -> None:
    run("""
        import importlib, pkgutil, sys
        import pywscore, pywscore._install
        pywscore.install("websockets")
        for name in pywscore._install._MODULES:
            ours = importlib.import_module("pywscore." + name)
            assert importlib.import_module("websockets." + name) is ours
            # Nothing of ours is there twice.
            assert ours.__spec__.name == ours.__name__ == "pywscore." + name
        homes = {}
        for name, module in list(sys.modules.items()):
            if (where := vars(module).get("__file__")) and "pywscore" in where:
                homes.setdefault(where, set()).add(id(module))
        assert all(len(modules) == 1 for modules in homes.values())
    """)


@pytest.mark.parametrize("name", ["sync.client", "trio", "legacy.auth", "cli", "rooms"])
def test_no_counterpart(name: str) -> None:
    run(f"""
        import pywscore
        pywscore.install("websockets")
        try:
            import websockets.{name}
        except ModuleNotFoundError as exc:
            assert exc.name.startswith("websockets.")
        else:
            raise AssertionError
    """)


def test_loggers_have_the_names_that_the_program_knows() -> None:
    said = run("""
        import pywscore
        pywscore.install("websockets")

        import asyncio, logging, sys, websockets

        logging.basicConfig(stream=sys.stdout, level="INFO", format="%(name)s")
        logging.getLogger("websockets.client").setLevel("DEBUG")

        async def main():
            server = await websockets.serve(lambda ws: ws.wait_closed(), "127.0.0.1", 0)
            uri = "ws://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
            async with websockets.connect(uri):
                pass
            server.close()
            await server.wait_closed()
            pywscore.uninstall()
            async with pywscore.serve(print, "127.0.0.1", 0):
                pass

        asyncio.run(main())
    """).split()
    last = said.index("pywscore.server")
    assert set(said[:last]) == {"websockets.server", "websockets.client"}
    assert set(said[last:]) == {"pywscore.server"}


def test_a_program_runs() -> None:
    run("""
        import pywscore
        pywscore.install("websockets")

        import asyncio, websockets

        async def handler(websocket: websockets.WebSocketServerProtocol) -> None:
            async for message in websocket:
                await websocket.send(message)

        def process_request(connection, request):
            if request.path == "/no":
                return connection.respond(403, "no")

        async def main():
            async with websockets.serve(
                handler, "127.0.0.1", 0, process_request=process_request
            ) as server:
                uri = "ws://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
                async with websockets.connect(uri) as ws:
                    await ws.send("x")
                    assert await ws.recv() == "x"
                    assert isinstance(ws, websockets.WebSocketClientProtocol)
                try:
                    await websockets.connect(uri + "/no")
                except websockets.exceptions.InvalidStatusCode as exc:
                    assert exc.status_code == 403 and "Date" in exc.headers
                else:
                    raise AssertionError

        asyncio.run(main())
    """)


def test_websockets_is_imported_already() -> None:
    run("""
        import websockets, pywscore
        theirs = websockets.connect
        try:
            pywscore.install()
        except RuntimeError as exc:
            assert "first lines" in str(exc)
        else:
            raise AssertionError
        import websockets.frames
        assert websockets.connect is theirs
    """)


def test_uninstall() -> None:
    run("""
        import sys
        import pywscore
        pywscore.uninstall()  # nothing to do
        pywscore.install("websockets")
        import websockets
        before = websockets
        pywscore.uninstall()
        assert not [name for name in sys.modules if name.startswith("websockets")]
        import websockets, websockets.frames
        assert websockets is not before
        assert websockets.frames.Close is not pywscore.Close
        assert before.connect is pywscore.connect
    """)


def test_light_until_asked_for() -> None:
    run("""
        import sys
        import pywscore
        for name in ("legacy", "frames", "headers", "http11", "utils", "integrations"):
            assert f"pywscore.{name}" not in sys.modules, name
        assert pywscore.frames.Close is pywscore.Close
        assert pywscore.WebSocketServerProtocol is pywscore.ServerConnection
        assert not hasattr(pywscore, "websockets")
    """)


def test_another_package() -> None:
    import pywscore

    with pytest.raises(ValueError, match="picows"):
        pywscore.install("picows")


@pytest.mark.parametrize("ws", ["auto", "websockets", "websockets-sansio"])
def test_uvicorn(ws: str) -> None:
    pytest.importorskip("uvicorn")
    run(f"""
        import pywscore
        pywscore.install("websockets")
        import uvicorn

        async def app(scope, receive, send):
            pass

        config = uvicorn.Config(app, ws={ws!r})
        config.load()
        from pywscore.integrations.uvicorn import WebSocketProtocol
        assert config.ws_protocol_class is WebSocketProtocol
        pywscore.uninstall()
        from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol
        assert AutoWebSocketsProtocol is not WebSocketProtocol
    """)


def test_aiohttp() -> None:
    pytest.importorskip("aiohttp")
    run("""
        import pywscore
        pywscore.install("aiohttp")
        import aiohttp
        from aiohttp import web
        from pywscore.integrations import aiohttp as ours

        assert web.WebSocketResponse is ours.WebSocketResponse
        assert web.WebSocketReady is ours.WebSocketReady

        import asyncio

        async def handler(request):
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            async for message in ws:
                await ws.send_str(message.data)
            return ws

        async def main():
            app = web.Application()
            app.router.add_get("/", handler)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            async with aiohttp.ClientSession() as session:
                async with session.ws_connect(f"http://{host}:{port}/") as ws:
                    assert isinstance(ws, ours.ClientWebSocketResponse)
                    await ws.send_str("x")
                    assert (await ws.receive_str()) == "x"
            await runner.cleanup()

        asyncio.run(main())
        pywscore.uninstall()
        assert web.WebSocketResponse is not ours.WebSocketResponse
        assert aiohttp.ClientSession.ws_connect is not ours.ws_connect
    """)


def test_aiohttp_is_used_already() -> None:
    pytest.importorskip("aiohttp")
    run("""
        from aiohttp import web
        from aiohttp.web import WebSocketResponse
        import pywscore
        try:
            pywscore.install("aiohttp")
        except RuntimeError as exc:
            assert "__main__" in str(exc)
        else:
            raise AssertionError
        assert web.WebSocketResponse is WebSocketResponse
    """)


def test_uvicorn_has_no_other_names() -> None:
    run("""
        import pywscore
        pywscore.install("websockets")
        from uvicorn.protocols.websockets.websockets_impl import WebSocketProtocol
        assert WebSocketProtocol.__module__.startswith("pywscore.")
        try:
            from uvicorn.protocols.websockets.websockets_impl import Server
        except ImportError as exc:
            assert "cannot import name 'Server'" in str(exc)
        else:
            raise AssertionError
    """)


def test_what_others_put_in_its_place_stays() -> None:
    run("""
        import sys, types
        import pywscore
        pywscore.install("websockets")
        sys.modules["websockets.uri"] = other = types.ModuleType("websockets.uri")
        pywscore.uninstall()
        assert sys.modules["websockets.uri"] is other
        assert "websockets" not in sys.modules
        pywscore.uninstall()  # there is nothing to undo
    """)
