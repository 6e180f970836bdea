"""What numbers arguments can be, whatever counts or floats they come as: one that
arithmetic or C can't take is refused where it is given, not where it is used."""

from __future__ import annotations

import math
import operator
from typing import Any

__all__ = [
    "finite",
    "number",
    "positive_number",
    "real",
    "seconds_or_none",
    "whole",
    "whole_number",
]

# More of anything than there is. With four times as many C still counts.
_MOST = 1 << 60
# What C's int holds.
_INT_MAX = (1 << 31) - 1


def number(name: str, value: Any, what: str) -> Any:
    """Raises:
    TypeError: for what isn't a number: a text of digits, and True, are none.
    ValueError: for NaN, and less than 0.
    """
    if type(value) in (int, float) and value >= 0:
        return value  # most are: aiohttp's objects are made for each connection
    if isinstance(value, (bool, str, bytes)) or not (
        hasattr(value, "__float__") or hasattr(value, "__index__")
    ):
        raise TypeError(f"{name} must be {what}, not {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, as {value!r} is")
    return value


def real(name: str, value: Any, what: str = "a number") -> float:
    """A float that isn't negative; infinity is one.

    Raises:
        TypeError, ValueError: as of ``number()``, and for more than a float holds.
    """
    try:
        return float(number(name, value, what))
    except OverflowError:
        raise ValueError(f"{name} is more than a float can be") from None


def finite(name: str, value: Any, what: str = "a number") -> float:
    found = real(name, value, what)
    if math.isinf(found):
        raise ValueError(f"{name} must be finite, not {value!r}")
    return found


def positive_number(name: str, value: Any, what: str = "a number") -> float:
    """As ``real()``, but not 0."""
    found = real(name, value, what)
    if not found:
        raise ValueError(f"{name} must be positive, not {value!r}")
    return found


def seconds_or_none(name: str, value: Any) -> float | None:
    seconds = real(name, value, "a number of seconds or None")
    return None if math.isinf(seconds) else seconds


def whole(name: str, value: Any, what: str) -> int:
    """A number of things; 1e6 is one. More than there can be of anything means no
    limit, as infinity does."""
    value = number(name, value, what)
    if isinstance(value, float) or not hasattr(value, "__index__"):
        return int(min(value, _MOST))
    return min(operator.index(value), _MOST)


def whole_number(
    name: str, value: Any, least: int = -_INT_MAX - 1, most: int = _INT_MAX
) -> int:
    """Raises:
    TypeError: for what isn't a whole number: a float isn't, and True.
    ValueError: if it isn't from ``least`` to ``most``.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    found = operator.index(value)
    if not least <= found <= most:
        raise ValueError(f"{name} must be from {least} to {most}")
    return found
