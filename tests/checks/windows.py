"""What setup.py compiles under Windows, compiled by mingw: without a warning, and no
function of ours is missing, which the linker would say there.

Python's headers are those of this system with the sizes of Windows. It is seen in
continuous integration only that Visual C++ takes the same, and that it runs.
"""

import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import setuptools
import setuptools.command.build_ext  # for this system, before setup.py asks
from runner import ROOT

FOLDER = ROOT / "build/windows"
TOOLS = "x86_64-w64-mingw32-"
FLAGS = [
    *("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wconversion"),
    *("-Wsign-conversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"),
    # mingw's isnan() is made of conversions; its printf isn't that of Python.
    *("-Wundef", "-Wvla", "-Wno-float-conversion", "-Wno-format"),
]
INCLUDES = b"""
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <zlib.h>
"""
OTHERS = {
    r"(#define SIZEOF_LONG) 8": r"\1 4",
    r"(#define SIZEOF_WCHAR_T) 4": r"\1 2",
    r"#define HAVE_SYS_SELECT_H 1": "#define MS_WINDOWS 1\n#define MS_WIN64 1",
}


def extension() -> setuptools.Extension:
    """As setup.py has it there."""
    with mock.patch("sys.platform", "win32"), mock.patch("setuptools.setup") as setup:
        runpy.run_path("setup.py")
    [found] = setup.call_args.kwargs["ext_modules"]
    assert isinstance(found, setuptools.Extension)
    return found


def make_headers() -> list[str]:
    """Of Python, OpenSSL and zlib, without the system's own beside them."""
    python = FOLDER / "python"
    shutil.copytree(sysconfig.get_path("include"), python)
    config = python / "pyconfig.h"
    text = config.read_text()
    for pattern, replacement in OTHERS.items():
        text, count = re.subn(pattern, replacement, text)
        assert count == 1, pattern
    config.write_text(text)
    answer = subprocess.run(
        ["cc", "-M", "-x", "c", "-"], input=INCLUDES, capture_output=True, check=True
    )
    for path in map(Path, re.findall(r"/\S+\.h", answer.stdout.decode())):
        if path.parent.name == "openssl":
            shutil.copytree(path.parent, FOLDER / "openssl", dirs_exist_ok=True)
        elif path.name in ("zlib.h", "zconf.h"):
            shutil.copy2(path, FOLDER)
    return ["-isystem", str(python), "-isystem", str(FOLDER)]


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    built = extension()
    flags = [*FLAGS, *(f"-I{folder}" for folder in built.include_dirs), *make_headers()]

    def compiles(number: int) -> bool:
        made = ["-c", built.sources[number], "-o", str(FOLDER / f"{number}.o")]
        return subprocess.run([f"{TOOLS}gcc", *flags, *made]).returncode == 0

    numbers = range(len(built.sources))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if not all(list(pool.map(compiles, numbers))):
            return 1
    whole = FOLDER / "whole.o"
    objects = [FOLDER / f"{number}.o" for number in numbers]
    subprocess.run([f"{TOOLS}ld", "-r", *objects, "-o", whole], check=True)
    answer = subprocess.run(
        [f"{TOOLS}nm", "-u", whole], capture_output=True, text=True, check=True
    )
    missing = [name for name in answer.stdout.split() if re.match("(py)?wsc_", name)]
    print(f"{len(numbers)} files compiled; missing: {missing or 'nothing'}")
    return 1 if missing else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
