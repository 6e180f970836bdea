"""What the commands share: options, errors in one line, signals, escaping."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import pywscore
from pywscore._shown import escape, shown_url, without_user_info
from pywscore.asyncio._binding import addresses_of, bind, reserve
from pywscore.asyncio._signals import stop_signals
from pywscore.enums import explain as explain_code

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130

MAX_ESCAPED = 200


class CommandError(Exception):
    """A failure the user can act on; printed as one line, without traceback."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments without the passwords in them."""

    def error(self, message: str) -> NoReturn:
        super().error(without_user_info(message))


class EscapingFormatter(logging.Formatter):
    """Escapes the message, which may quote a peer, but not our own traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escape(record.message)
        return super().formatMessage(record)


def close_code_name(code: int) -> str:
    """What it is called in the IANA registry."""
    try:
        return pywscore.CloseCode(code).name.replace("_", " ").lower()
    except ValueError:
        return explain_code(code)


def describe_close(code: int | None, reason: str | None) -> str:
    code = pywscore.CloseCode.ABNORMAL_CLOSURE if code is None else code
    text = f"{int(code)} ({close_code_name(code)})"
    return f"{text}: {escape(reason, limit=MAX_ESCAPED)}" if reason else text


def configure_output() -> None:
    """Print what the terminal's encoding lacks as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


# Options


def add_verbose_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="log connections; twice: log every frame",
    )


def add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (%(default)s)"
    )
    parser.add_argument(
        "--port",
        type=port_number,
        default=8765,
        help="port to listen on, 0 for a free one (%(default)s)",
    )
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="also accept pages of this origin, e.g. https://chat.example; "
        "may be repeated",
    )
    parser.add_argument(
        "--cert", metavar="FILE", help="PEM certificate chain: serve wss:// with it"
    )
    parser.add_argument(
        "--key", metavar="FILE", help="PEM private key (default: in --cert)"
    )
    parser.add_argument(
        "--workers",
        type=lambda text: bounded_int(text, 1, 1024),
        default=1,
        metavar="N",
        help="processes that share the port (%(default)s)",
    )
    parser.add_argument(
        "--metrics",
        action="store_true",
        help="answer GET /metrics in the format of Prometheus, whoever asks",
    )
    add_verbose_option(parser)


def add_client_tls_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--insecure", action="store_true", help="do not verify the certificate"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="PEM certificates to trust instead of the system's"
    )


def add_handshake_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="send this header in the handshake; may be repeated",
    )
    parser.add_argument(
        "--subprotocol",
        action="append",
        default=[],
        metavar="NAME",
        help="offer this subprotocol; may be repeated, best first",
    )
    parser.add_argument("--origin", metavar="ORIGIN", help="send this Origin")


def port_number(text: str) -> int:
    return bounded_int(text, 0, 65535)


