"""picows' async API, which is that of websockets."""

from __future__ import annotations

from functools import partial

import picows.websockets

from . import take

run = partial(take, picows.websockets)
