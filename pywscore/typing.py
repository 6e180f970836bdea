"""Types for annotations, with the names they have in ``websockets.typing``."""

from __future__ import annotations

import http
import logging
import os
from typing import Any, Literal, NewType

__all__ = [
    "BytesLike",
    "Carrier",
    "Data",
    "DataLike",
    "ExtensionName",
    "ExtensionParameter",
    "LoggerLike",
    "Origin",
    "PathLike",
    "StatusLike",
    "Subprotocol",
]

BytesLike = bytes | bytearray | memoryview
"""What can be given where bytes are wanted."""

Carrier = Literal["auto", "engine", "transport"]
"""Who does the I/O: ``carrier=`` of ``serve()`` and ``connect()``."""

Data = str | bytes
"""A message that was received: ``str`` for text, ``bytes`` for binary."""

DataLike = str | bytes | bytearray | memoryview
"""What can be sent as a message."""

LoggerLike = logging.Logger | logging.LoggerAdapter[Any]
"""What can be given as ``logger=``."""

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""A path in the file system."""

StatusLike = http.HTTPStatus | int
"""An HTTP status code."""

ExtensionParameter = tuple[str, str | None]
"""A parameter of an extension; None for one without a value."""

# Any str will do for these three; the names are for code that uses them.
ExtensionName = NewType("ExtensionName", str)
"""The name of an extension."""

Origin = NewType("Origin", str)
"""The value of an Origin header."""

Subprotocol = NewType("Subprotocol", str)
"""The name of a subprotocol."""
