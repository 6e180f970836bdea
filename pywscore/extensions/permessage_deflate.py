"""permessage-deflate (RFC 7692): its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from .._numbers import whole_number

__all__ = [
    "ClientPerMessageDeflateFactory",
    "PerMessageDeflate",
    "ServerPerMessageDeflateFactory",
    "enable_client_permessage_deflate",
    "enable_server_permessage_deflate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerMessageDeflate:
    """What this end is willing to do, or what both ends agreed on.

    Attributes:
        server_no_context_takeover: the server forgets its window after each message:
            less memory, worse compression (RFC 7692 §7.1.1.1).
        client_no_context_takeover: the same for the client (§7.1.1.2).
        server_max_window_bits: limit for the server's window, 9-15 (a client may also
            accept 8); None for none (§7.1.2.1).
        client_max_window_bits: limit for the client's window, 8-15; None for none
            (§7.1.2.2).
        offer_client_max_window_bits: client: tell the server that it may limit the
            client's window even if ``client_max_window_bits`` is None.
        require_client_max_window_bits: server: don't compress with a client whose
            window can't be limited.
        level: zlib's level, -1 (its default) to 9.
        mem_level: zlib's memLevel, 1-9; each one doubles the memory of a compressor.
        threshold: messages with fewer bytes are sent as they are, unless sent with
            ``compress=True``.
    """

    name: ClassVar[str] = "permessage-deflate"
    """In Sec-WebSocket-Extensions (RFC 7692 §7)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    offer_client_max_window_bits: bool = True
    require_client_max_window_bits: bool = False
    level: int = -1
    mem_level: int = 8
    threshold: int = 64

    def __post_init__(self) -> None:
        for name in ("server_max_window_bits", "client_max_window_bits"):
            bits = getattr(self, name)
            if bits is not None:
                whole_number(name, bits, 8, 15)
        if self.require_client_max_window_bits and self.client_max_window_bits is None:
            raise ValueError(
                "require_client_max_window_bits needs client_max_window_bits"
            )
        whole_number("level", self.level, -1, 9)
        whole_number("mem_level", self.mem_level, 1, 9)
        whole_number("threshold", self.threshold, 0)


# 12 bits and memLevel 5 need a tenth of the memory of zlib's defaults (15 and 8) for
# a few percent of the compression: a server has many connections.
SERVER_DEFAULT = PerMessageDeflate(
    server_max_window_bits=12, client_max_window_bits=12, mem_level=5
)
CLIENT_DEFAULT = PerMessageDeflate(mem_level=5)


def choose(
    compression: str | PerMessageDeflate | None,
    extensions: Sequence[PerMessageDeflate] | None,
    default: PerMessageDeflate,
) -> PerMessageDeflate | None:
    """The settings that ``compression=`` and ``extensions=`` stand for.

    Raises:
        TypeError: for an extension other than PerMessageDeflate.
        ValueError: for a compression other than ``"deflate"``, or two extensions.
    """
    chosen: PerMessageDeflate | None = None
    for extension in extensions or ():
        if not isinstance(extension, PerMessageDeflate):
            raise TypeError(
                "extensions must be pywscore.PerMessageDeflate objects, "
                f"not {type(extension).__name__}"
            )
        if chosen is not None:
            raise ValueError("extensions has PerMessageDeflate twice")
        chosen = extension
    if chosen is not None:
        return chosen
    if compression is None or isinstance(compression, PerMessageDeflate):
        return compression
    if compression != "deflate":
        raise ValueError(f"unsupported compression: {compression}")
    return default


def _zlib_settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    names = {"level": "level", "memLevel": "mem_level"}
    unknown = (settings or {}).keys() - names.keys()
    if unknown:
        raise ValueError(f"unsupported compress_settings: {', '.join(sorted(unknown))}")
    return {names[name]: value for name, value in (settings or {}).items()}


def ServerPerMessageDeflateFactory(
    server_no_context_takeover: bool = False,
    client_no_context_takeover: bool = False,
    server_max_window_bits: int | None = None,
    client_max_window_bits: int | None = None,
    compress_settings: Mapping[str, Any] | None = None,
    require_client_max_window_bits: bool = False,
) -> PerMessageDeflate:
    """PerMessageDeflate by the arguments that ``websockets`` has for servers; without a
    threshold.

    Args:
        server_no_context_takeover: as of PerMessageDeflate.
        client_no_context_takeover: as of PerMessageDeflate.
        server_max_window_bits: as of PerMessageDeflate.
        client_max_window_bits: as of PerMessageDeflate.
        compress_settings: zlib's ``level`` and ``memLevel``.
        require_client_max_window_bits: as of PerMessageDeflate.

    Returns:
        The settings.

    Raises:
        ValueError: if they can't be used.
    """
    return PerMessageDeflate(
        server_no_context_takeover=server_no_context_takeover,
        client_no_context_takeover=client_no_context_takeover,
        server_max_window_bits=server_max_window_bits,
        client_max_window_bits=client_max_window_bits,
        require_client_max_window_bits=require_client_max_window_bits,
        threshold=0,
        **_zlib_settings(compress_settings),
    )


def ClientPerMessageDeflateFactory(
    server_no_context_takeover: bool = False,
    client_no_context_takeover: bool = False,
    server_max_window_bits: int | None = None,
    client_max_window_bits: int | Literal[True] | None = True,
    compress_settings: Mapping[str, Any] | None = None,
) -> PerMessageDeflate:
    """PerMessageDeflate by the arguments that ``websockets`` has for clients; without a
    threshold.

    Args:
        server_no_context_takeover: as of PerMessageDeflate.
        client_no_context_takeover: as of PerMessageDeflate.
        server_max_window_bits: as of PerMessageDeflate.
        client_max_window_bits: as of PerMessageDeflate; None offers no limit, True one
            without bits.
        compress_settings: zlib's ``level`` and ``memLevel``.

    Returns:
        The settings.

    Raises:
        ValueError: if they can't be used.
    """
    return PerMessageDeflate(
        server_no_context_takeover=server_no_context_takeover,
        client_no_context_takeover=client_no_context_takeover,
        server_max_window_bits=server_max_window_bits,
        client_max_window_bits=(
            None if client_max_window_bits is True else client_max_window_bits
        ),
        offer_client_max_window_bits=client_max_window_bits is not None,
        threshold=0,
        **_zlib_settings(compress_settings),
    )


def enable_server_permessage_deflate(
    extensions: Sequence[PerMessageDeflate] | None,
) -> list[PerMessageDeflate]:
    """The extensions, or the server's default settings if there are none.

    Args:
        extensions: a list with a PerMessageDeflate, or nothing.
    """
    return _enable(extensions, SERVER_DEFAULT)


def enable_client_permessage_deflate(
    extensions: Sequence[PerMessageDeflate] | None,
) -> list[PerMessageDeflate]:
    """The extensions, or the client's default settings if there are none.

    Args:
        extensions: a list with a PerMessageDeflate, or nothing.
    """
    return _enable(extensions, CLIENT_DEFAULT)


def _enable(
    extensions: Sequence[PerMessageDeflate] | None, default: PerMessageDeflate
) -> list[PerMessageDeflate]:
    return list(extensions or ()) or [default]
