"""HTTP Basic authentication for servers (RFC 7617)."""

from __future__ import annotations

import http
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..http import (
    Request,
    Response,
    basic_challenge,
    parse_basic_credentials,
    plain_response,
)
from ._serving import ServerConnection

__all__ = ["basic_auth"]

Credentials = tuple[str, str] | Iterable[tuple[str, str]]
CheckCredentials = Callable[[str, str], Awaitable[bool] | bool]


def basic_auth(
    realm: str = "",
    credentials: Credentials | None = None,
    check_credentials: CheckCredentials | None = None,
) -> Callable[[ServerConnection, Request], Awaitable[Response | None]]:
    """Make a ``process_request`` that asks for a username and a password::

        serve(handler, ..., process_request=basic_auth("demo", ("user", "secret")))

    The handler finds the name in ``ws.username``. Others get 401.

    Args:
        realm: what the credentials are for, in ASCII.
        credentials: one ``(username, password)`` or several.
        check_credentials: function or coroutine function that gets username and
            password and returns whether they are right.

    Returns:
        The hook, for ``process_request=``.

    Raises:
        TypeError: if an argument is of a wrong type.
        ValueError: if not exactly one of credentials and check_credentials is given.
    """
    if (credentials is None) == (check_credentials is None):
        raise ValueError("provide either credentials or check_credentials")
    check: CheckCredentials
    if credentials is not None:
        check = _checker(_pairs(credentials))
    else:
        assert check_credentials is not None
        check = check_credentials
    challenge = basic_challenge(realm)

    def refuse(text: str) -> Response:
        response = plain_response(http.HTTPStatus.UNAUTHORIZED, text)
        response.headers["WWW-Authenticate"] = challenge
        return response

    async def process_request(
        connection: ServerConnection, request: Request
    ) -> Response | None:
        lines = request.headers.get_all("Authorization")
        if not lines:
            return refuse("Missing credentials\n")
        try:
            (line,) = lines
            username, password = parse_basic_credentials(line)
        except ValueError:
            return refuse("Unsupported credentials\n")
        valid = check(username, password)
        if not isinstance(valid, bool):
            valid = await valid
        if not valid:
            return refuse("Invalid credentials\n")
        connection.username = username
        return None

    return process_request


def _pairs(credentials: Any) -> dict[str, str]:
    if _is_pair(credentials):
        credentials = [credentials]
    try:
        pairs = list(credentials)
    except TypeError:
        pairs = [None]
    if not all(_is_pair(pair) for pair in pairs):
        raise TypeError("credentials must be (username, password) or a list of them")
    return dict(pairs)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(isinstance(part, str) for part in value)
    )


def _checker(passwords: dict[str, str]) -> Callable[[str, str], bool]:
    import hmac

    def check(username: str, password: str) -> bool:
        # The same work for an unknown name, and in constant time (HSK-11).
        expected = passwords.get(username)
        same = hmac.compare_digest((expected or "").encode(), password.encode())
        return same and expected is not None

    return check
