"""`./dev release-check`: what is published, before it is. --quick leaves out what a
compiler is needed for: the wheel of the sdist, built and repaired twice."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import packages
import sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from runner import PY, ROOT, run, say

FOLDER = ROOT / "build/release"
NEEDED = ("Makefile", "CHANGELOG.md", "README.md", "LICENSE", "dev", "setup.py")
FOLDERS = ("csrc", "docs", "examples", "pywscore", "tests")
PINNED = re.compile(r"\s*-?\s*uses: (?:\./\S+|[\w./-]+@[0-9a-f]{40} # v[\d.]+)$")


def versions() -> Iterator[str]:
    """_version.py, CHANGELOG.md, the C library, and the tag if there is one, agree."""
    text = (ROOT / "pywscore/_version.py").read_text(encoding="utf-8")
    version = re.search(r'"(.+)"', text)[1]  # type: ignore[index]
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## (\S+)", log, re.MULTILINE)
    if first is None or first[1] != version:
        yield f"CHANGELOG.md doesn't begin with {version}"
    header = (ROOT / "csrc/include/wsc/version.h").read_text(encoding="utf-8")
    if f'"{version}"' not in header:
        yield f"csrc/include/wsc/version.h isn't of {version}"
    tag = os.environ.get("GITHUB_REF", "")
    if tag.startswith("refs/tags/") and tag != f"refs/tags/v{version}":
        yield f"{tag} isn't v{version}"


def links() -> Iterator[str]:
    """An index shows README.md without the files beside it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("https://", "#")):
            yield f"README.md: {link} is not absolute"


def workflows() -> Iterator[str]:
    """Actions are pinned by commit; what is used of other projects can't change."""
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses:" in line and not PINNED.match(line):
                yield f"{path.name}: {line.strip()}"


def contents(sdist: Path) -> Iterator[str]:
    """Each file that git knows below these folders, and what builds and tests them."""
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(
        ["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, check=True
    )
    for name in [*NEEDED, *listed.stdout.decode().splitlines()]:
        if name not in inside and not name.startswith('"'):
            yield f"{sdist.name} lacks {name}"


def published(sdist: Path) -> Iterator[str]:
    """Twice, in folders of different names; and the list of parts of what comes of it,
    which the workflow makes in the same way."""
    again = packages.make_sdist(FOLDER / "again")
    if sdist.read_bytes() != again.read_bytes():
        yield f"{sdist.name}: other bytes the second time"
    dist = FOLDER / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    shutil.copy2(sdist, dist)
    if "--quick" not in sys.argv:
        first = packages.make_wheel(PY, sdist, FOLDER / "first")
        second = packages.make_wheel(PY, sdist, FOLDER / "second-folder")
        if first.read_bytes() != second.read_bytes():
            yield f"{first.name}: other bytes the second time"
        first = packages.repair(first, FOLDER / "first-repaired")
        second = packages.repair(second, FOLDER / "second-folder-repaired")
        if first.read_bytes() != second.read_bytes():
            yield f"{first.name}: other bytes the second time"
        shutil.copy2(first, dist)
    yield from parts(dist)


def parts(dist: Path) -> Iterator[str]:
    """A CycloneDX list that names each file, and the OpenSSL in each wheel."""
    made = FOLDER / "sbom/pywscore.cdx.json"
    sbom.main(str(dist), str(made))
    text = made.read_text(encoding="utf-8")
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        yield f"{made.name}: {wrong}"
    components = {each["name"]: each for each in json.loads(text)["components"]}
    for path in sorted(dist.iterdir()):
        if path.name not in components:
            yield f"{made.name} lacks {path.name}"
        elif path.suffix == ".whl":
            inside = components[path.name]["components"]
            versions = {each["name"]: each.get("version") for each in inside}
            if not versions.get("openssl") or "zlib" not in versions:
                yield f"{path.name} has {versions}"


def main() -> int:
    os.chdir(ROOT)
    tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    sdist = packages.make_sdist(FOLDER)
    wrong = [*versions(), *links(), *workflows(), *contents(sdist)]
    wrong += published(sdist)
    # Renders README.md as an index does.
    if not run(PY, "-m", "twine", "check", "--strict", sdist):
        wrong.append("twine check")
    schema = (PY, "-m", "check_jsonschema", "--builtin-schema")
    if not run(
        *(*schema, "vendor.github-workflows"),
        *sorted((ROOT / ".github/workflows").glob("*.yml")),
    ):
        wrong.append("the schema of workflows")
    for line in wrong:
        say(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
