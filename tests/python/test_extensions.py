"""The settings of permessage-deflate (RFC 7692 §7.1)."""

from __future__ import annotations

from typing import Any

import pytest

from pywscore import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from pywscore.extensions.permessage_deflate import SERVER_DEFAULT, choose


@pytest.mark.parametrize(
    "settings",
    [
        {"server_max_window_bits": 7},
        {"server_max_window_bits": 16},
        {"client_max_window_bits": 7},
        {"client_max_window_bits": 16},
        {"require_client_max_window_bits": True},
        {"level": -2},
        {"level": 10},
        {"mem_level": 0},
        {"mem_level": 10},
        {"threshold": -1},
    ],
)
def test_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        PerMessageDeflate(**settings)


def test_factories_of_websockets() -> None:
    server = ServerPerMessageDeflateFactory(
        server_max_window_bits=11,
        client_max_window_bits=10,
        compress_settings={"memLevel": 4, "level": 1},
    )
    assert (server.server_max_window_bits, server.client_max_window_bits) == (11, 10)
    assert (server.mem_level, server.level, server.threshold) == (4, 1, 0)
    client = ClientPerMessageDeflateFactory()
    assert client.client_max_window_bits is None
    assert client.offer_client_max_window_bits
    assert not ClientPerMessageDeflateFactory(
        client_max_window_bits=None
    ).offer_client_max_window_bits
    with pytest.raises(ValueError):
        ServerPerMessageDeflateFactory(compress_settings={"strategy": 2})


def test_choice() -> None:
    own = PerMessageDeflate(level=1)
    assert choose("deflate", None, SERVER_DEFAULT) is SERVER_DEFAULT
    assert choose(None, [], SERVER_DEFAULT) is None
    assert choose(own, None, SERVER_DEFAULT) is own
    assert choose("deflate", [own], SERVER_DEFAULT) is own
    assert choose(None, [own], SERVER_DEFAULT) is own
    with pytest.raises(TypeError, match="PerMessageDeflate objects, not str"):
        choose("deflate", ["permessage-deflate"], SERVER_DEFAULT)  # type: ignore[list-item]
    with pytest.raises(ValueError):
        choose("deflate", [own, own], SERVER_DEFAULT)
    with pytest.raises(ValueError, match="gzip"):
        choose("gzip", None, SERVER_DEFAULT)
