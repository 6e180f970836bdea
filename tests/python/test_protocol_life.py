"""Lifetimes: buffers, hostile objects, references, threads, and failing allocations."""

from __future__ import annotations

import array
import gc
import importlib.util
import itertools
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from wire import (
    BINARY,
    DEFLATE,
    KEY,
    ROLES,
    TEXT,
    Frame,
    Inflater,
    Role,
    close_body,
    feed,
    frame,
    opened,
    pair,
    parse,
    request,
    run_fresh,
)

import pywscore
from pywscore import PerMessageDeflate, ServerProtocol, State
from pywscore._core import apply_mask, is_valid_utf8

both_roles = pytest.mark.parametrize("role", ROLES)

# ---- buffers -------------------------------------------------------------------------


@both_roles
@pytest.mark.threat("LIF-2")
def test_input_may_change_after_it_was_given(role: Role) -> None:
    data = bytearray(frame(TEXT, b"one", to=role) + frame(TEXT, b"two", to=role))
    whole = len(data)
    protocol = opened(role)
    protocol.receive_data(data)
    data[:] = b"\xff" * whole
    data.clear()
    data.extend(bytes(100_000))
    assert [event.data for event in protocol.events()] == ["one", "two"]
    view = memoryview(bytearray(frame(TEXT, b"x" * 100, to=role)))
    protocol.receive_data(view[:50])
    view[:50] = bytes(50)
    assert protocol.next_event() is None
    protocol.receive_data(view[50:])
    view[50:] = bytes(len(view) - 50)
    view.release()
    assert protocol.next_event() == pywscore.TextMessage("x" * 100)


@both_roles
@pytest.mark.parametrize("size", [10, 20_000, 100_000])
@pytest.mark.threat("LIF-2")
def test_output_may_change_after_it_was_sent(role: Role, size: int) -> None:
    data = bytearray(b"x" * size)
    protocol = opened(role)
    protocol.send_binary(data)
    protocol.send_text(data)
    data[:] = b"\xff" * size
    data.clear()  # no export is left behind: this would be a BufferError
    data.extend(bytes(10 * size))
    expected = b"x" * size
    assert parse(protocol.data_to_send(), role) == [
        Frame(BINARY, expected),
        Frame(TEXT, expected),
    ]


@both_roles
@pytest.mark.threat("LIF-2")
def test_payloads_own_their_memory(role: Role) -> None:
    """A memoryview of each payload is kept over thousands of messages."""
    protocol = opened(role)
    kept = []
    for number in range(10_000):
        payload = b"%d " % number * (number % 40)
        protocol.receive_data(frame(BINARY, payload, to=role))
        event = protocol.next_event()
        assert isinstance(event, pywscore.BinaryMessage)
        kept.append((memoryview(event.data), payload))
    del protocol, event
    gc.collect()
    assert all(view == payload for view, payload in kept)


@pytest.mark.threat("LIF-2")
def test_what_is_sent_by_reference_is_kept() -> None:
    protocol = opened("server")
    payload = os.urandom(100_000)
    copy = bytes(bytearray(payload))
    count = sys.getrefcount(payload)
    for _ in range(3):
        protocol.send_binary(payload)
    buffers = protocol.buffers_to_send()
    assert sum(buffer is payload for buffer in buffers) == 3
    del payload
    gc.collect()
    assert b"".join(buffers).count(copy) == 3
    payload = copy
    protocol.send_binary(payload)
    del protocol, buffers
    gc.collect()
    assert sys.getrefcount(payload) <= count + 1


class Buffer(bytearray):
    """A subclass: its buffer is what counts, and nothing else of it is called."""

    def __len__(self) -> int:
        raise AssertionError

    def __iter__(self) -> Iterator[int]:
        raise AssertionError

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError

    def __bytes__(self) -> bytes:
        raise AssertionError


class Bytes(bytes):
    __len__ = Buffer.__len__
    __iter__ = Buffer.__iter__
    __getitem__ = Buffer.__getitem__
    __bytes__ = Buffer.__bytes__

    def __buffer__(self, flags: int) -> memoryview:
        raise AssertionError


