"""All benchmarks: ``python -m benchmarks.run [--quick] [NAMES]``.

Tables are printed and written to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from . import deflate, echo, memory, sansio

BENCHMARKS: dict[str, Callable[..., None]] = {
    "sansio": sansio.run,
    "deflate": deflate.run,
    "echo": echo.run,
    "echo-deflate": echo.run_compressed,
    "memory": memory.run,
}
LINUX_ONLY = {"echo", "echo-deflate", "memory"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a minute, rough figures")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"only these, of: {', '.join(BENCHMARKS)}",
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name}")
    for name in arguments.names or BENCHMARKS:
        if name in LINUX_ONLY and sys.platform != "linux":
            print(f"{name}: on Linux only", file=sys.stderr)
            continue
        BENCHMARKS[name](quick=arguments.quick)


if __name__ == "__main__":
    main()
