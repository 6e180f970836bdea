"""``install()``: for programs whose imports can't be changed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["STANDS_FOR", "install", "uninstall"]

STANDS_FOR = "17.4"
"""The version of ``websockets`` whose names and semantics are here."""

# Modules of the same name here and there. Their packages are made by hand: a real one
# would let a module of ours be imported a second time, under the other name.
_PACKAGES = ("websockets", "websockets.asyncio", "websockets.extensions")
_MODULES = (
    "asyncio.client",
    "asyncio.connection",
    "asyncio.router",
    "asyncio.server",
    "client",
    "connection",
    "datastructures",
    "exceptions",
    "extensions.permessage_deflate",
    "frames",
    "headers",
    "http11",
    "legacy",
    "legacy.client",
    "legacy.exceptions",
    "legacy.protocol",
    "legacy.server",
    "protocol",
    "proxy",
    "server",
    "typing",
    "uri",
    "utils",
)

# What uvicorn has that needs the sans-IO objects of ``websockets``, or its old ones.
_UVICORN = {
    "auto": "AutoWebSocketsProtocol",
    "websockets_impl": "WebSocketProtocol",
    "websockets_sansio_impl": "WebSocketsSansIOProtocol",
}

_installed: dict[str, ModuleType] = {}


def install(*packages: str) -> None:
    """Be another package, for programs whose imports can't be changed::

        import pywscore
        pywscore.install()
        import program  # does: from websockets.asyncio.server import serve

    After it ``import websockets`` gives pywscore under that name, also where
    ``websockets`` isn't installed; modules without a counterpart (``websockets.sync``)
    aren't found, and uvicorn has ``pywscore.integrations.uvicorn.WebSocketProtocol``
    where it would use them; the loggers are ``websockets.server`` and
    ``websockets.client``. In aiohttp, ``web.WebSocketResponse`` and
    ``ClientSession.ws_connect`` are those of ``pywscore.integrations.aiohttp``.

    This changes what other code of the process imports: it is for the program's first
    lines, not for libraries. ``uninstall()`` undoes it, for what is imported later.

    Args:
        packages: ``"websockets"``, ``"aiohttp"``; by default both, aiohttp if it is
            installed.

    Raises:
        RuntimeError: if the package was imported, by others who keep what they have.
        ValueError: for another package.
    """
    for package in packages:
        if package not in ("websockets", "aiohttp"):
            raise ValueError(f"not a package that can be replaced: {package!r}")
    if "websockets" in packages or not packages:
        _install_websockets()
    if "aiohttp" in packages or (
        not packages and importlib.util.find_spec("aiohttp") is not None
    ):
        _aiohttp().install()


def uninstall() -> None:
    """Undo ``install()``: later imports get the packages themselves.

    Who has imported something meanwhile keeps it.
    """
    for name, module in _installed.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    if _installed:
        _log().package = "pywscore"
    _installed.clear()
    if "pywscore.integrations.aiohttp._install" in sys.modules:
        _aiohttp().uninstall()


def _log() -> Any:
    return importlib.import_module("pywscore.asyncio._log")


def _aiohttp() -> Any:
    return importlib.import_module("pywscore.integrations.aiohttp._install")


def _install_websockets() -> None:
    if _installed:
        return
    if "websockets" in sys.modules:
        raise RuntimeError(
            "websockets is imported already, and who did that would go on with it: "
            "call pywscore.install() before, in the program's first lines"
        )
    modules: dict[str, Any] = {name: _package(name) for name in _PACKAGES}
    for name in _MODULES:
        modules[f"websockets.{name}"] = importlib.import_module(f"pywscore.{name}")
    modules["websockets.version"] = version = _module("websockets.version")
    version.version = version.tag = version.commit = STANDS_FOR
    for name, attribute in _UVICORN.items():
        name = f"uvicorn.protocols.websockets.{name}"
        modules[name] = _uvicorn_module(name, attribute)
    for name, module in modules.items():
        package, _, attribute = name.rpartition(".")
        if package in _PACKAGES:
            setattr(modules[package], attribute, module)
    sys.modules.update(modules)
    _installed.update(modules)
    _log().package = "websockets"


def _module(name: str) -> Any:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)  # find_spec() wants one
    return module


def _uvicorn_module(name: str, attribute: str) -> Any:
    def lookup(asked: str) -> Any:
        if asked != attribute:
            raise AttributeError(f"module {name!r} has no attribute {asked!r}")
        ours = importlib.import_module("pywscore.integrations.uvicorn")
        return ours.WebSocketProtocol

    module = _module(name)
    module.__getattr__ = lookup
    return module


def _package(name: str) -> Any:
    """A package without a folder, whose names are those of ours."""
    ours = importlib.import_module(name.replace("websockets", "pywscore"))
    package = _module(name)
    package.__path__ = []
    package.__all__ = [each for each in ours.__all__ if each != "__version__"]
    package.__getattr__ = lambda attribute: getattr(ours, attribute)
    package.__dir__ = lambda: dir(ours)
    package.__version__ = STANDS_FOR
    return package