class Text(str):
    __len__ = Buffer.__len__
    __iter__ = Buffer.__iter__  # type: ignore[assignment]
    __getitem__ = Buffer.__getitem__

    def __str__(self) -> str:
        raise AssertionError

    def encode(self, *args: Any) -> bytes:
        raise AssertionError


@both_roles
@pytest.mark.parametrize("kind", [Buffer, Bytes])
@pytest.mark.parametrize("size", [5, 100_000])
@pytest.mark.threat("LIF-2", "LIF-3")
def test_buffers_of_subclasses(role: Role, kind: Any, size: int) -> None:
    data = kind(b"x" * size)
    protocol = opened(role)
    protocol.send_binary(data)
    protocol.send_text(data)
    protocol.send_text(Text("é" * size))
    expected = [Frame(BINARY, b"x" * size), Frame(TEXT, b"x" * size)]
    expected.append(Frame(TEXT, "é".encode() * size))
    assert parse(protocol.data_to_send(), role) == expected
    wire = kind(frame(BINARY, b"y" * size, to=role))
    protocol.receive_data(wire)
    assert protocol.next_event() == pywscore.BinaryMessage(b"y" * size)
    assert apply_mask(data, bytes(4)) == b"x" * size
    assert is_valid_utf8(data)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since Python 3.12: PEP 688")
@both_roles
@pytest.mark.threat("LIF-2", "LIF-3")
def test_a_buffer_that_runs_code(role: Role) -> None:
    protocol = opened(role)

    class Evil:
        def __init__(self) -> None:
            self.memory = bytearray(b"payload")

        def __buffer__(self, flags: int) -> memoryview:
            protocol.send_ping(b"inner")
            protocol.send_close(1000)
            gc.collect()
            return memoryview(self.memory)

        def __release_buffer__(self, view: memoryview) -> None:
            protocol.receive_eof()
            gc.collect()

    with pytest.raises(pywscore.InvalidState):
        protocol.send_binary(Evil())  # type: ignore[arg-type]
    opcodes = [sent.opcode for sent in parse(protocol.data_to_send(), role)]
    assert opcodes == [9, 8] and protocol.state is State.CLOSED


# ---- hostile objects -----------------------------------------------------------------


class Hostile:
    """Whatever is asked of it, it does things to the connection first."""

    def __init__(self, protocol: Any, result: Any) -> None:
        self.protocol, self.result = protocol, result

    def act(self) -> Any:
        for call in (
            lambda: self.protocol.send_ping(b"hostile"),
            lambda: self.protocol.receive_data(b"\x00" * 10),
            lambda: self.protocol.data_to_send(),
            lambda: list(self.protocol.events()),
            lambda: self.protocol.fail(1011),
            lambda: self.protocol.receive_eof(),
            lambda: gc.collect(),
        ):
            try:
                call()
            except pywscore.WebSocketException:
                pass
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def __bool__(self) -> Any:
        return bool(self.act())

    def __index__(self) -> Any:
        return self.act()

    def __int__(self) -> Any:
        return self.act()

    def __len__(self) -> Any:
        return self.act()

    def __iter__(self) -> Any:
        self.act()
        return iter([])

    def __repr__(self) -> Any:
        self.act()
        return "hostile"

    def __eq__(self, other: object) -> Any:
        return self.act()

    __hash__ = object.__hash__


RESULTS: list[Any] = [1000, 1, KeyError("hostile")]


@both_roles
@pytest.mark.parametrize("result", RESULTS, ids=repr)
@pytest.mark.threat("LIF-3")
def test_hostile_arguments_of_sending(role: Role, result: Any) -> None:
    def calls(protocol: Any, evil: Hostile) -> Iterator[Any]:
        yield lambda: protocol.send_text("x", fin=evil)
        yield lambda: protocol.send_text("x", compress=evil)
        yield lambda: protocol.send_binary(b"x" * 50_000, fin=evil, compress=evil)
        yield lambda: protocol.send_continuation(b"x", fin=evil)
        yield lambda: protocol.send_close(evil)
        yield lambda: protocol.fail(evil, "x")
        yield lambda: protocol.send_close(1000, evil)
        yield lambda: protocol.send_text(evil)
        yield lambda: protocol.send_ping(evil)
        yield lambda: protocol.receive_data(evil)

    for number in range(10):
        protocol = opened(role, compression=DEFLATE)
        call = list(calls(protocol, Hostile(protocol, result)))[number]
        try:
            call()
        except (KeyError, TypeError, ValueError, pywscore.InvalidState):
            pass
        frames = parse(protocol.data_to_send(), role)
        assert all(sent.opcode in (0, 1, 2, 8, 9) for sent in frames)
        list(protocol.events())
        gc.collect()


