"""websockets' asyncio client."""

from __future__ import annotations

from functools import partial

import websockets

from . import take

run = partial(take, websockets)
