"""libwsc as C programs see it: installed into a prefix, the examples built from there
by what pkg-config and CMake say, and driven by clients of this and another library."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets.asyncio.client
from blocks import block

import pywscore

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples/c"
SERIES = pywscore.__version__.rpartition(".")[0]
WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
CC = ["gcc", "-std=c11", "-O1", "-g", *WARNINGS]
MIB = 1 << 20

pytestmark = [
    pytest.mark.external,
    pytest.mark.skipif(sys.platform != "linux", reason="names as Linux has them"),
    *(
        pytest.mark.skipif(not shutil.which(name), reason=f"no {name}")
        for name in ("make", "gcc", "pkg-config", "nm", "readelf")
    ),
]


def call(*command: str | Path, cwd: Path = ROOT, **env: str) -> str:
    """What it prints; it has to go through, without a warning."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(*variables: str) -> None:
    """One at a time: it is built where all find it."""
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build/install.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        call("make", "-s", "install", *variables)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefix")
    install(f"PREFIX={folder}")
    return folder


def flags(prefix: Path, *options: str) -> list[str]:
    path = str(prefix / "lib/pkgconfig")
    return call("pkg-config", *options, "wsc", PKG_CONFIG_PATH=path).split()


@pytest.fixture(scope="module", params=["shared", "static"])
def programs(request: pytest.FixtureRequest, prefix: Path) -> Path:
    """A folder with both examples."""
    folder = prefix / request.param
    folder.mkdir()
    if request.param == "shared":
        linked = [*flags(prefix, "--libs"), f"-Wl,-rpath,{prefix}/lib"]
    else:
        words = flags(prefix, "--static", "--libs")
        linked = [word.replace("-lwsc", "-l:libwsc.a") for word in words]
    for source in sorted(EXAMPLES.glob("*.c")):
        program = folder / source.stem
        call(*CC, source, *flags(prefix, "--cflags"), *linked, "-o", program)
    return folder


def needed(program: Path) -> str:
    return call("readelf", "--dynamic", program)


# ---- what is installed ---------------------------------------------------------------


def test_names_of_the_files(prefix: Path) -> None:
    library = prefix / "lib"
    assert (library / "libwsc.so").resolve().name == f"libwsc.so.{pywscore.__version__}"
    assert (library / f"libwsc.so.{SERIES}").exists()
    assert f"soname: [libwsc.so.{SERIES}]" in needed(library / "libwsc.so")
    assert flags(prefix, "--modversion") == [pywscore.__version__]
    installed = {path.name for path in (prefix / "include/wsc").iterdir()}
    assert installed == {path.name for path in (ROOT / "csrc/include/wsc").iterdir()}


