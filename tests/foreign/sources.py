"""Where the foreign tests come from: the package index's archives, or Debian's."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "build/foreign"
PACKAGES = FOLDER / "packages"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
# What the suites need and the environment for tests lacks.
NEEDED = (
    *("a2wsgi==1.10.10", "gql==4.4.0", "graphql-core==3.3.2", "isal==1.9.1"),
    *("jiter==0.19.0", "msgpack==1.2.4", "parse==1.22.4", "pytest-asyncio==1.5.0"),
    *("pytest-mock==3.17.0", "sniffio==1.3.1", "tenacity==9.2.1", "zlib_ng==1.1.0"),
    # of strawberry and fastapi_websocket_rpc, of amqtt
    *("strawberry-graphql==0.341.2", "cross-web==0.9.0", "python-dateutil==4.0.0"),
    *("fastapi_websocket_rpc==0.1.29", "six==1.17.0"),
    *("amqtt==0.12.1", "argon2-cffi==25.1.0", "argon2-cffi-bindings==26.2.0"),
    *("dacite==1.9.2", "psutil==7.2.2", "pwdlib==0.3.1", "PyYAML==6.0.4"),
    *("shellingham==1.5.4", "transitions==0.9.3", "typer==0.29.2"),
)
# Debian's sources are those of the repository, with all tests.
DEBIAN = (
    "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
    "http://deb.debian.org/debian trixie main"
)


def install_needed() -> None:
    """Have what the tests need in build/foreign/packages."""
    done = PACKAGES / ".done"
    wanted = "\n".join(NEEDED)
    if not done.exists() or done.read_text() != wanted:
        where = ("--target", PACKAGES, "--upgrade", "--no-deps")
        subprocess.run([*PIP, "install", *where, *NEEDED], check=True)
        done.write_text(wanted)


def unpacked(source: str) -> Path:
    """The folder of a project, which is fetched if it isn't there.

    Args:
        source: name and version, as pip writes them (``name==1.0``) or, of a source
            package of Debian, as apt-get does (``name=1.0-1``).
    """
    folder = FOLDER / "sources" / source
    if not folder.exists():
        archive = from_index(source) if "==" in source else from_debian(source)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    [root] = folder.iterdir()
    return root


def from_index(source: str) -> Path:
    folder = FOLDER / "archives" / source
    only_source = ("--no-deps", "--no-binary", ":all:", "-d", folder)
    subprocess.run([*PIP, "download", *only_source, source], check=True)
    [archive] = folder.iterdir()
    return archive


def from_debian(source: str) -> Path:
    folder = FOLDER / "archives" / source
    apt = FOLDER / "apt"
    for directory in (folder, apt / "state/lists/partial", apt / "cache"):
        directory.mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(DEBIAN)
    settings = {
        "Dir::State": apt / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
    }
    options = ["-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    subprocess.run(["apt-get", *options, "update"], check=True)
    only_source = ("source", "--download-only", "--tar-only", source)
    subprocess.run(["apt-get", *options, *only_source], cwd=folder, check=True)
    [archive] = folder.iterdir()
    return archive
