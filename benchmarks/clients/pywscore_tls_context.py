"""The same with a TLSContext."""

from __future__ import annotations

import pywscore

from . import take


async def run(uri: str, *, tls: bool, compression: bool, turns: bool) -> None:
    context = pywscore.TLSContext.client(verify=False)
    await take(pywscore, uri, tls=context, compression=compression, turns=turns)
