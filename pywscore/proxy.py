"""Addresses of proxies, with the names they have in ``websockets.proxy``."""

from .asyncio._proxy import Proxy, get_proxy, parse_proxy

__all__ = ["Proxy", "get_proxy", "parse_proxy"]
