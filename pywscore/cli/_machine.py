"""Where something was measured, and of which versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import pywscore


def version(distribution: str) -> str | None:
    """Of an installed package; None when it isn't there."""
    if distribution == "pywscore":
        return pywscore.__version__
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> str:
    return (
        f"{os.cpu_count()} shared cores, {platform.system()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )
