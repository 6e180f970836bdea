"""What peers can do to the log: little."""

from __future__ import annotations

import logging

import pytest

from pywscore._shown import printable
from pywscore.asyncio import _log as module
from pywscore.asyncio._log import LimitedLogger


@pytest.mark.threat("LOG-2")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("a\r\nb\tc\0d", r"a\r\nb\tc\x00d"),
        ("\x1b[2J\x7f\x9b", r"\x1b[2J\x7f\x9b"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("é😀\ud800", r"\xe9\U0001f600\ud800"),
        ("\\x41", r"\\x41"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 197 + "..."),
        (ValueError("boom\n"), r"boom\n"),
    ],
)
def test_printable(text: object, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.threat("LOG-2")
def test_printable_is_short_whatever_comes() -> None:
    for char in ("\u202e", "😀", "\n"):
        assert len(printable(char * 32768)) <= 200


@pytest.mark.threat("LOG-1")
def test_ten_lines_a_second_then_a_count(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    caplog.set_level(logging.INFO)
    log = LimitedLogger(logging.getLogger("pywscore.test"))
    for number in range(5000):
        log.log(logging.INFO, "line %d", number)
    assert caplog.messages == [f"line {number}" for number in range(10)]
    now += 1
    log.log(logging.INFO, "later")
    assert caplog.messages[10:] == ["4990 more lines were left out", "later"]
    log.flush()
    assert len(caplog.messages) == 12
    for _ in range(100):
        log.log(logging.INFO, "peers")
    log.log(logging.ERROR, "ours")
    log.log_always(logging.INFO, "once")
    assert caplog.messages[-2:] == ["ours", "once"]


@pytest.mark.threat("LOG-3")
def test_a_logger_that_raises_is_no_problem() -> None:
    tried: list[object] = []

    class Broken(logging.Logger):
        def log(self, *args: object, **kwargs: object) -> None:
            tried.append(args)
            raise OSError("disk full")

    log = LimitedLogger(Broken("broken"))
    log.log(logging.ERROR, "text", exc_info=ValueError())
    assert tried == [(logging.ERROR, "text")]
