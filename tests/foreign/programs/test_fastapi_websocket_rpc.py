"""fastapi_websocket_rpc: its endpoint over uvicorn, its client over websockets."""

import asyncio

import fastapi
import pytest
from fastapi_websocket_rpc import (
    RpcMethodsBase,
    WebSocketRpcClient,
    WebsocketRPCEndpoint,
)
from fastapi_websocket_rpc.rpc_channel import RpcChannelClosedException
from served import served


class Methods(RpcMethodsBase):
    async def join(self, left, right):
        return left + right

    async def ask_back(self):
        """Call the caller, who is served by the same connection."""
        self.asking = asyncio.create_task(self.channel.other.told(text="hello"))


class Told(RpcMethodsBase):
    def __init__(self):
        super().__init__()
        self.text = asyncio.get_running_loop().create_future()

    async def told(self, text):
        self.text.set_result(text)


async def test_calls_both_ways() -> None:
    gone = asyncio.Event()

    async def on_disconnect(channel):
        gone.set()

    app = fastapi.FastAPI()
    endpoint = WebsocketRPCEndpoint(Methods(), on_disconnect=[on_disconnect])
    endpoint.register_route(app, "/rpc")
    async with served(app) as address:
        uri = f"ws://{address}/rpc"
        methods = Told()
        async with WebSocketRpcClient(uri, methods, keep_alive=0.05) as client:
            answers = await asyncio.gather(
                *(client.other.join(left="a", right="b" * n) for n in range(50))
            )
            assert [answer.result for answer in answers] == [
                "a" + "b" * n for n in range(50)
            ]
            await client.other.ask_back()
            text = await asyncio.wait_for(client.channel.methods.text, 10)
            assert text == "hello"
            with pytest.raises(RpcChannelClosedException):
                await client.other.join(left=1)  # the endpoint closes at an exception
        await asyncio.wait_for(gone.wait(), 10)