def bounded_int(text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{value} is not between {low} and {high}")
    return value


# Servers


def server_tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.cert is None:
        if options.key is not None:
            raise CommandError("--key needs --cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.cert, options.key)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(
            f"cannot load certificate {options.cert}: {explain(error)}"
        ) from None
    return context


def listen(host: str, port: int) -> socket.socket:
    """Bind before serving: the origins to accept depend on the port we get."""
    try:
        listener = bind(*addresses_of(host, port)[0])
    except (OSError, UnicodeError) as error:
        raise _listen_error(host, port, error) from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def hold(host: str, port: int) -> list[socket.socket]:
    """Take the port without listening, for workers who will."""
    try:
        return reserve(host, port)
    except (OSError, UnicodeError) as error:
        raise _listen_error(host, port, error) from None


@contextmanager
def place_of(options: argparse.Namespace) -> Iterator[tuple[dict[str, Any], int]]:
    """Where `pywscore.run` is to serve, and the port, which is ours meanwhile."""
    if options.workers > 1:
        held = hold(options.host, options.port)
        port = held[0].getsockname()[1]
        where: dict[str, Any] = {"host": options.host, "port": port}
    else:
        held = [listen(options.host, options.port)]
        port = held[0].getsockname()[1]
        where = {"sock": held[0]}
    try:
        yield where, port
    finally:
        for sock in held:
            sock.close()


def _listen_error(host: str, port: int, error: Exception) -> CommandError:
    hint = ""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        hint = "; choose another one with --port"
    return CommandError(
        f"cannot listen on {join_host_port(host, port)}: {explain(error)}{hint}"
    )


def own_address(host: str, port: int) -> str:
    """Host and port at which this machine reaches the server."""
    wildcards = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
    return join_host_port(wildcards.get(host, host), port)


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_origins(
    host: str, port: int, *, secure: bool, extra: Sequence[str] = ()
) -> list[str]:
    """The origins our own pages have, then those the user added."""
    scheme, default_port = ("https", 443) if secure else ("http", 80)
    hosts = [host] if host not in {"", "0.0.0.0", "::"} else []
    hosts += ["localhost", "127.0.0.1", "::1"]
    origins = []
    for name in dict.fromkeys(hosts):
        origin = f"{scheme}://{join_host_port(name, port)}"
        origins.append(origin.removesuffix(f":{default_port}"))
    return list(dict.fromkeys([*origins, *extra]))


async def wait_for_interrupt() -> None:
    """Return at the first Ctrl-C or SIGTERM; a second one ends the hard way."""
    interrupted = asyncio.Event()
    with stop_signals(interrupted.set):
        await interrupted.wait()  # where there are no handlers, this is cancelled


# Clients


def client_tls(options: argparse.Namespace, uri: str) -> ssl.SSLContext | None:
    if not parse_uri(uri).secure:
        return None
    try:
        context = ssl.create_default_context(cafile=options.ca)
    except (OSError, ssl.SSLError) as error:
        raise CommandError(f"cannot load {options.ca}: {explain(error)}") from None
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def parse_headers(lines: list[str]) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not (line.isascii() and line.isprintable()):
            # Not the line, which may be a secret.
            raise CommandError(
                f"bad header, the {len(headers) + 1}. --header: "
                "it must look like 'Name: value'"
            )
        headers.append((name.strip(), value.strip()))
    return headers


def connect_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for `pywscore.connect` that all clients share."""
    arguments: dict[str, Any] = {}
    context = client_tls(options, options.url)
    if context is not None:
        arguments["ssl"] = context
    if options.no_compression:
        arguments["compression"] = None
    return arguments


def parse_uri(uri: str) -> pywscore.WebSocketURI:
    """Refuse what cannot be a WebSocket URI (RFC 6455 §3)."""
    try:
        return pywscore.parse_uri(uri)
    except pywscore.InvalidURI as error:
        shown = without_credentials(uri)
        raise CommandError(f"bad URL {shown!r}: {error.msg}") from None


def without_credentials(uri: str) -> str:
    """The URI as it may be shown: without user and password."""
    return escape(shown_url(uri), limit=MAX_ESCAPED)


@contextmanager
def connect_errors(uri: str) -> Iterator[None]:
    """Turn what `pywscore.connect` raises into a `CommandError`."""
    shown = without_credentials(uri)
    try:
        yield
    except pywscore.InvalidURI as error:
        raise CommandError(f"bad URL {shown!r}: {explain(error)}") from None
    except (pywscore.InvalidProxy, ImportError) as error:
        raise CommandError(explain(error)) from None
    except pywscore.InvalidStatus as error:
        status = error.response.status_code
        phrase = escape(error.response.reason_phrase, limit=MAX_ESCAPED)
        answer = f"HTTP {status} {phrase}".rstrip()
        raise CommandError(f"{shown} refused the handshake: {answer}") from None
    except pywscore.InvalidHandshake as error:
        raise CommandError(f"{shown} failed the handshake: {explain(error)}") from None
    except TimeoutError:
        raise CommandError(f"cannot connect to {shown}: timed out") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot connect to {shown}: {explain(error)}") from None


def explain(error: BaseException) -> str:
    """One line that says what went wrong, without Python's decorations."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {escape(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {escape(error.reason or str(error)).lower()}"
    if isinstance(error, OSError):
        # getaddrinfo has numbers of its own.
        number = 0 if isinstance(error, socket.gaierror) else error.errno or 0
        if number in errno.errorcode:
            return os.strerror(number).lower()
        if error.strerror:
            return escape(error.strerror, limit=MAX_ESCAPED).lower()
    text = str(error) or type(error).__name__
    return escape(text, limit=MAX_ESCAPED)
