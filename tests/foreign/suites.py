"""Other projects' own tests over pywscore: ``python tests/foreign/suites.py [NAME]``.

Their sources come from the package index at pinned versions, into build/foreign. What
fails has to be in a suite's list with its reason, and what is there has to fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = ROOT / "build/foreign"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
# What the suites need and the environment for tests lacks.
PACKAGES = (
    *("a2wsgi==1.10.10", "gql==4.4.0", "graphql-core==3.3.2", "isal==1.9.1"),
    *("parse==1.22.4", "pytest-asyncio==1.5.0", "pytest-mock==3.17.0"),
    *("tenacity==9.2.1", "zlib_ng==1.1.0"),
)

PRIVATE = "looks at attributes of aiohttp's that aren't public, or replaces them"
SENTENCE = "another sentence"
WINDOWS = "windows of 12 bits, unless compress=15"
AT_ONCE = "a close frame is answered when it comes, and sending fails from then on"
GOODBYE = "a close frame of 1000 or 1011, where uvicorn's own class sends none"


@dataclass(frozen=True)
class Suite:
    """The tests of a project.

    Attributes:
        source: its name and version.
        plugin: a module of this folder that puts ours in the place of theirs.
        files: the tests, patterns below the source.
        options: more arguments for pytest.
        accepted: names of tests that fail, without parameters, and why that is right.
    """

    source: str
    plugin: str
    files: tuple[str, ...]
    options: tuple[str, ...] = ()
    accepted: dict[str, str] = field(default_factory=dict)


SUITES = {
    "aiohttp": Suite(
        "aiohttp==3.14.5",
        "instead_of_aiohttp",
        (
            "tests/test_web_websocket_functional.py",
            "tests/test_client_ws_functional.py",
        ),
        accepted={
            "test_abnormal_closure_when_server_does_not_receive": AT_ONCE,
            "test_close_releases_parser": PRIVATE,
            "test_close_timeout": PRIVATE,
            "test_close_websocket_while_ping_inflight": PRIVATE,
            "test_concurrent_close_multiple_tasks": "CLOSING, as with one task",
            "test_heartbeat_connection_closed": PRIVATE,
            "test_heartbeat_does_not_timeout_while_receiving_large_frame": PRIVATE,
            "test_heartbeat_no_pong_concurrent_receive": PRIVATE,
            "test_recv_protocol_error": SENTENCE,
            "test_send_recv_compress": WINDOWS,
            "test_send_recv_compress_wbits": WINDOWS,
            "test_stalled_parser_outlives_connection_lost": PRIVATE,
            "test_stashed_frames_survive_connection_loss": PRIVATE,
        },
    ),
    "uvicorn": Suite(
        "uvicorn==0.54.0",
        "instead_of_uvicorn",
        ("tests/protocols/test_websocket.py",),
        ("-k", "sansio"),
        accepted={
            "test_asgi_return_value": GOODBYE,
            "test_close_gives_up_when_the_peer_never_replies": "the time is measured "
            "by a clock of all connections, not by a timer of each",
            "test_close_resumes_reads_paused_on_an_unconsumed_message": "reading goes "
            "on until --ws-max-queue messages wait",
            "test_close_transport_on_asgi_return": GOODBYE,
            "test_duplicate_handshake": GOODBYE,
        },
    ),
    "gql": Suite(
        "gql==4.4.0",
        "instead_of_aiohttp",
        ("tests/test_aiohttp_websocket_*.py",),
        ("-p", "pytest_asyncio"),
        accepted={"test_subscribe_on_closing_transport": PRIVATE},
    ),
}


def fetch() -> None:
    """Have the sources, and what their tests need, in build/foreign."""
    packages = FOLDER / "packages"
    done = packages / ".done"
    wanted = "\n".join(PACKAGES)
    if not done.exists() or done.read_text() != wanted:
        where = ("--target", packages, "--upgrade", "--no-deps")
        subprocess.run([*PIP, "install", *where, *PACKAGES], check=True)
        done.write_text(wanted)
    for suite in SUITES.values():
        folder = FOLDER / suite.source.replace("==", "-")
        if not folder.exists():
            only_source = ("--no-deps", "--no-binary", ":all:", "-d", FOLDER)
            subprocess.run([*PIP, "download", *only_source, suite.source], check=True)
            with tarfile.open(f"{folder}.tar.gz") as archive:
                archive.extractall(FOLDER, filter="data")


def failures(suite: Suite) -> tuple[set[str], int]:
    """Names of the tests that fail, and how many there are."""
    folder = FOLDER / suite.source.replace("==", "-")
    report = FOLDER / f"{suite.source}.xml"
    report.unlink(missing_ok=True)
    files = [path for pattern in suite.files for path in sorted(folder.glob(pattern))]
    paths = [str(HERE), str(FOLDER / "packages"), str(folder)]
    command = [
        *(sys.executable, "-P", "-m", "pytest", "-c", os.devnull, "--rootdir", "."),
        *("-p", suite.plugin, "-q", "-n", "2", "--timeout", "60", "--tb=short"),
        *("--junitxml", report, *suite.options, *files),
    ]
    subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    )
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = {
        case.get("name", "").partition("[")[0]
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    return failed, len(cases)


def main(names: list[str]) -> int:
    fetch()
    wrong = []
    for name in names or SUITES:
        suite = SUITES[name]
        failed, count = failures(suite)
        if not count:
            wrong.append(f"{name}: no tests")
        for test in sorted(failed - suite.accepted.keys()):
            wrong.append(f"{name}: {test} fails")
        for test in sorted(suite.accepted.keys() - failed):
            wrong.append(f"{name}: {test} passes, and is in the list of what fails")
        print(f"{name}: {count} tests, {len(failed)} differ", flush=True)
    print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
