"""Reads the command line, runs one command, turns failures into one line."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import pywscore
from pywscore.cli import _bench, _connect, _demo, _echo
from pywscore.cli._common import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    CommandError,
    EscapingFormatter,
    Parser,
    configure_output,
)

__all__ = ["main"]

COMMANDS = (_demo, _echo, _connect, _bench)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pywscore", description="WebSocket tools on top of pywscore.")
    version = getattr(pywscore, "__version__", "unknown")
    parser.add_argument("--version", action="version", version=f"pywscore {version}")
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def configure_logging(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line by default.

    Returns:
        The exit code. 0: done, also after Ctrl-C for a server. 1: failed, with one line
            on
        stderr. 2: wrong usage (argparse). 130: interrupted before the work was
            finished.
    """
    configure_output()
    options = build_parser().parse_args(arguments)
    configure_logging(options.verbose)
    try:
        exit_code: int = options.run(options)
        sys.stdout.flush()
    except CommandError as error:
        print(f"pywscore: error: {error}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone (`... | head`); what is still buffered
        # must not raise once more when the interpreter flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    return exit_code
