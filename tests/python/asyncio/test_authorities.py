"""Whom TLSContext.client() trusts: those that Python's ssl trusts."""

from __future__ import annotations

import pathlib
import shutil
import ssl
import subprocess
import sys
from typing import Any

import pytest
from tls_peer import Files

import pywscore
from pywscore import TLSContext

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the engine")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def only_auto(environment: Any) -> None:
    if environment.carrier == "transport":
        pytest.skip("elsewhere: the engine only")


@pytest.fixture
def folder(files: Files, tmp_path: pathlib.Path) -> pathlib.Path:
    """One in which OpenSSL finds the authority, by the hash of its name."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(files.ca)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.copy(files.ca, tmp_path / f"{found.stdout.strip()}.0")
    return tmp_path


@pytest.fixture(autouse=True)
def trusts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine trusts, and wherever OpenSSL was built to look for it."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/cert.pem")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere/certs")


async def trusted(server: Any, uri_of: Any, context: Any) -> bool:
    try:
        async with pywscore.connect(
            uri_of(server, scheme="wss"), ssl=context, proxy=None
        ):
            return True
    except ssl.SSLCertVerificationError as exc:
        assert exc.verify_message == "unable to get local issuer certificate"
        return False


@pytest.mark.threat("TLS-8")
async def test_nobody(serve: Any, uri_of: Any, echo: Any, files: Files) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        assert not await trusted(server, uri_of, TLSContext.client())


@pytest.mark.parametrize("where", ["file", "folder", "folders"])
async def test_environment(
    serve: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    folder: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """As for Python's own contexts."""
    if where == "file":
        monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    else:
        before = "/nowhere/certs:" if where == "folders" else ""
        monkeypatch.setenv("SSL_CERT_DIR", f"{before}{folder}")
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        assert await trusted(server, uri_of, ssl.create_default_context())
        assert await trusted(server, uri_of, TLSContext.client())


@pytest.mark.parametrize("where", ["file", "folder"])
async def test_another_openssl(
    serve: Any,
    uri_of: Any,
    echo: Any,
    files: Files,
    folder: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """Ours may look at places of which this machine has none; what counts is where
    Python's looks."""
    monkeypatch.setattr(
        ssl,
        "get_default_verify_paths",
        lambda: ssl.DefaultVerifyPaths(
            cafile=str(files.ca) if where == "file" else None,
            capath=None,
            openssl_cafile_env="ANOTHER_FILE",
            openssl_cafile="/nowhere/cert.pem",
            openssl_capath_env="ANOTHER_DIR",
            openssl_capath=str(folder) if where == "folder" else "/nowhere/certs",
        ),
    )
    async with serve(echo, "127.0.0.1", 0, ssl=files.server()) as server:
        assert await trusted(server, uri_of, TLSContext.client())


async def test_file_that_is_none(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    with pytest.raises(ValueError, match="no certificate or crl found"):
        TLSContext.client()
