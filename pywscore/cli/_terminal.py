"""Lines from stdin and output that does not tear the line being typed.

On a terminal the input line is ours: characters arrive one by one, without echo,
and the prompt is drawn again below whatever is printed meanwhile. Without one
(pipes, files), stdin is read line by line and nothing is decorated.
"""

from __future__ import annotations

import asyncio
import codecs
import concurrent.futures
import os
import re
import shutil
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

try:
    import termios
    import tty
except ImportError:  # Windows: the console edits the line, we only read it
    termios = None  # type: ignore[assignment]

PROMPT = "> "
CLEAR_LINE = "\r\x1b[K"
READ_SIZE = 1 << 16
MAX_RECALL = 100

# ESC [ … letter (arrow keys and the like), ESC O letter, ESC alone or with one key.
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z~]|O[A-Za-z]|[^\[O])")
_UNFINISHED_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]{0,16}|O)?\Z")


class LineSplitter:
    """Lines from a pipe."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def feed(self, text: str) -> Iterator[str]:
        *lines, rest = text.split("\n")
        for line in lines:
            yield "".join([*self._parts, line]).removesuffix("\r")
            self._parts.clear()
        if rest:
            self._parts.append(rest)

    def finish(self) -> Iterator[str]:
        """The last line, when it lacks its newline."""
        if self._parts:
            yield "".join(self._parts)
            self._parts.clear()


class LineEditor:
    """One editable line: Backspace, Ctrl-W, Ctrl-U, Ctrl-D, Up and Down."""

    def __init__(self) -> None:
        self.text = ""
        self.at_end = False
        self._pending = ""
        self._recall: list[str] = []
        self._position = 0

    def feed(self, text: str) -> Iterator[str]:
        text = self._pending + text
        self._pending = ""
        index = 0
        while index < len(text) and not self.at_end:
            if text[index] == "\x1b":
                if _UNFINISHED_ESCAPE.match(text, index):
                    self._pending = text[index:]
                    return
                sequence = _ESCAPE_SEQUENCE.match(text, index)
                index = sequence.end() if sequence else index + 1
                if sequence:
                    self._move(sequence[0])
                continue
            line = self._key(text[index])
            index += 1
            if line is not None:
                yield line

    def finish(self) -> Iterator[str]:
        return iter(())

    def _key(self, key: str) -> str | None:
        match key:
            case "\r" | "\n":
                line, self.text = self.text, ""
                if line and self._recall[-1:] != [line]:
                    self._recall = [*self._recall[1 - MAX_RECALL :], line]
                self._position = len(self._recall)
                return line
            case "\x7f" | "\x08":
                self.text = self.text[:-1]
            case "\x15":
                self.text = ""
            case "\x17":
                head, space, _ = self.text.rstrip().rpartition(" ")
                self.text = head + space
            case "\x04":
                self.at_end = not self.text
            case _ if key.isprintable():
                self.text += key
        return None

    def _move(self, sequence: str) -> None:
        step = {"\x1b[A": -1, "\x1bOA": -1, "\x1b[B": 1, "\x1bOB": 1}.get(sequence)
        if step is None:
            return
        self._position = min(max(self._position + step, 0), len(self._recall))
        self.text = (
            self._recall[self._position] if self._position < len(self._recall) else ""
        )


class Terminal:
    """Where a client reads lines and prints messages."""

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(maxsize=16)
        self._editor: LineEditor | LineSplitter = LineSplitter()
        self._drawn = False

    @contextmanager
    def input_mode(self) -> Iterator[None]:
        """Take the terminal over; give it back as it was."""
        if not self.interactive or termios is None:
            yield
            return
        descriptor = sys.stdin.fileno()
        saved = termios.tcgetattr(descriptor)
        self._editor = LineEditor()
        tty.setcbreak(descriptor)  # no echo, no line mode; Ctrl-C stays a signal
        try:
            yield
        finally:
            self._erase()
            sys.stdout.flush()
            termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)

    async def lines(self) -> AsyncIterator[str]:
        """Lines as they are typed, until end of file."""
        loop = asyncio.get_running_loop()
        # A daemon thread, reading by os.read: stdin can be a file, which a
        # selector refuses, and a blocked thread must not keep the process alive.
        threading.Thread(target=self._read, args=(loop,), daemon=True).start()
        self.redraw()
        while (line := await self._lines.get()) is not None:
            yield line

    def show(self, text: str) -> None:
        """Print a message of the peer: to stdout."""
        self._erase()
        print(text)
        self.redraw()
        sys.stdout.flush()

    def notice(self, text: str) -> None:
        """Print what happened: to stdout on a terminal, else to stderr."""
        if not self.interactive:
            print(text, file=sys.stderr, flush=True)
            return
        self.show(f"\x1b[2m{text}\x1b[0m")

    def redraw(self) -> None:
        if isinstance(self._editor, LineEditor):
            width = max(shutil.get_terminal_size().columns - len(PROMPT) - 1, 1)
            shown = visible_tail(self._editor.text, width)
            sys.stdout.write(CLEAR_LINE + PROMPT + shown)
            sys.stdout.flush()
            self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write(CLEAR_LINE)
            self._drawn = False

    # In the reading thread.

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        descriptor = sys.stdin.fileno()
        more = True
        try:
            while more:
                data = os.read(descriptor, READ_SIZE)
                text = decoder.decode(data, final=not data)
                # Lines are queued in the loop's thread; a full queue stops us here.
                more = asyncio.run_coroutine_threadsafe(
                    self._accept(text, final=not data), loop
                ).result()
        except (OSError, RuntimeError, concurrent.futures.CancelledError):
            return  # stdin or the loop is closed

    async def _accept(self, text: str, *, final: bool) -> bool:
        for line in self._editor.feed(text):
            await self._lines.put(line)
        self.redraw()
        if final:
            for line in self._editor.finish():
                await self._lines.put(line)
        if final or getattr(self._editor, "at_end", False):
            await self._lines.put(None)
            return False
        return True


def visible_tail(text: str, width: int) -> str:
    """The end of `text` that fits in `width` columns."""
    used = 0
    for index in range(len(text) - 1, -1, -1):
        char = text[index]
        if not unicodedata.combining(char):
            used += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used > width:
            return text[index + 1 :]
    return text
