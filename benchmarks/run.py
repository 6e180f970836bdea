"""All benchmarks: ``python -m benchmarks.run [--quick] [NAMES]``.

Tables are printed and written to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable

from . import deflate, memory, readme, reconnect, report, rooms, rounds, sansio
from .scenarios import SCENARIOS

BENCHMARKS: dict[str, Callable[..., None]] = {
    "sansio": sansio.run,
    "deflate": deflate.run,
    **{
        scenario.name: functools.partial(rounds.run, scenario) for scenario in SCENARIOS
    },
    "reconnect": reconnect.run,
    "rooms": rooms.run,
    "memory": memory.run,
}
ANYWHERE = {"sansio", "deflate"}


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
        if name not in ANYWHERE and sys.platform != "linux":
            print(f"{name}: on Linux only", file=sys.stderr)
            continue
        BENCHMARKS[name](quick=arguments.quick)
    report.goals(list(BENCHMARKS))
    readme.draw()


if __name__ == "__main__":
    main()
