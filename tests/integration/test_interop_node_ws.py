"""Both ends against `ws` under Node."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tls_peer import KINDS, Files

import pywscore
from pywscore import PerMessageDeflate

pytestmark = pytest.mark.external


@pytest.fixture(scope="module", params=KINDS)
def files(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Files:
    return Files(tmp_path_factory.mktemp("tls"), request.param)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(90):
            return await coroutine

    return asyncio.run(bounded())


# Each setting: windows of server and client, and whether they are used once.
SETTINGS: list[dict[str, Any] | None] = [
    None,
    {},
    *({"serverMaxWindowBits": bits} for bits in range(9, 16)),
    *({"clientMaxWindowBits": bits} for bits in range(9, 16)),
    *(
        {"serverNoContextTakeover": one, "clientNoContextTakeover": other}
        for one, other in itertools.product([False, True], repeat=2)
    ),
    {
        "serverMaxWindowBits": 10,
        "clientMaxWindowBits": 11,
        "serverNoContextTakeover": True,
        "clientNoContextTakeover": True,
    },
]
OURS = {
    "serverMaxWindowBits": "server_max_window_bits",
    "clientMaxWindowBits": "client_max_window_bits",
    "serverNoContextTakeover": "server_no_context_takeover",
    "clientNoContextTakeover": "client_no_context_takeover",
}


def as_ours(setting: dict[str, Any] | None) -> PerMessageDeflate | None:
    if setting is None:
        return None
    return PerMessageDeflate(
        threshold=0, **{OURS[name]: value for name, value in setting.items()}
    )


SERVER = """
const { WebSocketServer } = require("ws");
const { settings, pem } = JSON.parse(process.argv[1]);
const file = pem && require("fs").readFileSync(pem);
const listening = () => pem
  ? { server: require("https").createServer({ key: file, cert: file })
      .listen(0, "127.0.0.1") }
  : { host: "127.0.0.1", port: 0 };
const servers = settings.map((setting) => new WebSocketServer({
  ...listening(), maxPayload: 2 << 20,
  perMessageDeflate: setting === null ? false : { threshold: 0, ...setting },
  handleProtocols: (offered) => offered.has("chat") ? "chat" : false,
}));
for (const server of servers) {
  server.on("connection", (ws) => {
    ws.on("message", (data, isBinary) => {
      const text = isBinary ? "" : data.toString();
      if (text.startsWith("close ")) {
        const [, code, reason] = text.match(/^close (\\d+) ?(.*)$/s);
        ws.close(Number(code), reason);
      } else if (text === "fragments") {
        ws.send("in ", { fin: false });
        ws.send("", { fin: false });
        ws.ping("between");
        ws.send("fragments é", { fin: true });
      } else {
        ws.send(data, { binary: isBinary });
      }
    });
    ws.on("close", (code, reason) => console.log(JSON.stringify(
      { code, reason: reason.toString() })));
    ws.on("error", (error) => console.log(JSON.stringify({ error: error.message })));
  });
}
Promise.all(servers.map((s) => new Promise((done) => s.on("listening", done))))
  .then(() => console.log(JSON.stringify(servers.map((s) => s.address().port))));
