"""What is printed: escaping, close codes, messages, tables, edited lines."""

from __future__ import annotations

import logging
import random
import socket
import ssl

import pytest

from pywscore._shown import escape
from pywscore.cli._common import (
    EscapingFormatter,
    close_code_name,
    describe_close,
    explain,
    own_address,
    own_origins,
    parse_headers,
    without_credentials,
)
from pywscore.cli._connect import is_sendable, render
from pywscore.cli._terminal import LineEditor, LineSplitter, visible_tail


@pytest.mark.threat("LOG-2")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ümläut 你好", "plain ümläut 你好"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\rb\nc\x00d", "a\\rb\\nc\\x00d"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("\u2066x\u2069\u200f", "\\u2066x\\u2069\\u200f"),
        ("line\u2028end\u2029", "line\\u2028end\\u2029"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        # A family is joined by zero-width joiners, which harm nobody.
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


@pytest.mark.threat("LOG-2")
def test_escape_cuts() -> None:
    assert escape("x" * 32_768, limit=200) == "x" * 200 + "…"
    assert escape("x" * 200, limit=200) == "x" * 200


@pytest.mark.threat("LOG-2")
def test_log_lines_are_escaped_but_tracebacks_stay_readable() -> None:
    formatter = EscapingFormatter("%(message)s")
    try:
        raise ValueError("no")
    except ValueError as error:
        failure = (type(error), error, error.__traceback__)
    record = logging.LogRecord(
        "x", logging.ERROR, __file__, 1, "bad %s", ("\x1b[2J\nfake",), failure
    )
    first, *rest = formatter.format(record).splitlines()
    assert first == "bad \\x1b[2J\\nfake"
    assert rest[0].startswith("Traceback") and rest[-1] == "ValueError: no"


def test_close_codes_have_names() -> None:
    # The names of RFC 6455 §7.4.1.
    assert close_code_name(1000) == "normal closure"
    assert close_code_name(1001) == "going away"
    assert close_code_name(1006) == "abnormal closure"
    assert close_code_name(3999) == "registered"
    assert close_code_name(4000) == "private use"
    assert close_code_name(2999) == "unknown"
    assert describe_close(4000, "\x1b[31m") == "4000 (private use): \\x1b[31m"
    assert describe_close(None, None) == "1006 (abnormal closure)"


def test_close_codes_that_may_be_sent() -> None:
    # RFC 6455 §7.4.1 and §7.4.2, and the IANA registry for 1012 to 1014.
    allowed = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(6000) if is_sendable(code)} == allowed


def test_render() -> None:
    assert render("a\x1bb\nc", interactive=True) == "< a\\x1bb\n  c"
    # In a pipe each message is one line, whatever the peer put into it.
    assert render("a\nb\tc", interactive=False) == "a\\nb\tc"
    assert render(b"\x00\xff", interactive=False) == "00 ff"
    assert render(b"\x00\xff", interactive=True) == "< [2 bytes] 00 ff"
    assert render(b"", interactive=True) == "< [0 bytes]"
    assert render(bytes(1030), interactive=True).endswith("00 … and 6 more")


def test_headers() -> None:
    assert parse_headers(["X-A: b:c", "d:"]) == [("X-A", "b:c"), ("d", "")]


def test_credentials_are_not_shown() -> None:
    assert without_credentials("ws://user:secret@host:1/x?y") == "ws://host:1/x?y"


def test_tls_failures_are_one_line() -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: X] failed")
    error.verify_message = "self-signed certificate"
    assert explain(error) == "certificate refused: self-signed certificate"
    other = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong\x1b version")
    other.reason = "WRONG_VERSION_NUMBER"
    assert explain(other) == "tls failed: wrong_version_number".replace("tls", "TLS")


def test_failures_of_the_system_are_one_line() -> None:
    assert explain(ConnectionResetError(104, "")) == "connection reset by peer"
    # Numbers of getaddrinfo() aren't errno's.
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or\nservice not known")
    assert explain(unknown) == "name or\\nservice not known"
    assert explain(OSError()) == "OSError"


def test_own_origins() -> None:
    assert own_origins("127.0.0.1", 8765, secure=False) == [
        "http://127.0.0.1:8765",
        "http://localhost:8765",
        "http://[::1]:8765",
    ]
    # RFC 6454 §6.2: the default port of the scheme is left out.
    assert "https://chat.example" in own_origins("chat.example", 443, secure=True)
    listed = own_origins("0.0.0.0", 80, secure=False, extra=["https://a.example"])
    assert listed[-1] == "https://a.example"
    assert not any("0.0.0.0" in origin for origin in listed)


def test_own_address() -> None:
    assert own_address("0.0.0.0", 80) == "127.0.0.1:80"
    assert own_address("::", 80) == "[::1]:80"
    assert own_address("chat.example", 80) == "chat.example:80"


def splits(text: str, seed: int) -> list[str]:
    chooser = random.Random(seed)
    pieces = []
    while text:
        length = chooser.randint(1, 4)
        pieces.append(text[:length])
        text = text[length:]
    return pieces


def test_lines_of_a_pipe_in_any_pieces() -> None:
    text = "one\r\ntwo\n\nüber\nlast"
    for seed in range(50):
        splitter = LineSplitter()
        lines = [line for part in splits(text, seed) for line in splitter.feed(part)]
        assert lines == ["one", "two", "", "über"], f"seed {seed}"
        assert list(splitter.finish()) == ["last"], f"seed {seed}"
        assert list(splitter.finish()) == []


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ("hello\n", ["hello"]),
        ("hellp\x7fo\r", ["hello"]),
        ("one two\x17three\n", ["one three"]),
        ("gone\x15kept\n", ["kept"]),
        ("a\x1b[Db\x1b[1;5Cc\x1bOHd\n", ["abcd"]),
        ("first\nsecond\n\x1b[A\x1b[A\n", ["first", "second", "first"]),
        ("x\n\x1b[A\x1b[B\n", ["x", ""]),
        ("x\x04y\n", ["xy"]),
        ("x\x00\x07\n", ["x"]),
    ],
)
def test_line_editor(keys: str, lines: list[str]) -> None:
    for seed in range(20):
        editor = LineEditor()
        edited = [line for part in splits(keys, seed) for line in editor.feed(part)]
        assert edited == lines, f"seed {seed}"
        assert not editor.at_end


def test_line_editor_ends_at_control_d_on_an_empty_line() -> None:
    editor = LineEditor()
    assert list(editor.feed("x\n\x04later\n")) == ["x"]
    assert editor.at_end


def test_a_long_line_shows_its_end() -> None:
    assert visible_tail("abcdef", 3) == "def"
    assert visible_tail("ab", 3) == "ab"
    assert visible_tail("a你好", 4) == "你好"
    assert visible_tail("a你好", 3) == "好"
