"""A plugin of pytest: what is imported from aiohttp and websockets is pywscore's."""

import pywscore

pywscore.install()
