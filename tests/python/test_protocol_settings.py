"""The settings of protocol objects: those made from the same ones share them."""

from __future__ import annotations

import sys
import sysconfig

import pytest

from pywscore import ClientProtocol, PerMessageDeflate, ServerProtocol

MASKED = bytes.fromhex("37fa213d")
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)


def opened(protocol: ServerProtocol) -> ServerProtocol:
    protocol.receive_data(REQUEST)
    assert protocol.next_event() is not None
    protocol.accept()
    protocol.data_to_send()
    return protocol


def limit_of(protocol: ServerProtocol) -> int:
    """Found out with a frame of each size."""
    for size in range(126):
        protocol.receive_data(bytes([0x82, 0x80 | size]) + MASKED + bytes(size))
        if protocol.next_event() is None:
            return size - 1
    raise AssertionError("no limit")


def test_each_has_its_own() -> None:
    sizes = [10, 20, 10, 10, 30, 20]
    protocols = [opened(ServerProtocol(max_size=size)) for size in sizes]
    assert [protocol.max_size for protocol in protocols] == sizes
    assert [limit_of(protocol) for protocol in protocols] == sizes


def test_they_outlive_the_others() -> None:
    last = opened(ServerProtocol(max_size=40))
    for size in range(30):
        same = [ServerProtocol(max_size=size) for _ in range(3)]
        assert {protocol.max_size for protocol in same} == {size}
    assert limit_of(last) == 40


def test_compression() -> None:
    small = PerMessageDeflate(server_max_window_bits=9)
    large = PerMessageDeflate()
    for settings in [small, large, None, small, small, None, large]:
        got = opened(ServerProtocol(compression=settings)).compression
        assert (got and got.server_max_window_bits) == (
            settings and (settings.server_max_window_bits or 15)
        )


def test_role_and_any_request() -> None:
    bad = REQUEST.replace(b"Upgrade: websocket\r\n", b"")
    for any_request in [False, True, True, False]:
        server = ServerProtocol(max_size=99, any_request=any_request)
        client = ClientProtocol("ws://x/", max_size=99)
        assert server.is_server and not client.is_server
        assert client.data_to_send().startswith(b"GET / HTTP/1.1")
        server.receive_data(bad)
        assert (server.next_event() is not None) == any_request


def test_a_changing_option_is_read_each_time() -> None:
    class Changing:
        value = 5

        def __index__(self) -> int:
            return self.value

    option = Changing()
    first = ServerProtocol(max_size=option)  # type: ignore[arg-type]
    option.value = 6
    second = ServerProtocol(max_size=option)  # type: ignore[arg-type]
    assert (first.max_size, second.max_size) == (5, 6)


def test_a_bad_option_leaves_the_good_ones() -> None:
    good = ServerProtocol(max_size=7)
    with pytest.raises(ValueError):
        ServerProtocol(max_size=-1)
    with pytest.raises(TypeError):
        ServerProtocol(max_size=7, compression=object())  # type: ignore[arg-type]
    assert ServerProtocol(max_size=7).max_size == good.max_size == 7


@pytest.mark.skipif(
    sys.maxsize < 2**32 or bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="another layout of objects",
)
def test_it_fits_into_a_small_block() -> None:
    """What is larger is not in the memory of Python's own allocator."""
    assert sys.getsizeof(ServerProtocol()) <= 512
