"""A plugin of pytest: uvicorn's websockets-sansio is pywscore's class."""

from uvicorn.protocols.websockets import websockets_sansio_impl

from pywscore.integrations.uvicorn import WebSocketProtocol

websockets_sansio_impl.WebSocketsSansIOProtocol = WebSocketProtocol
