"""HTTP Basic authentication (RFC 7617)."""

from __future__ import annotations

from typing import Any

import pytest

from pywscore import InvalidStatus, basic_auth


async def whoami(ws: Any) -> None:
    await ws.send(ws.username)


async def check(username: str, password: str) -> bool:
    return password == username[::-1]


@pytest.mark.threat("HSK-11")
@pytest.mark.parametrize(
    ("arguments", "good", "bad"),
    [
        ({"credentials": ("a", "b")}, "a:b", "a:c"),
        ({"credentials": [("x", "y"), ("é", "ö")]}, "é:ö", "é:o"),
        ({"credentials": [("x", "")]}, "x:", "y:"),
        ({"check_credentials": check}, "abc:cba", "abc:abc"),
        ({"check_credentials": lambda name, word: name == word}, "q:q", "q:r"),
    ],
)
async def test_good_and_bad(
    serve: Any,
    connect: Any,
    uri_of: Any,
    arguments: dict[str, Any],
    good: str,
    bad: str,
) -> None:
    from urllib.parse import quote

    hook = basic_auth('the "realm"', **arguments)
    async with serve(whoami, "127.0.0.1", 0, process_request=hook) as server:
        uri = uri_of(server)
        async with connect(uri.replace("//", f"//{quote(good, safe=':')}@")) as ws:
            assert await ws.recv() == good.partition(":")[0]
        for wrong in (bad, f"nobody:{good.partition(':')[2]}x", None, "Bearer token"):
            headers: dict[str, str] = {}
            target = uri
            if wrong == "Bearer token":
                headers = {"Authorization": wrong}
            elif wrong is not None:
                target = uri.replace("//", f"//{quote(wrong, safe=':')}@")
            with pytest.raises(InvalidStatus) as info:
                await connect(target, additional_headers=headers)
            response = info.value.response
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == (
                'Basic realm="the \\"realm\\"", charset="UTF-8"'
            )


@pytest.mark.parametrize(
    ("arguments", "exception"),
    [
        ({}, ValueError),
        ({"credentials": ("a", "b"), "check_credentials": check}, ValueError),
        ({"credentials": "ab"}, TypeError),
        ({"credentials": ("a", 1)}, TypeError),
        ({"credentials": [("a", "b", "c")]}, TypeError),
        ({"credentials": 42}, TypeError),
    ],
)
def test_wrong_arguments(arguments: Any, exception: type[Exception]) -> None:
    with pytest.raises(exception):
        basic_auth("", **arguments)