@pytest.mark.parametrize("result", RESULTS, ids=repr)
@pytest.mark.threat("LIF-3")
def test_hostile_arguments_of_construction(result: Any) -> None:
    outer = opened("server")
    evil = Hostile(outer, result)
    for options in (
        {"max_size": evil},
        {"max_line": evil},
        {"max_headers": evil},
        {"any_request": evil},
        {"compression": evil},
    ):
        try:
            protocol = ServerProtocol(**options)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):
            continue
        assert protocol.next_event() is None


class HostileText(str):
    """For ASCII checks, formatting and comparison."""

    owner: Any = None

    def __repr__(self) -> str:
        if self.owner is not None:
            self.owner.clear()
        gc.collect()
        return "x" * 10

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def __hash__(self) -> int:
        return 1

    def __del__(self) -> None:
        if self.owner is not None:
            self.owner.clear()


@pytest.mark.threat("LIF-3")
def test_hostile_headers() -> None:
    """Lists that change while they are read, and what is formatted in errors."""

    def asked() -> ServerProtocol:
        protocol = ServerProtocol()
        protocol.receive_data(request("Sec-WebSocket-Protocol: chat"))
        protocol.next_event()
        return protocol

    class Pair:
        def __init__(self, owner: list[Any]) -> None:
            self.owner = owner

        def __iter__(self) -> Iterator[str]:
            self.owner.clear()
            gc.collect()
            yield HostileText("X")
            yield HostileText("y")

        def __repr__(self) -> str:
            self.owner.clear()
            raise ValueError

    for count in (1, 9):
        headers: list[Any] = []
        headers += [Pair(headers) for _ in range(count)]
        protocol = asked()
        protocol.accept(headers=headers)
        assert protocol.data_to_send().count(b"X: y\r\n") == count

        bad: list[Any] = []
        for value in ("é", "a\nb", "\ud800"):
            text = HostileText(value)
            text.owner = bad
            for name, content in ((text, "x"), ("X", text)):
                if content is text and value == "é":
                    continue  # that may be in a value
                bad[:] = [(name, content), ("Y", HostileText("z")), Pair(bad)]
                protocol = asked()
                with pytest.raises(ValueError):
                    protocol.accept(headers=bad)
                with pytest.raises(ValueError):
                    protocol.accept(headers=[(name, content)])
                assert protocol.data_to_send() == b""
        wrong = HostileText("é")
        with pytest.raises(ValueError):
            asked().accept(subprotocol=wrong)

    class Answering:
        """Headers that answer the request while they are asked for."""

        def __init__(self, protocol: ServerProtocol) -> None:
            self.protocol = protocol

        def items(self) -> Any:
            self.protocol.reject(403)
            return [("X", "y")]

    for method in ("accept", "build_response"):
        protocol = asked()
        with pytest.raises(pywscore.InvalidState):
            getattr(protocol, method)(headers=Answering(protocol))
        assert protocol.data_to_send().count(b"HTTP/1.1") == 1

    class Growing:
        """A body that changes after its length was taken."""

        def __init__(self, body: bytearray) -> None:
            self.body = body

        def items(self) -> Any:
            self.body += b"smuggled"
            return []

    protocol, body = asked(), bytearray(b"body")
    protocol.reject(403, body, headers=Growing(body))  # type: ignore[arg-type]
    head, _, sent = protocol.data_to_send().partition(b"\r\n\r\n")
    assert b"Content-Length: 4" in head and sent == b"body"


@pytest.mark.threat("LIF-3")
def test_hostile_responses() -> None:
    protocol = ServerProtocol(any_request=True)
    protocol.receive_data(request())
    protocol.next_event()

    class Answer:
        reason_phrase = "Fine"
        body = b""

        def __getattribute__(self, name: str) -> Any:
            gc.collect()
            if name == "status_code":
                return Hostile(protocol, 200)
            if name == "headers":
                protocol.reject(400)
                return []
            return object.__getattribute__(self, name)

    try:
        protocol.respond(Answer())  # type: ignore[arg-type]
    except (pywscore.InvalidState, TypeError):
        pass
    assert protocol.data_to_send().count(b"HTTP/1.1") <= 1


