"""`python tests/checks/sbom.py FOLDER FILE`: a list of parts (CycloneDX 1.6) of what is
published, for whoever has to know in which wheel an OpenSSL is.

Versions come from the libraries' own bytes, whatever bundled them; a package manager's
names for them are in auditwheel's lists inside of the wheels, and are taken over.
"""

import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Component = dict[str, Any]
# How a library says which one it is: OPENSSL_VERSION_TEXT, zlib's deflate_copyright.
SAYS = {
    "openssl": re.compile(rb"\0OpenSSL (\d+\.\d+\.\d+)[^\0]* \d{4}\0"),
    "zlib": re.compile(rb"deflate (\d+(?:\.\d+)+) Copyright"),
}
# Those beside the extension, and itself: zlib may be inside of it.
LIBRARIES = re.compile(r"\.(so|dylib|dll|pyd)(\.[\d.]+)?$")
LISTS = re.compile(r"\.dist-info/sboms/[^/]+\.cdx\.json$")
OF_THE_SYSTEM = "the system's: it is not in this file"


def sha256(data: bytes) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]


def library(name: str, data: bytes) -> Iterator[Component]:
    """libssl says nothing; libcrypto, without which it never is, speaks for both."""
    for project, says in SAYS.items():
        if found := says.search(data):
            version = found[1].decode()
            yield {
                "type": "library",
                "name": project,
                "version": version,
                "purl": f"pkg:generic/{project}@{version}?file_name={name}",
                "hashes": sha256(data),
            }


def parts(wheel: Path) -> list[Component]:
    """What is bundled, and of what it takes of the system, the name."""
    found: dict[str, Component] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if LIBRARIES.search(name):
                for part in library(name, archive.read(name)):
                    found[part["name"]] = part
            elif LISTS.search(name):
                for part in json.loads(archive.read(name))["components"]:
                    if part["name"] != "pywscore":
                        found[part["purl"]] = part
    for project in SAYS:
        system = {"type": "library", "name": project, "description": OF_THE_SYSTEM}
        found.setdefault(project, system)
    return list(found.values())


def published(path: Path, version: str) -> Component:
    data = path.read_bytes()
    component: Component = {
        "type": "file",
        "bom-ref": path.name,
        "name": path.name,
        "version": version,
        "purl": f"pkg:pypi/pywscore@{version}?file_name={path.name}",
        "hashes": sha256(data),
    }
    if path.suffix == ".whl":
        # Wheels have parts in common: each its own, by a name of its own.
        component["components"] = [
            {**part, "bom-ref": f"{path.name}#{number}"}
            for number, part in enumerate(parts(path))
        ]
    return component


def bom(folder: Path) -> Component:
    files = sorted([*folder.glob("pywscore-*.tar.gz"), *folder.glob("pywscore-*.whl")])
    [version] = {re.split(r"-|\.tar", path.name)[1] for path in files}
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or max(
        int(path.stat().st_mtime) for path in files
    )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(seconds, UTC).isoformat(),
            "component": {
                "type": "library",
                "bom-ref": "pywscore",
                "name": "pywscore",
                "version": version,
                "purl": f"pkg:pypi/pywscore@{version}",
                "licenses": [{"license": {"id": "MIT"}}],
            },
        },
        "components": [published(path, version) for path in files],
    }


def main(folder: str, file: str) -> None:
    made = Path(file)
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(json.dumps(bom(Path(folder)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
