"""The sdist builds and tests itself: unpacked where there is no git, its wheel in an
environment of its own, a minute's worth of its tests run from there."""

import os
import shutil
import sys
import sysconfig

import packages
from runner import PY, ROOT, run

FOLDER = ROOT / "build/sdist"
# Of the sans-IO objects and their values, in 15 seconds.
PYTHON = ["protocol", "protocol_vectors", "protocol_handshake", "values", "project"]
C = "frame"
# Nobody measures these: they are compiled in half of the time.
FLAGS = "-O0 -g0"


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    sdist = packages.make_sdist(FOLDER / "made")
    wheel = packages.make_wheel(PY, sdist, FOLDER / "unpacked", CFLAGS=FLAGS)
    tree = FOLDER / "unpacked" / sdist.name.removesuffix(".tar.gz")
    clean = FOLDER / "clean"
    pip = (PY, "-m", "pip", "--python", clean / "bin/python", "install", "-q")
    return not (
        run(PY, "-m", "venv", "--without-pip", clean)
        and run(*pip, "--no-index", "--no-deps", "--disable-pip-version-check", wheel)
        and run("make", "-s", "test", f"T={C}", "ONCE=yes", f"CFLAGS={FLAGS}", cwd=tree)
        and run(
            *(clean / "bin/python", "-P", "-m", "pytest", "-q"),
            *("-m", "not slow and not external", "-p", "no:cacheprovider"),
            *(f"tests/python/test_{name}.py" for name in PYTHON),
            cwd=tree,
            # What the tests need, but not the pywscore that is installed here in place.
            PYTHONPATH=sysconfig.get_path("purelib"),
            PYTHONSAFEPATH="1",
            PYWSCORE_EXTENSION=str(clean),
        )
    )


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
