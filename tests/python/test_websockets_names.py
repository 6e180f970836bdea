"""Every public name, argument and attribute of ``websockets`` is here, or on a list."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import websockets
import websockets.asyncio.client as their_client
import websockets.asyncio.server as their_server
import websockets.headers
import websockets.typing

import pywscore
import pywscore.asyncio.client as client
import pywscore.asyncio.server as server
import pywscore.headers
import pywscore.typing

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# What has no counterpart, and why: docs/coming-from-websockets.md says it to users.
MACHINERY = "how theirs is made"
SANS_IO = "the sans-IO objects have another interface"
EXTENSIONS = "extensions can't be written in Python"
OTHER_WORLD = "for threads or Trio"
OLD = "the old implementation"

ABSENT_MODULES = {
    "__main__": "`python -m pywscore connect` is ours",
    "cli": "`python -m pywscore connect` is ours",
    "imports": MACHINERY,
    "speedups": MACHINERY,
    "streams": MACHINERY,
    "asyncio.messages": MACHINERY,
    "extensions.base": EXTENSIONS,
    "sync": OTHER_WORLD,
    "trio": OTHER_WORLD,
    "auth": OLD,
    "legacy.auth": OLD,
    "legacy.framing": OLD,
    "legacy.handshake": OLD,
    "legacy.http": OLD,
    "version": "pywscore.__version__ is ours; install() makes one",
}
ABSENT = {
    "": {
        "Frame": SANS_IO,
        "BasicAuthWebSocketServerProtocol": OLD,
        "basic_auth_protocol_factory": OLD,
    },
    "frames": {"Frame": SANS_IO, "is_utf8_fragment": MACHINERY},
    "connection": {"SEND_EOF": SANS_IO},
    "protocol": {"SEND_EOF": SANS_IO, "OK_CLOSE_CODES": "in frames"},
    "legacy.protocol": {"MAX_FRAGMENTS": MACHINERY, "OK_CLOSE_CODES": "in frames"},
    "extensions": dict.fromkeys(
        ["Extension", "ClientExtensionFactory", "ServerExtensionFactory"], EXTENSIONS
    ),
    "extensions.permessage_deflate": {"CTRL_OPCODES": "in frames"},
    "datastructures": {"SupportsKeysAndGetItem": MACHINERY},
    "asyncio.client": dict.fromkeys(
        [
            *("HTTPProxyConnection", "connect_http_proxy", "connect_socks_proxy"),
            *("SOCKS_PROXY_RDNS", "SOCKS_PROXY_TYPES"),
        ],
        MACHINERY,
    ),
    "asyncio.connection": {"DATA_OPCODES": "in frames"},
    "asyncio.server": {"is_credentials": MACHINERY},
    "client": dict.fromkeys(
        (
            *("BACKOFF_FACTOR", "BACKOFF_INITIAL_DELAY", "BACKOFF_MAX_DELAY"),
            "BACKOFF_MIN_DELAY",
        ),
        "environment variables: reconnect_delays= says it",
    ),
    "headers": dict.fromkeys(
        [
            *("build_extension_item", "build_extension_list"),
            *("build_quoted_string", "build_subprotocol_list", "parse_OWS"),
            *("parse_connection_option", "parse_end", "parse_extension_item"),
            *("parse_extension_item_param", "parse_extension_list", "parse_list"),
            *("parse_quoted_string", "parse_subprotocol_item", "peek_ahead"),
            *("parse_subprotocol_list", "parse_token", "parse_token68"),
            "parse_upgrade_protocol",
        ],
        MACHINERY,
    ),
    "http11": dict.fromkeys(
        [
            *("PYTHON_VERSION", "d", "parse_headers", "parse_line", "read_body"),
            "websockets_version",
        ],
        MACHINERY,
    ),
    "legacy.client": {"Connect": "connect", "USER_AGENT": "in http11"},
    "legacy.server": {
        "SERVER": "in http11",
        "Serve": "serve",
        "remove_path_argument": MACHINERY,
    },
    "proxy": {"USER_AGENT": "in http11", "prepare_connect_request": MACHINERY},
    "typing": dict.fromkeys(["ConnectionOption", "UpgradeProtocol"], "plain str"),
    "uri": {"DELIMS": MACHINERY},
}
# Of classes with the same name: what isn't machinery of theirs is here.
ABSENT_ATTRIBUTES = {
    "Close": {"check", "parse", "serialize"},
    "Request": {"exception", "parse"},
    "Response": {"exception", "parse"},
    "Headers": {"set_insecure"},
    "PayloadTooBig": {"set_current_size"},
    "PerMessageDeflate": {"decode", "encode"},
}
# Made by serve() and connect(), or by a factory that passes its arguments on.
OTHER_CONSTRUCTORS = {"Server", "ServerConnection", "ClientConnection"}
# What is ours has another value.
OTHER_DEFAULTS = {
    "process_exception",
    "reconnect_delays",
    "server_header",
    "user_agent_header",
    "write_limit",
}


def their_modules(package: str = "") -> Iterator[str]:
    """Names without ``websockets.``, packages included."""
    yield package
    module = importlib.import_module(f"websockets.{package}".rstrip("."))
    for found in pkgutil.iter_modules(module.__path__):
        name = f"{package}.{found.name}".lstrip(".")
        if name not in ABSENT_MODULES:
            yield from their_modules(name) if found.ispkg else [name]


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    THEIR_MODULES = list(their_modules())


def their_names(module: types.ModuleType) -> set[str]:
    """``__all__``, the old names, and whatever else is made there."""
    names = {*getattr(module, "__all__", ()), *OLD_NAMES.get(module.__name__, ())}
    for name, value in vars(module).items():
        home = getattr(value, "__module__", module.__name__)
        if not isinstance(value, types.ModuleType) and home == module.__name__:
            names.add(name)
    names -= {"TYPE_CHECKING", "annotations", "lazy_import"}
    return {name for name in names if not name.startswith("_")}


# They come by __getattr__, which has no list.
OLD_NAMES = {
    "websockets": [
        *("BasicAuthWebSocketServerProtocol", "basic_auth_protocol_factory"),
        *("AbortHandshake", "InvalidStatusCode", "RedirectHandshake"),
        *("WebSocketClientProtocol", "WebSocketCommonProtocol", "WebSocketServer"),
        *("WebSocketProtocolError", "WebSocketServerProtocol"),
    ],
    "websockets.exceptions": [
        *("AbortHandshake", "InvalidStatusCode", "RedirectHandshake"),
        "WebSocketProtocolError",
    ],
    "websockets.client": ["WebSocketClientProtocol", "connect", "unix_connect"],
    "websockets.server": [
        *("WebSocketServer", "WebSocketServerProtocol", "broadcast", "serve"),
        "unix_serve",
    ],
    "websockets.legacy.exceptions": ["WebSocketProtocolError"],
    "websockets.legacy.protocol": ["broadcast"],
}


@pytest.mark.parametrize("name", THEIR_MODULES)
def test_names_of_modules(name: str) -> None:
    theirs = importlib.import_module(f"websockets.{name}".rstrip("."))
    ours = importlib.import_module(f"pywscore.{name}".rstrip("."))
    missing = {each for each in their_names(theirs) if not hasattr(ours, each)}
    assert missing == ABSENT.get(name, {}).keys()


def test_old_names_are_theirs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for module, names in OLD_NAMES.items():
            for name in names:
                assert getattr(importlib.import_module(module), name) is not None
    text = inspect.getsource(websockets)
    found = text[text.index("deprecated_aliases=") :].split('": "')
    assert len(found) - 1 == len(OLD_NAMES["websockets"])


@pytest.mark.parametrize(
    "name", [name for name in websockets.__all__ if hasattr(pywscore, name)]
)
def test_attributes(name: str) -> None:
    theirs, ours = getattr(websockets, name), getattr(pywscore, name)
    if not inspect.isclass(theirs) or not inspect.isclass(ours):
        return
    there = {each for each in dir(theirs) if not each.startswith("_")}
    missing = {each for each in there if not hasattr(ours, each)}
    overrides = importlib.import_module("pywscore._overrides")
    for each in theirs.__mro__:
        missing -= overrides.ABSENT.get(each.__name__, set())
    if issubclass(ours, pywscore.Connection):
        missing -= {"close_exc"}
    assert missing == ABSENT_ATTRIBUTES.get(name, set())


def test_constants() -> None:
    for module in ("frames", "protocol", "connection", "http11", "utils"):
        theirs = importlib.import_module(f"websockets.{module}")
        ours = importlib.import_module(f"pywscore.{module}")
        for name in their_names(theirs) & vars(ours).keys():
            value = getattr(theirs, name)
            simple = (str, int, tuple, set, dict)
            if isinstance(value, simple) and name not in OTHER_CONSTANTS:
                assert getattr(ours, name) == value, name
    for name in ("Opcode", "CloseCode", "State", "Side"):
        here, there = getattr(pywscore, name), getattr(websockets, name)
        assert {each.name: each.value for each in there} == {
            each.name: each.value for each in here
        }


OTHER_CONSTANTS = {"SERVER", "USER_AGENT", "MAX_BODY_SIZE"}


def test_types() -> None:
    for name in set(pywscore.typing.__all__) & set(dir(websockets.typing)):
        theirs, ours = getattr(websockets.typing, name), getattr(pywscore.typing, name)
        assert ours == theirs or ours.__supertype__ is theirs.__supertype__ is str


def compare(theirs: Any, ours: Any) -> None:
    there = inspect.signature(theirs).parameters
    here = inspect.signature(ours).parameters
    for name, parameter in there.items():
        assert name in here
        # One that may be given by position too is fine.
        if parameter.kind is not parameter.KEYWORD_ONLY and name != "self":
            assert here[name].kind is parameter.kind
        if name not in OTHER_DEFAULTS:
            assert here[name].default == parameter.default, name
    added = [parameter for name, parameter in here.items() if name not in there]
    for parameter in added:
        assert parameter.default is not parameter.empty
    positional = [
        name
        for name, parameter in there.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    assert list(here)[: len(positional)] == positional


@pytest.mark.parametrize(
    "name", sorted({*their_client.__all__, *their_server.__all__, "process_exception"})
)
def test_arguments(name: str) -> None:
    theirs: Any = getattr(their_client, name, getattr(their_server, name, None))
    ours: Any = getattr(client, name, getattr(server, name, None))
    if name not in OTHER_CONSTRUCTORS:
        compare(theirs, ours)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "headers." + name
            for name in importlib.import_module("websockets.headers").__all__
        ),
        *("proxy.get_proxy", "proxy.parse_proxy", "proxy.Proxy"),
        *("utils.accept_key", "utils.apply_mask", "utils.get_socket_name"),
        *("exceptions." + name for name in OLD_NAMES["websockets.exceptions"]),
        *("datastructures.Headers", "http11.Request", "http11.Response"),
        *("extensions.permessage_deflate.ServerPerMessageDeflateFactory",),
        *("extensions.permessage_deflate.ClientPerMessageDeflateFactory",),
        *("extensions.permessage_deflate.enable_server_permessage_deflate",),
        *("extensions.permessage_deflate.enable_client_permessage_deflate",),
    ],
)
def test_arguments_of_others(name: str) -> None:
    module, _, name = name.rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        theirs = getattr(importlib.import_module(f"websockets.{module}"), name)
    ours = getattr(importlib.import_module(f"pywscore.{module}"), name)
    try:
        there = list(inspect.signature(theirs).parameters.values())
        here = list(inspect.signature(ours).parameters.values())
    except ValueError:
        return  # in C, here or there
    public = [each for each in there if not each.name.startswith("_")]
    for mine, each in zip(here, public, strict=False):
        if each.kind is each.KEYWORD_ONLY:
            assert (mine.name, mine.kind) == (each.name, each.kind)
        assert (mine.default is mine.empty) <= (each.default is each.empty)
    assert len(here) >= len(public)


# Of their documentation: the other attributes are their machinery.
METHODS = {
    "ServerConnection": ["respond"],
    "Server": [
        *("close", "wait_closed", "get_loop", "is_serving", "start_serving"),
        *("serve_forever", "connections", "sockets"),
    ],
    "Connection": [
        *("__aiter__", "__aenter__", "__aexit__", "recv", "recv_streaming", "send"),
        *("close", "wait_closed", "ping", "pong", "id", "logger", "local_address"),
        *("remote_address", "latency", "state", "request", "response"),
        *("subprotocol", "close_code", "close_reason"),
    ],
}


@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for name in METHODS for method in METHODS[name]]
)
def test_methods(name: str, method: str) -> None:
    if name == "Connection":
        theirs: Any = websockets.asyncio.connection.Connection
    else:
        theirs = getattr(their_server, name)
    ours = getattr(pywscore, name)
    assert hasattr(ours, method)
    if callable(getattr(theirs, method, None)):
        compare(getattr(theirs, method), getattr(ours, method))


@pytest.mark.parametrize("subprotocols", ["sip", {"sip": None}, {"sip"}])
def test_subprotocols_are_a_sequence(subprotocols: Any) -> None:
    for headers in (websockets.headers, pywscore.headers):
        with pytest.raises(TypeError, match="subprotocols must be a list"):
            headers.validate_subprotocols(subprotocols)