# ---- references ----------------------------------------------------------------------


def scenario(role: Role) -> None:
    """A bit of everything, errors too."""
    ends = pair(DEFLATE)
    one, other = ends[role], ends["client" if role == "server" else "server"]
    one.send_text("é" * 100)
    one.send_binary(b"x" * 20_000, fin=False, compress=False)
    one.send_continuation(bytearray(b"rest"))
    one.send_ping(b"ping")
    for data in one.buffers_to_send():
        other.receive_data(data)
    repr(list(other.events()))
    other.send_close(1000, "é")
    one.receive_data(other.data_to_send())
    list(one.events())
    repr((one.close_exception, one.close_received, one.close_sent, one.compression))
    for wrong in (b"\xff\xff", frame(TEXT, b"\xff", to=role)):
        protocol = opened(role)
        protocol.receive_data(wrong)
        assert protocol.next_event() is None
        repr((protocol.error, protocol.close_exception, protocol.close_reason))
    server = ServerProtocol(any_request=True)
    server.receive_data(request(without="Upgrade"))
    server.next_event()
    for call in (server.accept, server.build_response):
        with pytest.raises(pywscore.InvalidUpgrade):
            call()
    server.reject(400, "x", headers={"X": "y"})
    for text in ("a\nb", "é"):
        with pytest.raises(ValueError):
            pywscore._core.ClientProtocol(target=text, headers=[(text, text)])
    client = pywscore.ClientProtocol("ws://x/", subprotocols=["a"])
    client.receive_data(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno")
    client.next_event()
    repr((client.error, client.handshake_exception, client.request))
    protocol = opened(role)
    protocol.receive_data(frame(TEXT, b"unread", to=role))
    iter(protocol.events())
    apply_mask(b"x" * 100, bytes(4))
    pywscore._core.accept_key(KEY)


def blocks() -> int:
    """Allocated blocks, without what Python itself caches."""
    gc.collect()
    # The cache of methods keeps names of attributes alive, a few thousand at most.
    clear = getattr(sys, "_clear_internal_caches", None)
    (clear or sys._clear_type_cache)()
    gc.collect()
    return sys.getallocatedblocks()


@both_roles
@pytest.mark.threat("LIF-8")
def test_no_reference_is_left(role: Role) -> None:
    """As `-R 3:3` does it: the number of blocks doesn't grow."""
    samples = array.array("q", bytes(8 * 9))
    for number in range(9):
        scenario(role)
        samples[number] = blocks()
    growth = [b - a for a, b in itertools.pairwise(samples[3:])]
    print(growth)
    assert min(growth) <= 0 and sum(growth) < 5


@both_roles
@pytest.mark.slow  # the sanitizers keep what was freed
@pytest.mark.threat("LIF-8")
def test_no_memory_is_left(role: Role) -> None:
    code = f"""
from test_protocol_life import scenario
for _ in range(400):
    scenario({role!r})
gc.collect()
before = resident()
for _ in range(400):
    scenario({role!r})
gc.collect()
print(resident() - before)
"""
    # 400 times a leaked message would be more; the heap's own noise is less.
    assert min(int(run_fresh(code)) for _ in range(2)) <= 2 << 20


@both_roles
@pytest.mark.threat("LIF-8")
def test_protocols_are_freed_by_reference_count(role: Role) -> None:
    class Derived(ServerProtocol):
        pass

    gc.collect()
    gc.disable()
    try:
        protocol = Derived()
        protocol.receive_data(request())
        protocol.next_event()
        protocol.accept()
        reference = weakref.ref(protocol)
        del protocol
        assert reference() is None
        other = opened(role, compression=DEFLATE)
        other.receive_data(b"\xff\xff")
        assert list(other.events()) == []
        protocol_type = type(other)
        before = sys.getrefcount(protocol_type)
        del other
        after = sys.getrefcount(protocol_type)
        # Free-threaded, types are immortal.
        assert after == before - (before < 2**32 - 1)
    finally:
        gc.enable()


def test_a_cycle_is_collected() -> None:
    class Derived(ServerProtocol):
        pass

    protocol = Derived(any_request=True)
    protocol.receive_data(request(without="Upgrade"))
    protocol.next_event()
    try:
        protocol.accept()
    except pywscore.InvalidUpgrade as error:
        error.protocol = protocol  # type: ignore[attr-defined]
    reference = weakref.ref(protocol)
    del protocol
    gc.collect()
    assert reference() is None


# ---- threads -------------------------------------------------------------------------


def in_threads(work: Any, count: int = 8) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert not errors, errors


@both_roles
@pytest.mark.threat("LIF-4")
def test_threads_with_their_own_connections(role: Role) -> None:
    def work(number: int) -> None:
        ends = pair(DEFLATE)
        one, other = ends[role], ends["client" if role == "server" else "server"]
        for count in range(200):
            message = b"%d %d" % (number, count) * 20
            one.send_binary(message)
            other.receive_data(one.data_to_send())
            assert [event.data for event in other.events()] == [message]

    in_threads(work)


@both_roles
@pytest.mark.threat("LIF-4")
def test_threads_with_one_connection(role: Role) -> None:
    """Calls on one object exclude one another: frames are whole, none is lost."""
    protocol = opened(role, compression=DEFLATE)
    taken: list[bytes] = []
    received: list[Any] = []
    wire = frame(TEXT, b"x" * 300, to=role) + frame(BINARY, b"", to=role)

    def work(number: int) -> None:
        for count in range(200):
            if number % 4 == 0:
                protocol.send_text(f"{number} {count} " * 30)
            elif number % 4 == 1:
                protocol.receive_data(wire)
            elif number % 4 == 2:
                received.extend(protocol.events())
            else:
                protocol.send_ping(b"%d %d" % (number, count))
                protocol.close_exception.__str__()

    in_threads(work)
    taken.append(protocol.data_to_send())
    received.extend(protocol.events())
    frames = parse(b"".join(taken), role)
    assert len([sent for sent in frames if sent.opcode == 9]) == 400
    inflater = Inflater()
    texts = {inflater.decompress(f.payload) for f in frames if f.opcode == TEXT}
    assert len(texts) == 400
    assert len(received) == 800 and protocol.error is None


# ---- failing allocations -------------------------------------------------------------

NO_MEMORY = """
import _testcapi, pytest
import pywscore
from test_protocol_life import step_by_step

# Some lines that Python itself needs before memory runs out.
failures = 0
for once in (True, False):
    for role in ("server", "client"):
        for name in step_by_step:
            prepare, act = step_by_step[name]
            start, quiet = 1, 0
            while quiet < 3 and start < 2000:
                subject = prepare(role)
                failed = False
                if once:
                    _testcapi.set_nomemory(start, start + 1)
                else:
                    _testcapi.set_nomemory(start)
                try:
                    act(subject)
                except MemoryError:
                    failed = True
                except pywscore.WebSocketException as error:
                    failed = True
                finally:
                    _testcapi.remove_mem_hooks()
                if failed:
                    failures += 1
                    quiet = 0
                else:
                    quiet += 1
                # Whatever happened, the object can be used, or is closed.
                for protocol in subject if isinstance(subject, list) else [subject]:
                    if isinstance(protocol, (pywscore.ServerProtocol,
                                             pywscore._core.ClientProtocol)):
                        protocol.data_to_send()
                        list(protocol.events())
                        protocol.close_exception
                        protocol.receive_eof()
                del subject
                start += 1
            assert start < 2000, name
print(failures)
"""


def _act_receive(protocol: Any) -> None:
    role: Role = "server" if protocol.is_server else "client"
    data = frame(TEXT, "é".encode() * 3000, to=role, fin=False)
    data += frame(9, b"ping", to=role) + frame(0, b"more", to=role)
    data += frame(TEXT, bytes.fromhex("f248cdc9c90700"), to=role, rsv=4)
    protocol.receive_data(data[:100])
    assert protocol.next_event() is None or True
    protocol.receive_data(bytearray(data[100:]))
    while protocol.next_event() is not None:
        pass


def _act_send(protocol: Any) -> None:
    protocol.send_text("é" * 3000)
    protocol.send_binary(b"x" * 50_000, compress=False)
    protocol.send_binary(bytearray(5000), fin=False, compress=False)
    protocol.send_continuation("é")
    protocol.send_ping(b"p")
    protocol.buffers_to_send()
    protocol.send_close(1000, "é")
    protocol.data_to_send()


def _act_fail(protocol: Any) -> None:
    protocol.receive_data(b"\xff\xff")
    protocol.next_event()
    repr((protocol.error, protocol.close_exception, protocol.close_sent))


def _act_close(protocol: Any) -> None:
    role: Role = "server" if protocol.is_server else "client"
    protocol.receive_data(frame(8, close_body(1000, "é"), to=role))
    protocol.next_event()
    repr((protocol.close_received, protocol.close_reason, protocol.close_exception))
    protocol.compression  # noqa: B018


def _act_handshake(role: Any) -> None:
    settings = PerMessageDeflate(threshold=0)
    server = ServerProtocol(compression=settings)
    client = pywscore._core.ClientProtocol(
        target="/x",
        headers=[("Host", "x")],
        subprotocols=["a", "b"],
        compression=settings,
    )
    server.receive_data(client.data_to_send())
    server.next_event()
    server.build_response()
    if server.state is State.CONNECTING:
        server.accept(subprotocol="b", headers={"X": "y"})
    client.receive_data(server.data_to_send())
    client.next_event()


def _act_refuse(role: Any) -> None:
    server = ServerProtocol()
    server.receive_data(request(without="Upgrade"))
    server.next_event()
    repr((server.error, server.handshake_exception))
    server.data_to_send()
    server = ServerProtocol()
    server.receive_data(request())
    server.next_event()
    server.reject(403, "é", headers=[("X", "y")])
    client = pywscore._core.ClientProtocol(target="/", headers=[])
    client.receive_data(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno")
    client.next_event()
    repr((client.error, client.handshake_exception))


def _act_mask(role: Any) -> None:
    apply_mask(b"abc" * 5000, bytes(4))


def _open(role: Role) -> Any:
    return opened(role, compression=DEFLATE)


step_by_step: dict[str, tuple[Any, Any]] = {
    "receive": (_open, _act_receive),
    "send": (_open, _act_send),
    "fail": (_open, _act_fail),
    "close": (_open, _act_close),
    "handshake": (lambda role: role, _act_handshake),
    "refuse": (lambda role: role, _act_refuse),
    "mask": (lambda role: role, _act_mask),
}


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="needs _testcapi"
)
@pytest.mark.slow  # the allocator of the sanitizers is not the one that fails
def test_failing_allocations() -> None:
    """Each allocation fails, alone and with all that follow."""
    failures = int(run_fresh(NO_MEMORY))
    print(failures)
    assert failures > 300


# ---- interpreters --------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 12), reason="since Python 3.12: PEP 684")
@pytest.mark.threat("LIF-6")
def test_interpreters_of_their_own() -> None:
    code = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

start = '''
import sys
sys.path[:0] = {path!r}
'''.format(path=sys.path)
ours = start + '''
from wire import *
ends = pair(DEFLATE)
ends["client"].send_text("x" * 1000)
ends["server"].receive_data(ends["client"].data_to_send())
assert next(ends["server"].events()).data == "x" * 1000
'''
# CPython keeps some of what the modules of its library took.
library = [name for name in sys.modules if name in sys.stdlib_module_names]
others = start + '''
import importlib
for name in {library!r}:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
'''.format(library=library)

def growth(inner):
    for number in range(20):
        interpreter = interpreters.create()
        error = interpreters.run_string(interpreter, inner)
        assert error is None, error
        interpreters.destroy(interpreter)
        if number == 9:
            before = resident()
    return resident() - before

print(growth(ours) - growth(others))
"""
    assert int(run_fresh(code)) < 10 * (3 << 20)


def test_feeding_is_linear_when_events_wait() -> None:
    protocol = opened("server")
    data = frame(TEXT, b"x", to="server")
    for _ in range(50_000):
        protocol.receive_data(data)
    assert len(list(protocol.events())) == 50_000
    outcome = feed(protocol, [data] * 3)
    assert len(outcome.events) == 3
