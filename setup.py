"""The compiled part of pywscore; everything else is in pyproject.toml.

Environment variables for developers:
    PYWSCORE_SANITIZE   for example "address,undefined"
    PYWSCORE_COVERAGE   1: instrument for gcov
    PYWSCORE_WERROR     1: all warnings, as errors
    PYWSCORE_KQUEUE     1: under Linux, the engine for kqueue, which the tests emulate
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# Those of the Makefile without -Wwrite-strings and -Wcast-qual: CPython's slots and
# keyword lists are `void *` and `char **` that nobody writes to.
WARNINGS = [
    *("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wsign-conversion", "-Wshadow"),
    *(
        "-Wstrict-prototypes",
        "-Wmissing-prototypes",
        "-Wcast-align",
        "-Wundef",
        "-Wvla",
    ),
    *("-Wformat=2", "-Wswitch-enum"),
]
OPENSSL = """
#include <openssl/opensslv.h>
#if OPENSSL_VERSION_MAJOR < 3
#error too old
#endif
"""
HEADERS = [
    (
        OPENSSL,
        "OpenSSL 3 headers not found: install libssl-dev (Debian, Ubuntu),"
        " openssl-devel (Fedora), openssl-dev (Alpine), openssl (Arch),"
        " openssl@3 (Homebrew)",
    ),
    (
        "#include <zlib.h>\n",
        "zlib headers not found: install zlib1g-dev (Debian, Ubuntu),"
        " zlib-devel (Fedora), zlib-dev (Alpine), zlib (Arch, Homebrew)",
    ),
]
ENGINE_PLATFORMS = ("linux", "darwin", "freebsd")
emulates_kqueue = os.environ.get("PYWSCORE_KQUEUE") == "1"


def sources(*folders: str) -> list[str]:
    return sorted(path for folder in folders for path in glob(f"csrc/{folder}/*.c"))


def homebrew(package: str) -> str | None:
    try:
        answer = subprocess.run(["brew", "--prefix", package], capture_output=True)
    except OSError:
        return None
    return answer.stdout.decode().strip() if answer.returncode == 0 else None


class BuildExt(build_ext):
    """Checks for the libraries first, then compiles with all cores."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type == "unix":
            for extension in self.extensions:
                self.unix_flags(extension)
            for text, message in HEADERS:
                if not self.preprocesses(text):
                    # One line, and no traceback.
                    sys.stderr.flush()
                    raise SystemExit(f"pywscore: {message}")
        compile_some = self.compiler.compile
        if self.compiler.compiler_type == "msvc":
            self.compiler.initialize()

        def compile_parallel(sources: list[str], **options: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                lists = pool.map(lambda path: compile_some([path], **options), sources)
                return [path for objects in lists for path in objects]

        self.compiler.compile = compile_parallel
        super().build_extensions()

    def unix_flags(self, extension: Extension) -> None:
        compile_args = ["-std=c11", "-O3", "-fvisibility=hidden"]
        link_args = []
        # The same bytes in whatever folder it is built.
        compile_args += [f"-ffile-prefix-map={os.getcwd()}=."]
        # Python's own headers as system headers: our warnings are about our code.
        compile_args += ["-isystem", sysconfig.get_path("include")]
        if os.environ.get("PYWSCORE_WERROR") == "1":
            compile_args += WARNINGS
        if emulates_kqueue:
            compile_args += ["-DWSC_POLLER_KQUEUE=1", "-Itests/c/kqueue"]
            compile_args += ["-D_GNU_SOURCE="]
        if checks := os.environ.get("PYWSCORE_SANITIZE"):
            compile_args += [f"-fsanitize={checks}", "-fno-sanitize-recover=all"]
            # Signed overflow is to be reported although Python's own flags define it.
            compile_args += ["-fno-wrapv", "-fno-omit-frame-pointer", "-g", "-O1"]
            compile_args += ["-UNDEBUG"]
            link_args += [f"-fsanitize={checks}"]
        if os.environ.get("PYWSCORE_COVERAGE") == "1":
            compile_args += ["--coverage", "-O0", "-UNDEBUG"]
            # __gcov_dump: tests/conftest.py calls it.
            link_args += ["--coverage", "-Wl,-u,__gcov_dump"]
        extension.extra_compile_args = compile_args
        extension.extra_link_args = link_args
        if sys.platform == "darwin":
            for package in ("openssl@3", "zlib"):
                if prefix := homebrew(package):
                    self.compiler.include_dirs.append(f"{prefix}/include")
                    self.compiler.library_dirs.append(f"{prefix}/lib")

    def preprocesses(self, text: str) -> bool:
        command = [
            *self.compiler.preprocessor,
            *(f"-I{path}" for path in self.compiler.include_dirs),
            *shlex.split(os.environ.get("CPPFLAGS", "")),
            *shlex.split(os.environ.get("CFLAGS", "")),
            "-",
        ]
        try:
            done = subprocess.run(command, input=text.encode(), capture_output=True)
        except FileNotFoundError:
            raise SystemExit(
                f"pywscore: C compiler {command[0]!r} not found: install gcc or clang"
            ) from None
        return done.returncode == 0


windows = sys.platform == "win32"
# Where wsc/engine.h has WSC_HAVE_ENGINE; transports need the clock and timers as well.
has_engine = sys.platform.startswith(ENGINE_PLATFORMS)
timing = ["csrc/engine/clock.c", "csrc/engine/timer_wheel.c"]
engine = sources("engine", "load") if has_engine else timing
if emulates_kqueue:
    engine.append("tests/c/kqueue_emulation.c")
libraries = ["libcrypto", "zlib"] if windows else ["crypto", "z"]
if has_engine:
    libraries.insert(0, "libssl" if windows else "ssl")

setup(
    ext_modules=[
        Extension(
            "pywscore._core",
            sources("python", "python/*", "core", "core/simd") + engine,
            depends=sorted(glob("csrc/**/*.h", recursive=True)),
            include_dirs=["csrc/include", "csrc/python"],
            libraries=libraries,
            extra_compile_args=["/std:c11"] if windows else [],
        )
    ],
    cmdclass={"build_ext": BuildExt},
)
