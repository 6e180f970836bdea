"""Handlers chosen by the path of the request, with URL maps of werkzeug."""

from __future__ import annotations

import http
import inspect
import ssl as ssl_module
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Unpack

from .._tls import TLSContext
from ..http import Request, Response
from ..typing import PathLike
from ._signatures import RouteArguments
from .server import Server, ServerConnection, serve_any

if TYPE_CHECKING:
    from werkzeug.routing import Map

__all__ = ["Router", "route", "unix_route"]

_HINT = "route() needs werkzeug: pip install 'pywscore[router]'"


def route(
    url_map: Map,
    *args: Any,
    server_name: str | None = None,
    ssl: ssl_module.SSLContext | TLSContext | Literal[True] | None = None,
    create_router: Callable[..., Router] | None = None,
    **kwargs: Unpack[RouteArguments],
) -> Server:
    """Serve with a handler for each kind of path::

        url_map = Map([Rule("/rooms/<int:number>", endpoint=room)])

        async def room(ws, number): ...

        async with route(url_map, "127.0.0.1", 8765) as server:
            await server.serve_forever()

    Paths without a rule get 404; redirects of the map get 302.

    Args:
        url_map: a ``werkzeug.routing.Map`` whose endpoints are handlers. They get what
            the rule takes from the path as keyword arguments.
        args: host and port, as for ``serve()``.
        server_name: this server's name in redirects, with the port if it needs one; the
            request's Host by default.
        ssl: as for ``serve()``. True for ``wss`` in redirects without TLS here: a
            reverse proxy does that.
        create_router: called as ``Router(url_map, server_name, url_scheme)``.
        kwargs: as for ``serve()``. A ``process_request`` is asked before the map.

    Returns:
        As ``serve()``.

    Raises:
        ImportError: if werkzeug isn't installed.
    """
    arguments: dict[str, Any] = {**kwargs}
    if ssl is not None and ssl is not True:
        arguments["ssl"] = ssl
    scheme = "ws" if ssl is None else "wss"
    router = (create_router or Router)(url_map, server_name, scheme)
    ask_first = arguments.pop("process_request", None)

    async def process_request(
        connection: ServerConnection, request: Request
    ) -> Response | None:
        if ask_first is not None:
            response = ask_first(connection, request)
            if inspect.isawaitable(response):
                response = await response
            if response is not None:
                return response  # type: ignore[no-any-return]
        return router.route_request(connection, request)

    return serve_any(
        router.handler, *args, process_request=process_request, **arguments
    )


def unix_route(
    url_map: Map, path: PathLike | None = None, **kwargs: Unpack[UnixRouteArguments]
) -> Server:
    """As ``route()``, on a Unix socket.

    Args:
        url_map: handlers.
        path: where the socket is made; None with ``sock=``.
        kwargs: as for ``route()``, without host and port.

    Returns:
        As ``serve()``.

    Raises:
        ImportError: if werkzeug isn't installed.
    """
    arguments: dict[str, Any] = {"unix": True, "path": path, **kwargs}
    return route(url_map, **arguments)


class UnixRouteArguments(RouteArguments, total=False):
    """``route()`` without host and port."""

    server_name: str | None
    ssl: ssl_module.SSLContext | TLSContext | Literal[True] | None
    create_router: Callable[..., Router] | None


class Router:
    """What ``route()`` asks for a handler; methods may be overridden.

    Args:
        url_map: handlers. Its rules are made rules for WebSocket.
        server_name: as for ``route()``.
        url_scheme: ws or wss.

    Raises:
        ImportError: if werkzeug isn't installed.
    """

    def __init__(
        self, url_map: Map, server_name: str | None = None, url_scheme: str = "ws"
    ) -> None:
        try:
            from werkzeug.exceptions import HTTPException
            from werkzeug.routing import RequestRedirect
        except ImportError as exc:
            raise ImportError(_HINT) from exc
        self.url_map = url_map
        self.server_name = server_name
        self.url_scheme = url_scheme
        self._redirect: type[Exception] = RequestRedirect
        self._no_match: type[Exception] = HTTPException
        for rule in url_map.iter_rules():
            rule.websocket = True

    def get_server_name(self, connection: ServerConnection, request: Request) -> str:
        """This server's name in redirects.

        Args:
            connection: the ServerConnection.
            request: its request, whose Host it is unless ``server_name`` was given.
        """
        if self.server_name is not None:
            return self.server_name
        # No Host, or two: the request is refused, but not here.
        return next(iter(request.headers.get_all("Host")), "")

    def redirect(self, connection: ServerConnection, url: str) -> Response:
        """The response for a redirect of the map.

        Args:
            connection: the ServerConnection.
            url: where to.
        """
        response = connection.respond(http.HTTPStatus.FOUND, f"Found at {url}\n")
        response.headers["Location"] = url
        return response

    def not_found(self, connection: ServerConnection) -> Response:
        """The response for a path without a rule.

        Args:
            connection: the ServerConnection.
        """
        return connection.respond(http.HTTPStatus.NOT_FOUND, "Not Found\n")

    def route_request(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        """Find the handler, and set ``handler`` and ``handler_kwargs`` of the
        connection.

        Args:
            connection: the ServerConnection.
            request: its request.

        Returns:
            None, or the response for there being no handler.
        """
        path, _, query = request.path.partition("?")
        name = self.get_server_name(connection, request)
        try:
            adapter = self.url_map.bind(name, url_scheme=self.url_scheme)
            handler, arguments = adapter.match(path, query_args=query)
        except self._redirect as exc:
            return self.redirect(connection, exc.new_url)  # type: ignore[attr-defined]
        except self._no_match:  # a Host that is none included
            return self.not_found(connection)
        connection.handler = handler
        connection.handler_kwargs = arguments
        return None

    async def handler(self, connection: ServerConnection) -> Any:
        """Run the handler that was found.

        Args:
            connection: the ServerConnection.

        Returns:
            What it returns.
        """
        return await connection.handler(connection, **connection.handler_kwargs)
