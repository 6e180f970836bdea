"""Header lines, with the names they have in ``websockets.datastructures``."""

from .http import Headers, HeadersLike, MultipleValuesError

__all__ = ["Headers", "HeadersLike", "MultipleValuesError"]
