"""What checks the tests: that each asserts, that nothing is left out unnoticed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "checks"))

import asserting  # noqa: E402
import pythons  # noqa: E402
import runner  # noqa: E402
import sbom  # noqa: E402


def test_a_test_without_assertion_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "tests/python"
    folder.mkdir(parents=True)
    (tmp_path / "tests/integration").mkdir()
    (folder / "helpers.py").write_text(
        "def equal(a, b):\n    assert a == b\n"
        "def by_way(a):\n    equal(a, a)\n"
        "@pytest.fixture\ndef made():\n    assert True\n"
    )
    (folder / "test_x.py").write_text(
        "from helpers import by_way, made as renamed\n"
        "def test_a(): assert 1\n"
        "def test_b():\n    with pytest.raises(OSError): open()\n"
        "def test_c(): by_way(1)\n"
        "async def test_d(mock): mock.assert_called_once()\n"
        "async def test_e(made): made()\n"
        "class TestF:\n    def test_f(self): renamed()\n"
    )
    assert list(asserting.without_assertion(tmp_path)) == [
        "tests/python/test_x.py:7: test_e asserts nothing",
        "tests/python/test_x.py:9: test_f asserts nothing",
    ]


@pytest.mark.parametrize(
    ("reason", "where", "code"),
    [
        ("no such tool", "CI", 1),
        ("elsewhere: the engine only", "CI", 0),
        ("no such tool", "HERE", 0),
    ],
)
def test_skipped_tests(tmp_path: Path, reason: str, where: str, code: int) -> None:
    (tmp_path / "test_x.py").write_text(
        f"import pytest\ndef test_x(): pytest.skip({reason!r})\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path]), where: "1"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "conftest",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout
    assert ("has no place for: no such tool" in done.stdout) == bool(code)


def test_skipped_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> bool:
        raise runner.Skipped("no such tool")

    def outcome(name: str) -> str:
        step = runner.Step(name, "", missing, "python", False)
        runner.run_steps([step])
        return step.outcome

    monkeypatch.delenv("CI", raising=False)
    assert outcome("x") == "skipped"
    assert "skipped: no such tool" in capsys.readouterr().out
    monkeypatch.setenv("CI", "1")
    assert (outcome("x"), outcome("threads-tsan")) == ("FAILED", "skipped")


def test_steps_of_two_lanes(capfd: pytest.CaptureFixture[str]) -> None:
    """Output of a step is in one piece; one that fails does not stop the others."""

    def says(text: str, code: int) -> runner.Function:
        program = (
            f"for _ in range(3): print({text!r}, flush=True)\nraise SystemExit({code})"
        )
        return lambda: runner.run(sys.executable, "-c", program)

    steps = [
        runner.Step("one", "", says("of one", 1), "python", False),
        runner.Step("two", "", says("of two", 0), "c", False),
        runner.Step("three", "", says("of three", 0), "python", False),
    ]
    assert runner.run_steps(steps) == 1
    assert [step.outcome for step in steps] == ["FAILED", "ok", "ok"]
    out = capfd.readouterr().out
    for name in ("one", "two", "three"):
        assert f"of {name}\n" * 3 in out
    assert "failed steps: one\n" in out


def test_a_python_is_looked_at(tmp_path: Path) -> None:
    assert pythons.probe(tmp_path / "none") is None
    here = pythons.probe(sys.executable)
    assert here is None or here.version == sys.version_info[:3]


@pytest.mark.parametrize(
    ("library", "core", "zlib"),
    [
        ("pywscore.libs/libcrypto-0a.so.3", b"1.2.13", None),
        (
            "pywscore/.dylibs/libcrypto.3.dylib",
            b"\0 deflate 1.3.1 Copyright 1995-2024 Jean-loup Gailly \0",
            "1.3.1",
        ),
    ],
)
def test_parts_of_a_wheel(
    tmp_path: Path, library: str, core: bytes, zlib: str | None
) -> None:
    """By the libraries' own bytes; what isn't bundled has no version."""
    crypto = b"\x7fELF\0OpenSSL 3.5.1 1 Jul 2025\0"
    listed = [
        {"name": "pywscore", "purl": "pkg:pypi/pywscore@0.1.0"},
        {
            "type": "library",
            "name": "libssl3",
            "purl": "pkg:deb/debian/libssl3@3.5.1-1",
        },
    ]
    wheel = tmp_path / "pywscore-0.1.0-cp313-cp313-some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(library, crypto)
        archive.writestr(library.replace("crypto", "ssl"), b"OpenSSL 9.9.9")
        archive.writestr("pywscore/_core.so", core)
        archive.writestr(
            "pywscore-0.1.0.dist-info/sboms/auditwheel.cdx.json",
            json.dumps({"components": listed}),
        )
    (tmp_path / "pywscore-0.1.0.tar.gz").write_bytes(b"sdist")
    first, sdist = sbom.bom(tmp_path)["components"]
    assert sdist["hashes"][0]["content"] == hashlib.sha256(b"sdist").hexdigest()
    parts = {part["name"]: part for part in first["components"]}
    assert len(parts) == len({part["bom-ref"] for part in first["components"]}) == 3
    assert parts["openssl"]["version"] == "3.5.1"
    digest = hashlib.sha256(crypto).hexdigest()
    assert parts["openssl"]["hashes"][0]["content"] == digest
    assert parts["libssl3"]["purl"] == "pkg:deb/debian/libssl3@3.5.1-1"
    assert parts["zlib"].get("version") == zlib
