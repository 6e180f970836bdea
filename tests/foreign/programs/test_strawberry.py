"""strawberry-graphql: its subscriptions over FastAPI and aiohttp, asked by gql."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp.web
import fastapi
import pytest
import strawberry
import strawberry.aiohttp.views
import strawberry.fastapi
from gql import Client, gql
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from served import served


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self) -> str:
        return "hello"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, target: int) -> AsyncIterator[int]:
        for number in range(target):
            yield number

    @strawberry.subscription
    async def crash(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("that's enough")


SCHEMA = strawberry.Schema(Query, subscription=Subscription)
OLD, NEW = "graphql-ws", "graphql-transport-ws"


@asynccontextmanager
async def over_fastapi() -> AsyncIterator[str]:
    app = fastapi.FastAPI()
    app.include_router(strawberry.fastapi.GraphQLRouter(SCHEMA), prefix="/graphql")
    async with served(app) as address:
        yield address


@asynccontextmanager
async def over_aiohttp() -> AsyncIterator[str]:
    app = aiohttp.web.Application()
    view = strawberry.aiohttp.views.GraphQLView(schema=SCHEMA)
    app.router.add_route("*", "/graphql", view)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    yield f"{host}:{port}"
    await runner.cleanup()


@pytest.mark.parametrize("subprotocol", [OLD, NEW])
@pytest.mark.parametrize("transport", [WebsocketsTransport, AIOHTTPWebsocketsTransport])
@pytest.mark.parametrize("server", [over_fastapi, over_aiohttp])
async def test_subscriptions(server, transport, subprotocol) -> None:
    async with server() as address:
        url = f"ws://{address}/graphql"
        asking = Client(transport=transport(url=url, subprotocols=[subprotocol]))
        async with asking as session:
            if subprotocol == NEW:
                greeting = await session.execute(gql("{ greeting }"))
                assert greeting == {"greeting": "hello"}
            counting = gql("subscription { count(target: 100) }")
            numbers = [each["count"] async for each in session.subscribe(counting)]
            assert numbers == list(range(100))
            with pytest.raises(TransportQueryError, match="enough"):
                async for _ in session.subscribe(gql("subscription { crash }")):
                    pass


@pytest.mark.parametrize("server", [over_fastapi, over_aiohttp])
async def test_what_is_no_graphql_is_refused(server) -> None:
    import websockets

    async with server() as address:
        url = f"ws://{address}/graphql"
        async with websockets.connect(url, subprotocols=[NEW]) as ws:
            await ws.send("no JSON")
            with pytest.raises(websockets.ConnectionClosedError) as raised:
                await ws.recv()
    assert raised.value.rcvd.code == 4400
