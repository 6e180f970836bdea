"""Which C file may need what, that files don't need each other in a circle, that
private fields are left alone, and who writes to the queue of output. A wrong line fails
with file:line.

The tables below are the rule; the Python side has the same in pyproject.toml, checked
by import-linter.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from circles import arrows, circle
from private import touched

# The core, lowest first: a file includes headers of its own layer or of a lower one.
# The name is that of the file and of its headers (wsc/NAME.h, NAME_*.h).
CORE_LAYERS = [
    ("api", "version", "status", "alloc", "str"),
    ("simd", "buffer", "payload", "outgoing", "crypto"),
    ("frame", "mask"),
    ("trace",),
    ("utf8", "close", "extension", "deflate", "parser", "http", "http_head"),
    ("proxy_header",),
    ("assembler", "handshake", "shared"),
    ("conn",),
    # Public headers only: csrc/engine and csrc/load are rooms of their own.
    ("tls", "clock", "timer_wheel", "histogram"),
    ("engine",),
    ("short_poll", "load"),
    ("wsc",),  # all of them, for programs
]
RANK = {name: rank for rank, names in enumerate(CORE_LAYERS) for name in names}

# Standard headers without input, output, clock or locale.
CORE_STANDARD = {
    *("assert.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdatomic.h"),
    *("stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "stdnoreturn.h", "string.h"),
}
# Headers outside the standard that one core file has for its own, by pattern.
CORE_OWN = {
    "crypto": r"openssl/\w+\.h|pthread\.h",  # pthread_atfork
    "deflate": r"zlib\.h",
    "simd": r"(\w*intrin|simde/[\w/]+|cpuid|arm_neon|sys/auxv|asm/hwcap)\.h",
}
# The binding, the engine and the load: what they may include beyond the standard and
# wsc/.
BINDING = r"(Python|structmember|datetime)\.h"
LOAD = r"(sys/socket|netinet/in|arpa/inet|fcntl|unistd|poll|errno)\.h"
ENGINE = (
    r"(sys/(epoll|event|eventfd|socket|types|uio|un|time|ioctl)|netinet/(in|tcp)"
    r"|arpa/inet|fcntl|unistd|strings|poll|signal|errno|time|netdb|windows|openssl/\w+)\.h"
)
STANDARD = CORE_STANDARD | {
    *("ctype.h", "float.h", "math.h", "stdarg.h", "stdio.h", "time.h", "signal.h"),
}

# The rooms of csrc/python, lowest first, below module.c: a file needs those of its own
# room or of a lower one.
BINDING_ROOMS = [
    *("common", "values", "tasks", "protocol", "connection", "engine", "functions"),
    *("load", "module"),
]

# Where there are no circles.
WITHOUT_CIRCLES = ("core", "engine", "load", "python")

# Its lengths agree with each other because one file writes them; others may read them.
OUTGOING_OWNER = "csrc/core/outgoing.c"
OUTGOING = re.compile(
    r"outgoing(\.|->)(bytes\b|\w+\s*(([-+*/%&|^]|<<|>>)?=(?!=)|\+\+|--))"
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def module_of(path: Path) -> str:
    """The module a core file or header belongs to: deflate_params.h -> deflate."""
    if "simd" in path.parts[:-1]:
        return "simd"
    stem = path.stem
    while stem not in RANK and "_" in stem:
        stem = stem.rpartition("_")[0]
    return stem


def core_error(file: Path, system: bool, header: str) -> str | None:
    module = module_of(file)
    if module not in RANK:
        return "is not in the table of layers (tests/checks/layers.py)"
    if system:
        if header in CORE_STANDARD or re.fullmatch(CORE_OWN.get(module, "$^"), header):
            return None
        return f"the core may not include <{header}>"
    public = header.startswith("wsc/")
    other = module_of(Path(header) if public else file.parent / header)
    if other not in RANK:
        return f'"{header}" is not in the table of layers (tests/checks/layers.py)'
    if RANK[other] > RANK[module]:
        return f'{module} may not include "{header}": {other} is a higher layer'
    return None


def outer_error(root: Path, file: Path, system: bool, header: str) -> str | None:
    """csrc/python, csrc/engine and csrc/load: public headers, and their own."""
    room = file.relative_to(root / "csrc").parts[0]
    if system:
        allowed = {"python": BINDING, "load": LOAD}.get(room, ENGINE)
        if header in STANDARD or re.fullmatch(allowed, header):
            return None
        return f"{room} may not include <{header}>"
    if header.startswith("wsc/"):
        return None
    home = root / "csrc" / room
    # The binding's headers are named with the room that they are in.
    target = ((home if room == "python" else file.parent) / header).resolve()
    if target.is_relative_to(home.resolve()) and target.exists():
        return None
    return f'{room} may include "wsc/..." and its own headers, not "{header}"'


def room_errors(root: Path) -> Iterator[str]:
    home = root.resolve() / "csrc/python"
    for part, needs in arrows(home.parent, "python").items():
        for needed, arrow in needs.items():
            room, other = (path.relative_to(home).parts[0] for path in (part, needed))
            place = f"{arrow.file.relative_to(root.resolve())}:{arrow.line}"
            if unknown := {room, other} - set(BINDING_ROOMS):
                yield f"{place}: {unknown.pop()} is not in the table of rooms"
            elif BINDING_ROOMS.index(room) < BINDING_ROOMS.index(other):
                yield f"{place}: {room} may not need {arrow.word}: {other} is higher"


def outgoing_error(name: str, line: str) -> str | None:
    if name == OUTGOING_OWNER or not OUTGOING.search(line):
        return None
    return f"only {OUTGOING_OWNER} touches what waits to be sent"


def check(root: Path) -> list[str]:
    problems = []
    for file in sorted((root / "csrc").rglob("*.[ch]")):
        parts = file.relative_to(root / "csrc").parts
        for number, line in enumerate(file.read_text().splitlines(), 1):
            name = file.relative_to(root).as_posix()
            if error := outgoing_error(name, line):
                problems.append(f"{name}:{number}: {error}")
            if not (match := INCLUDE.match(line)):
                continue
            system, header = match[1] == "<", match[2]
            if parts[0] == "core" or parts[:2] == ("include", "wsc"):
                error = core_error(file.relative_to(root), system, header)
            else:
                error = outer_error(root, file, system, header)
            if error:
                problems.append(f"{name}:{number}: {error}")
    problems.extend(room_errors(root))
    problems.extend(circle(root, *WITHOUT_CIRCLES))
    problems.extend(touched(root, "csrc/python", "csrc/load", "examples/c"))
    return problems


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    problems = check(root)
    print(*problems, sep="\n" if problems else "")
    count = sum(1 for _ in (root / "csrc").rglob("*.[ch]"))
    print(f"layers: {count} C files, {len(problems)} wrong lines")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
