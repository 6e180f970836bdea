"""``async for message in ws``, with an ``ssl.SSLContext`` for TLS."""

from __future__ import annotations

from functools import partial

import pywscore

from . import take

run = partial(take, pywscore)
