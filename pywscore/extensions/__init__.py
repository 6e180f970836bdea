"""permessage-deflate (RFC 7692), the one extension that there is."""

from .permessage_deflate import (
    CLIENT_DEFAULT,
    SERVER_DEFAULT,
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
    choose,
)

__all__ = [
    "CLIENT_DEFAULT",
    "SERVER_DEFAULT",
    "ClientPerMessageDeflateFactory",
    "PerMessageDeflate",
    "ServerPerMessageDeflateFactory",
    "choose",
]
