"""A plugin of pytest: websockets' asyncio client is pywscore's.

Its servers stay, and raise pywscore's exceptions: a program catches those of its client
and theirs by one name. Tests of its synchronous client, which stays, are left out.
"""

import importlib
import sys

import pywscore.asyncio.client
import pywscore.exceptions
import pywscore.extensions.permessage_deflate

sys.modules["websockets.exceptions"] = pywscore.exceptions

# These have imported what stays before it is replaced.
for name in ("asyncio.server", "sync.client", "sync.server"):
    importlib.import_module(f"websockets.{name}")

for package, name in [
    ("websockets", "exceptions"),
    ("websockets.asyncio", "client"),
    ("websockets.extensions", "permessage_deflate"),
]:
    module = f"{package}.{name}"
    ours = sys.modules[module.replace("websockets", "pywscore")]
    sys.modules[module] = ours
    setattr(sys.modules[package], name, ours)


def pytest_collection_modifyitems(config, items):
    synchronous = [
        item
        for item in items
        if hasattr(item, "callspec") and "sync" in item.callspec.params.values()
    ]
    config.hook.pytest_deselected(items=synchronous)
    items[:] = [item for item in items if item not in synchronous]
