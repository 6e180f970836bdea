"""A plugin of pytest: what is imported from aiohttp is pywscore's."""

import pywscore

pywscore.install("aiohttp")
