"""`./dev wheel [PYTHON...]`: a wheel for each CPython found (or named, as 3.12), into
build/wheels; repaired, stripped, installed where there is no compiler, tested there.
"""

import os
import shutil
import sys
import zipfile
from pathlib import Path

import packages
import pythons
from runner import PY, ROOT, run, say

FOLDER = ROOT / "build/wheels"
MOST = 1_258_291  # bytes of a wheel without the libraries of others: 1.2 MiB


def own_bytes(wheel: Path) -> int:
    """Compressed, without pywscore.libs, where OpenSSL and zlib are."""
    with zipfile.ZipFile(wheel) as archive:
        return sum(
            entry.compress_size
            for entry in archive.infolist()
            if not entry.filename.startswith("pywscore.libs/")
        )


def works(python: pythons.Python, inside: Path, wheel: Path) -> bool:
    """Nothing on PATH but the environment: no compiler, and no headers to look for."""
    clean = FOLDER / f"clean-{python.name}"
    shutil.rmtree(clean, ignore_errors=True)
    if not run(python.executable, "-m", "venv", clean):
        return False
    alone = {"PATH": str(clean / "bin"), "PYTHONPATH": ""}
    pip = (clean / "bin/pip", "install", "-q", "--disable-pip-version-check")
    return (
        run(*pip, "--no-index", "--no-deps", wheel, **alone)
        and run(clean / "bin/python", "-P", ROOT / "tests/checks/echo.py", **alone)
        and suite(python, inside, wheel)
    )


def suite(python: pythons.Python, inside: Path, wheel: Path) -> bool:
    """The tests against the files of the wheel, where what they need is installed."""
    library = FOLDER / f"library-{python.name}"
    shutil.rmtree(library, ignore_errors=True)
    return run(
        *(inside, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
        *("--no-index", "--no-deps", "--target", library, wheel),
    ) and run(
        *(inside, "-P", "-m", "pytest", "tests/python", "-q", "-n", "4"),
        *("-m", "not slow and not external"),
        *("-o", f"cache_dir=build/pytest-wheel-{python.name}"),
        timeout=1800,
        PYTHONPATH=str(library),
        PYTHONSAFEPATH="1",
        PYWSCORE_EXTENSION=str(library),
    )


def main(names: list[str]) -> int:
    os.chdir(ROOT)
    this = pythons.probe(PY)
    assert this is not None
    chosen = [it for it in (this, *pythons.found()) if not names or it.name in names]
    sdist = packages.make_sdist(FOLDER / "sdist")
    failed = []
    for python in chosen:
        inside = Path(PY) if python is this else pythons.environment(python)
        say(f"---- Python {python.name}")
        plain = packages.make_wheel(inside, sdist, FOLDER / f"build-{python.name}")
        wheel = packages.repair(plain, FOLDER / f"repaired-{python.name}")
        shutil.copy2(wheel, FOLDER)
        size = own_bytes(wheel)
        say(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {size:,} of them ours")
        if size > MOST or not works(python, inside, wheel):
            failed.append(python.name)
    say(f"failed: {failed}" if failed else f"{len(chosen)} wheels in build/wheels")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
