"""What `./dev wheel` and `./dev release-check` share: sdist and wheels, the same bytes
from the same commit."""

import gzip
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from runner import PY, ROOT, run


def epoch() -> str:
    """When the last commit was made: the time of everything that is built."""
    if named := os.environ.get("SOURCE_DATE_EPOCH"):
        return named
    command = ["git", "log", "-1", "--format=%ct"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return answer.stdout.decode().strip()


def make_sdist(folder: Path) -> Path:
    """Of what git knows, not of what lies around."""
    tree = folder / "tree"
    shutil.rmtree(folder, ignore_errors=True)
    tree.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    if not run(
        *(PY, "-m", "build", "--sdist", "--no-isolation"),
        *("--outdir", folder / "raw", tree),
        SOURCE_DATE_EPOCH=epoch(),
    ):
        raise RuntimeError("no sdist")
    [raw] = (folder / "raw").glob("*.tar.gz")
    made = folder / raw.name
    normalize(raw, made, int(epoch()))
    return made


def normalize(raw: Path, made: Path, seconds: int) -> None:
    """setuptools writes the files' own times and owner: one time, nobody, by name."""
    unpacked = io.BytesIO()
    with tarfile.open(raw) as old, tarfile.open(fileobj=unpacked, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime = seconds
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    made.write_bytes(gzip.compress(unpacked.getvalue(), mtime=seconds))


def make_wheel(python: "str | Path", sdist: Path, folder: Path, **env: str) -> Path:
    """From the sdist, unpacked in `folder`, by a Python that has setuptools."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    if not run(
        *(python, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "-w", folder / "wheel"),
        folder / sdist.name.removesuffix(".tar.gz"),
        SOURCE_DATE_EPOCH=epoch(),
        **env,
    ):
        raise RuntimeError(f"no wheel for {python}")
    [wheel] = (folder / "wheel").glob("*.whl")
    return wheel


def repair(wheel: Path, folder: Path) -> Path:
    """With its libraries inside, stripped."""
    tools = Path(PY).parent
    shutil.rmtree(folder, ignore_errors=True)
    if not run(
        *(PY, "-m", "auditwheel", "repair", "--strip", "-w", folder, wheel),
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
        SOURCE_DATE_EPOCH=epoch(),
    ):
        raise RuntimeError(f"{wheel.name} can't be repaired")
    [repaired] = folder.glob("*.whl")
    return repaired