def test_another_folder_of_libraries_below_a_staged_root(tmp_path: Path) -> None:
    folder = "lib/some-linux"
    install(f"DESTDIR={tmp_path}", "PREFIX=/usr", f"LIBDIR={folder}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["usr"]
    library = tmp_path / "usr" / folder
    assert (library / "libwsc.a").exists()
    written = (library / "pkgconfig/wsc.pc").read_text()
    assert "prefix=/usr\n" in written and f"/{folder}\n" in written
    assert str(tmp_path) not in written
    package = (library / "cmake/wsc/wscConfig.cmake").read_text()
    assert '${_wsc_libdir}/../.."' in package and "@" not in package


def declared(header: str) -> set[str]:
    """The functions that a header declares, but for those that it defines."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"^#(?:.*\\\n)*.*$", "", text, flags=re.MULTILINE)
    text = text.replace('extern "C" {', "")
    while re.search(r"\{[^{}]*\}", text):
        text = re.sub(r"\{[^{}]*\}", "{", text).replace("{", ";")
    functions = set()
    for part in text.split(";"):
        found = re.search(r"\b(wsc_\w+)\s*\([^*]", part)
        if found and "static inline" not in part and "typedef" not in part:
            functions.add(found[1])
    return functions


def exported(file: str | Path) -> set[str]:
    lines = call("nm", "--dynamic", "--defined-only", file).splitlines()
    return {line.split()[-1] for line in lines}


def test_exported_is_what_the_headers_declare(prefix: Path) -> None:
    headers = sorted((prefix / "include/wsc").iterdir())
    public = set.union(*(declared(path.read_text()) for path in headers))
    assert exported(prefix / "lib/libwsc.so") == public
    assert {"wsc_conn_init", "wsc_str_is", "wsc_link_new", "wsc_version"} <= public


def test_the_extension_exports_nothing_of_it() -> None:
    names = exported(pywscore._core.__file__)
    assert "PyInit__core" in names
    assert [name for name in names if "wsc_" in name] == []


@pytest.mark.parametrize("compiler", ["gcc -std=c11 -xc", "g++ -std=c++11 -xc++"])
def test_each_header_stands_alone(prefix: Path, tmp_path: Path, compiler: str) -> None:
    command = compiler.split()
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]}")
    for header in sorted((prefix / "include/wsc").iterdir()):
        source = tmp_path / "source"
        line = f"#include <wsc/{header.name}>\n"
        source.write_text(line + line + "int main(void) { return 0; }\n")
        call(*command, *WARNINGS, "-fsyntax-only", f"-I{prefix}/include", source)


CMAKE = """
cmake_minimum_required(VERSION 3.10)
project(consumer C)
add_executable(app SOURCE)
DOCUMENTED
foreach(kind wsc static)
  add_executable(sans_io_${kind} SOURCE)
  target_link_libraries(sans_io_${kind} wsc::${kind})
endforeach()
find_package(wsc 9.0 QUIET CONFIG)
if(wsc_FOUND)
  message(FATAL_ERROR "9.0 is found")
endif()
"""


@pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake")
def test_cmake_finds_it(prefix: Path, tmp_path: Path) -> None:
    text = CMAKE.replace("DOCUMENTED", block("docs/c-api.md", "CMakeLists.txt"))
    text = text.replace("SOURCE", str(EXAMPLES / "sans_io.c"))
    (tmp_path / "CMakeLists.txt").write_text(text)
    build = tmp_path / "build"
    call("cmake", "-S", tmp_path, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    call("cmake", "--build", build)
    for name in ("app", "sans_io_wsc", "sans_io_static"):
        assert call(build / name) == TALK
    assert "libwsc.so" in needed(build / "sans_io_wsc")
    assert "libwsc.so" not in needed(build / "sans_io_static")


# ---- the examples --------------------------------------------------------------------

TALK = """\
server: request for /room
client: open, subprotocol chat
server: message "Hello!", compressed
server: ping
client: pong
client: message "Hello yourself.", compressed
server: close 1000 "bye"
client: close 1000 "bye"
"""


def test_two_ends_in_memory(programs: Path) -> None:
    assert call(programs / "sans_io") == TALK
    assert ("libwsc.so" in needed(programs / "sans_io")) == (programs.name == "shared")


@contextmanager
def echo_server(programs: Path) -> Iterator[str]:
    """Its URL. It is ended by Ctrl-C, and has said nothing then."""
    with subprocess.Popen(
        [programs / "echo", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            yield process.stdout.readline().strip()
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def drive(programs: Path, scenario: Any) -> None:
    async def bounded(url: str) -> None:
        async with asyncio.timeout(60):
            await scenario(url)

    with echo_server(programs) as url:
        asyncio.run(bounded(url))


CONNECTS = [pywscore.connect, websockets.asyncio.client.connect]
MESSAGES = [
    "",
    "é€😀",
    b"",
    bytes(range(256)),
    b"\xff" * 126,
    "a" * MIB,
    os.urandom(MIB),
]


@pytest.mark.parametrize("connect", CONNECTS)
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_come_back(programs: Path, connect: Any, compression: Any) -> None:
    async def scenario(url: str) -> None:
        # websockets holds the limit against the compressed size too.
        async with connect(url, compression=compression, max_size=2 * MIB) as ws:
            for message in MESSAGES:
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send(["in ", "", "é", " fragments"])
            assert await ws.recv() == "in é fragments"
            for data in (b"", b"p" * 125):
                assert await (await ws.ping(data)) < 10
            offered = ws.response.headers.get("Sec-WebSocket-Extensions", "")
            assert ("permessage-deflate" in offered) == (compression is not None)
            await ws.close(4321, "enough")
        assert (ws.close_code, ws.close_reason) == (4321, "enough")

    drive(programs, scenario)


@pytest.mark.parametrize("connect", CONNECTS)
def test_many_connections(programs: Path, connect: Any) -> None:
    async def talk(url: str, number: int) -> None:
        async with connect(url) as ws:
            for size in (1, 1000, 100_000):
                await ws.send(f"{number}" * size)
            for size in (1, 1000, 100_000):
                assert await ws.recv() == f"{number}" * size

    async def scenario(url: str) -> None:
        await asyncio.gather(*(talk(url, number) for number in range(100)))

    drive(programs, scenario)


@pytest.mark.parametrize("connect", CONNECTS)
def test_its_end_is_told(programs: Path, connect: Any) -> None:
    async def scenario() -> None:
        with echo_server(programs) as url:
            connected = await connect(url)
            await connected.send("x")
            assert await connected.recv() == "x"
        await asyncio.wait_for(connected.wait_closed(), 10)
        assert connected.close_code == 1001

    asyncio.run(scenario())


async def say(url: str, data: bytes) -> bytes:
    """All that the server answers to these bytes; it ends the connection."""
    port = int(url.rpartition(":")[2].strip("/"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


HEAD = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASK = bytes(4)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x81\x01x", 1002),  # not masked
        (b"\x83\x80" + MASK, 1002),  # a reserved opcode
        (b"\xc1\x80" + MASK, 1002),  # RSV1 without an extension
        (b"\x81\x81" + MASK + b"\xff", 1007),
        (b"\x82\xff" + (MIB + 1).to_bytes(8, "big") + MASK + bytes(MIB), 1009),
        (b"\x88\x82" + MASK + b"\x03\xed", 1002),  # 1005 in a close frame
    ],
)
def test_errors_of_a_client(programs: Path, frames: bytes, code: int) -> None:
    async def scenario(url: str) -> None:
        answer = await say(url, HEAD + frames)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert body[0] == 0x88 and int.from_bytes(body[2:4], "big") == code

    drive(programs, scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426),
        (b"POST / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (b"GET /" + b"a" * 9000, 414),
    ],
)
def test_requests_that_are_refused(programs: Path, data: bytes, status: int) -> None:
    async def scenario(url: str) -> None:
        answer = await say(url, data)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())

    drive(programs, scenario)


def test_garbage_and_broken_connections_harm_nobody(programs: Path) -> None:
    async def garbage(url: str, number: int) -> None:
        port = int(url.rpartition(":")[2].strip("/"))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((HEAD if number % 2 else b"") + os.urandom(2000))
        if number % 3 == 0:
            writer.transport.abort()
        writer.close()

    async def scenario(url: str) -> None:
        async with pywscore.connect(url) as ws:
            await asyncio.gather(*(garbage(url, number) for number in range(60)))
            await ws.send("still here")
            assert await ws.recv() == "still here"

    drive(programs, scenario)


def test_who_does_not_read_is_not_read_from(programs: Path) -> None:
    async def scenario(url: str) -> None:
        async with pywscore.connect(url, compression=None, max_queue=1) as ws:
            message = bytes(MIB)
            sent = 0
            with pytest.raises(TimeoutError):
                for _ in range(200):
                    async with asyncio.timeout(1):
                        await ws.send(message)
                    sent += 1
            for _ in range(sent):
                assert await ws.recv() == message

    drive(programs, scenario)
