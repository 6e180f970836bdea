"""Autobahn|Testsuite against our servers and clients; see README.md beside this file.

Each face is one run of the suite. A case passes if the suite calls it OK or
INFORMATIONAL, both what was received and how the connection was closed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FACES = [
    *("server-engine", "server-transport", "server-listener"),
    *("server-tls", "server-ssl", "server-uvicorn", "server-aiohttp"),
    *("client-engine", "client-transport", "client-tls", "client-ssl"),
    "client-aiohttp",
]
# Over TLS: with a TLSContext, and an ssl.SSLContext.
OVER_TLS = {"tls", "ssl"}
PASSED = {"OK", "INFORMATIONAL"}
# Big messages and compression: most of the time goes into the suite's own Python 2.7.
SLOW_CASES = ["9.*", "12.*", "13.*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the suite says about one face.

    Attributes:
        cases: from the case to the worse one of its two verdicts.
        missing: how many cases have no verdict.
        seconds: how long the run took.
        trouble: why it ended early, or "".
    """

    cases: dict[str, str]
    missing: int
    seconds: float
    trouble: str

    @property
    def failed(self) -> dict[str, str]:
        return {case: text for case, text in self.cases.items() if text not in PASSED}

    @property
    def passed(self) -> bool:
        return not (self.failed or self.missing or self.trouble) and bool(self.cases)


@contextmanager
def running(
    command: list[str], log: Path, *, piped: bool = False, **env: str
) -> Iterator[subprocess.Popen[str]]:
    """A process with its errors, and without pipes its output, in a file."""
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else file,
            stderr=file,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | env,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(300):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the fuzzing server didn't start")


class Suite:
    def __init__(
        self, python27: str, folder: Path, cases: list[str], exclude: list[str]
    ) -> None:
        self.python27 = python27
        self.folder = folder
        self.cases = cases
        self.exclude = exclude

    def wstest(self, mode: str, folder: Path, **spec: Any) -> list[str]:
        path = folder / "spec.json"
        content = {
            "outdir": str(folder / "report"),
            "cases": self.cases,
            "exclude-cases": self.exclude,
            "exclude-agent-cases": {},
        }
        path.write_text(json.dumps(content | spec))
        run = "from autobahntestsuite.wstest import run; run()"
        return [self.python27, "-c", run, "-m", mode, "-s", str(path), "-u", "0"]

    def run(self, face: str, timeout: float) -> Outcome:
        folder = self.folder / face
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / "report/index.json"
        index.unlink(missing_ok=True)
        started = time.monotonic()
        trouble = ""
        side, _, kind = face.partition("-")
        try:
            if side == "server":
                self.run_server(folder, face, kind, timeout)
            else:
                self.run_client(folder, face, kind, timeout)
        except (RuntimeError, subprocess.SubprocessError) as exc:
            trouble = str(exc)
        return outcome(folder, face, time.monotonic() - started, trouble)

    def run_server(self, folder: Path, face: str, kind: str, timeout: float) -> None:
        with running(
            [sys.executable, str(HERE / "servers.py"), kind],
            folder / "ours.log",
            piped=True,
        ) as server:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            if not port:
                raise RuntimeError("our server didn't start")
            url = f"{scheme(kind)}://127.0.0.1:{port}"
            command = self.wstest(
                "fuzzingclient", folder, servers=[{"agent": face, "url": url}]
            )
            with running(command, folder / "wstest.log") as suite:
                if suite.wait(timeout) != 0:
                    raise RuntimeError("wstest failed")
            if server.poll() is not None:
                raise RuntimeError(f"our server ended with {server.returncode}")

    def run_client(self, folder: Path, face: str, kind: str, timeout: float) -> None:
        port = free_port()
        url = f"{scheme(kind)}://127.0.0.1:{port}"
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        names = {name: str(folder / f"{name}.pem") for name in ("key", "cert", "ca")}
        issued.private_key_pem.write_to_path(names["key"])
        issued.cert_chain_pems[0].write_to_path(names["cert"])
        authority.cert_pem.write_to_path(names["ca"])
        command = self.wstest(
            "fuzzingserver", folder, url=url, key=names["key"], cert=names["cert"]
        )
        with running(command, folder / "wstest.log") as suite:
            wait_for_port(port, suite)
            command = [sys.executable, str(HERE / "clients.py"), kind, url, face]
            trusted = {"SSL_CERT_FILE": names["ca"]}
            with running(command, folder / "ours.log", **trusted) as client:
                if client.wait(timeout) != 0:
                    raise RuntimeError("our client failed")


def scheme(kind: str) -> str:
    return "wss" if kind in OVER_TLS else "ws"


def outcome(folder: Path, face: str, seconds: float, trouble: str) -> Outcome:
    cases = {}
    index = folder / "report/index.json"
    if index.exists():
        for case, verdict in json.loads(index.read_text()).get(face, {}).items():
            both = verdict["behavior"], verdict["behaviorClose"]
            bad = [text for text in both if text not in PASSED]
            cases[case] = bad[0] if bad else both[0]
    log = folder / "wstest.log"
    announced = log.exists() and re.search(r"will run (\d+) test", log.read_text())
    expected = int(announced[1]) if announced else 0
    return Outcome(
        cases=cases, missing=expected - len(cases), seconds=seconds, trouble=trouble
    )


def in_order(cases: dict[str, str]) -> list[str]:
    return sorted(cases, key=lambda case: [int(part) for part in case.split(".")])


def show(results: dict[str, Outcome]) -> None:
    columns = ["OK", "INFORMATIONAL", "NON-STRICT", "other", "missing", "seconds"]
    print(f"{'face':18}", *(f"{name:>13}" for name in columns))
    for face, result in results.items():
        counts = Counter(result.cases.values())
        known = [counts[name] for name in columns[:3]]
        numbers = [
            *(*known, len(result.cases) - sum(known)),
            *(result.missing, round(result.seconds)),
        ]
        print(f"{face:18}", *(f"{number:13}" for number in numbers))
    for face, result in results.items():
        for case in in_order(result.failed):
            print(f"{face}: case {case}: {result.failed[case]}")
        if result.trouble:
            print(f"{face}: {result.trouble}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("faces", nargs="*", help=f"of: {', '.join(FACES)}; or all")
    parser.add_argument("--python27", required=True, help="with the suite installed")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/autobahn")
    parser.add_argument("--cases", nargs="+", default=["*"], metavar="CASE")
    parser.add_argument("--quick", action="store_true", help="without the slow cases")
    parser.add_argument("--jobs", type=int, default=2, help="faces at the same time")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds per face")
    args = parser.parse_args()
    faces = args.faces or FACES
    if unknown := set(faces) - set(FACES):
        parser.error(f"no such face: {', '.join(sorted(unknown))}")
    exclude = SLOW_CASES if args.quick else []
    suite = Suite(args.python27, args.folder.resolve(), args.cases, exclude)
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = {face: pool.submit(suite.run, face, args.timeout) for face in faces}
        results = {face: run.result() for face, run in runs.items()}
    show(results)
    return 0 if all(result.passed for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