process.stdin.on("end", () => process.exit(0)).resume();
"""


@asynccontextmanager
async def node_server(
    env: dict[str, str], settings: list[Any], pem: Path | None = None
) -> AsyncIterator[tuple[list[str], asyncio.StreamReader]]:
    """With TLS if there is a ``pem`` with key and certificate."""
    arguments = {"settings": settings, "pem": pem and str(pem)}
    process = await asyncio.create_subprocess_exec(
        *("node", "-e", SERVER, json.dumps(arguments)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
        limit=1 << 20,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        ports = json.loads(await process.stdout.readline())
        scheme = "wss" if pem else "ws"
        yield [f"{scheme}://127.0.0.1:{port}/" for port in ports], process.stdout
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 10)


TEXT = "".join(f"line {number}: {number * 7919}\n" for number in range(3000))


async def converse(ws: pywscore.Connection) -> None:
    messages: list[Any] = ["", b"", "é€😀", bytes(range(256)), TEXT, TEXT[::-1], TEXT]
    for message in messages:
        await ws.send(message)
        assert await ws.recv() == message
    await ws.send(["in ", "", TEXT, "é"])
    assert await ws.recv() == f"in {TEXT}é"
    await ws.send("fragments")
    assert await ws.recv() == "in fragments é"
    assert await (await ws.ping(b"p" * 125)) < 10


def test_our_client(node: dict[str, str]) -> None:
    async def main() -> None:
        async with node_server(node, SETTINGS) as (uris, output):
            for uri, setting in zip(uris, SETTINGS, strict=True):
                async with pywscore.connect(
                    uri, proxy=None, compression=as_ours({})
                ) as ws:
                    agreed = ws.protocol.compression
                    assert (agreed is None) == (setting is None), setting
                    for name, value in (setting or {}).items():
                        assert getattr(agreed, OURS[name]) == value
                    await converse(ws)
                assert json.loads(await output.readline()) == {
                    "code": 1000,
                    "reason": "",
                }
            # What the client asks for is kept to as well.
            for setting in SETTINGS:
                async with pywscore.connect(
                    uris[1], proxy=None, compression=as_ours(setting)
                ) as ws:
                    agreed = ws.protocol.compression
                    assert (agreed is None) == (setting is None), setting
                    for name, value in (setting or {}).items():
                        if name.startswith("server"):
                            assert getattr(agreed, OURS[name]) == value
                    await converse(ws)
                await output.readline()

    run(main())


def test_our_client_large_many_and_closing(node: dict[str, str]) -> None:
    async def main() -> None:
        async with node_server(node, [None, {}]) as (uris, output):
            for uri in uris:
                async with pywscore.connect(
                    uri, proxy=None, subprotocols=["x", "chat"]
                ) as ws:
                    assert ws.subprotocol == "chat"
                    for message in (os.urandom(1 << 20), "x" * (1 << 20)):
                        await ws.send(message)
                        assert await ws.recv() == message
                    for number in range(1000):
                        await ws.send(str(number) * (number % 50))
                    for number in range(1000):
                        assert await ws.recv() == str(number) * (number % 50)
                await output.readline()
            for code, reason in [
                (1000, ""),
                (1001, "x"),
                (3000, "é" * 61),
                (4999, "y"),
            ]:
                async with pywscore.connect(uris[0], proxy=None) as ws:
                    await ws.send(f"close {code} {reason}")
                    await ws.wait_closed()
                    assert (ws.close_code, ws.close_reason) == (code, reason)
                assert json.loads(await output.readline())["code"] == code
                async with pywscore.connect(uris[0], proxy=None) as ws:
                    await ws.close(code, reason)
                line = json.loads(await output.readline())
                assert line == {"code": code, "reason": reason}

    run(main())


CLIENT = """
const WebSocket = require("ws");
const { uri, settings, large } = JSON.parse(process.argv[1]);
const line = (_, n) => `line ${n}: ${n * 7919}\\n`;
const text = Array.from({ length: 3000 }, line).join("");
const binary = Buffer.from(Array.from({ length: 256 }, (_, n) => n));

function converse(setting) {
  return new Promise((done, fail) => {
    const ws = new WebSocket(uri, ["x", "chat"], {
      perMessageDeflate: setting === null ? false : { threshold: 0, ...setting },
      maxPayload: 2 << 20,
    });
    const messages = ["", "é€😀", binary, Buffer.alloc(0), text, "short", text];
    if (large) {
      messages.push(Buffer.alloc(1 << 20, "ab"), "x".repeat(1 << 20));
      for (let n = 0; n < 1000; n++) messages.push(String(n));
    }
    const expected = [...messages, "fragments é", text + text];
    let pong = false, count = 0;
    let extensions = "";
    ws.on("upgrade", (answer) => {
      extensions = answer.headers["sec-websocket-extensions"] ?? "";
    });
    ws.on("error", fail);
    ws.on("pong", (data) => { pong ||= data.toString() === "p".repeat(125); });
    ws.on("open", () => {
      ws.ping("p".repeat(125));
      for (const message of messages) ws.send(message);
      ws.send("frag", { fin: false });
      ws.ping("");
      ws.send("ments é", { fin: true });
      ws.send(text, { fin: false });
      ws.send(text, { fin: true });
    });
    ws.on("message", (data, isBinary) => {
      const want = expected[count++];
      const same = isBinary ? Buffer.isBuffer(want) && want.equals(data)
        : data.toString() === want;
      if (!same) fail(new Error(`message ${count} differs`));
      if (count === expected.length) ws.close(3000 + count % 1000, "é");
    });
    ws.on("close", (code, reason) => done({ extensions,
      protocol: ws.protocol, pong, count, code, reason: reason.toString() }));
  });
}
(async () => {
  const results = [];
  for (const setting of settings) results.push(await converse(setting));
  console.log(JSON.stringify(results));
})().catch((error) => { console.error(error); process.exit(1); });
"""


async def echo(ws: pywscore.Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def node_client(env: dict[str, str], **arguments: Any) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *("node", "-e", CLIENT, json.dumps(arguments)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    results: list[dict[str, Any]] = json.loads(output)
    return results


@pytest.mark.parametrize("large", [False, True])
def test_our_server(node: dict[str, str], large: bool) -> None:
    async def main() -> None:
        settings = SETTINGS if not large else [None, {}]
        async with pywscore.serve(
            echo, "127.0.0.1", 0, compression=as_ours({}), subprotocols=["chat"]
        ) as server:
            uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            results = await node_client(node, uri=uri, settings=settings, large=large)
        for setting, result in zip(settings, results, strict=True):
            assert result["count"] == 9 + 1002 * large and result["pong"], result
            assert (result["code"], result["reason"]) == (
                3000 + result["count"] % 1000,
                "é",
            )
            assert result["protocol"] == "chat"
            assert ("permessage-deflate" in result["extensions"]) == (
                setting is not None
            )
            for name, value in (setting or {}).items():
                if value is not False and name.startswith("server"):
                    assert OURS[name] in result["extensions"], result

    run(main())


@pytest.mark.parametrize("setting", SETTINGS[1:], ids=json.dumps)
def test_our_server_with_settings_of_its_own(
    node: dict[str, str], setting: dict[str, Any]
) -> None:
    async def main() -> None:
        async with pywscore.serve(
            echo,
            "127.0.0.1",
            0,
            compression=as_ours(setting),
            subprotocols=["chat"],
        ) as server:
            uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            (result,) = await node_client(node, uri=uri, settings=[{}], large=False)
        assert result["count"] == 9 and result["pong"]
        for name, value in setting.items():
            if value not in (False, 15):  # 15 is what is meant without it
                assert OURS[name] in result["extensions"], result

    run(main())


def is_on_engine(ws: pywscore.Connection) -> bool:
    return type(ws.transport).__name__ == "EngineTransport"


def test_our_client_over_tls(node: dict[str, str], files: Files) -> None:
    async def main() -> None:
        async with node_server(node, [None, {}], files.chain) as (uris, output):
            for uri in uris:
                async with pywscore.connect(
                    uri, proxy=None, compression=as_ours({}), ssl=files.client()
                ) as ws:
                    assert is_on_engine(ws)
                    await converse(ws)
                    large = os.urandom(1 << 20)
                    await ws.send(large)
                    assert await ws.recv() == large
                line = {"code": 1000, "reason": ""}
                assert json.loads(await output.readline()) == line

    run(main())


def test_our_server_over_tls(node: dict[str, str], files: Files) -> None:
    carried = []

    async def handler(ws: pywscore.Connection) -> None:
        carried.append(is_on_engine(ws))
        await echo(ws)

    async def main() -> None:
        async with pywscore.serve(
            handler, "127.0.0.1", 0, subprotocols=["chat"], ssl=files.server()
        ) as server:
            uri = f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            env = node | {"NODE_EXTRA_CA_CERTS": str(files.ca)}
            results = await node_client(env, uri=uri, settings=[None, {}], large=True)
        for result in results:
            assert result["count"] == 1011 and result["pong"], result
            assert (result["code"], result["reason"]) == (3011, "é")

    run(main())
    assert carried == [True, True]
