"""amqtt: an MQTT broker and its clients, over websockets."""

import pytest
from amqtt.broker import Broker
from amqtt.client import MQTTClient
from amqtt.errors import ClientError, ConnectError
from amqtt.mqtt.constants import QOS_0, QOS_1, QOS_2
from served import free_port


@pytest.fixture
async def uri():
    port = free_port()
    broker = Broker(
        {
            "listeners": {"default": {"type": "ws", "bind": f"127.0.0.1:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {
                    "allow_anonymous": True
                }
            },
        }
    )
    await broker.start()
    yield f"ws://127.0.0.1:{port}"
    await broker.shutdown()


@pytest.mark.parametrize("qos", [QOS_0, QOS_1, QOS_2])
@pytest.mark.parametrize("size", [1, 200, 100_000])
async def test_what_is_published_arrives(uri, qos, size) -> None:
    reader, writer = MQTTClient(), MQTTClient()
    await reader.connect(uri)
    await reader.subscribe([("letters/#", qos)])
    await writer.connect(uri)
    for letter in b"abc":
        await writer.publish("letters/new", bytes([letter]) * size, qos=qos)
    for letter in b"abc":
        message = await reader.deliver_message(timeout_duration=10)
        assert message.data == bytes([letter]) * size
    await writer.disconnect()
    await reader.disconnect()


async def test_a_broker_that_is_gone_is_said() -> None:
    client = MQTTClient(config={"auto_reconnect": False})
    with pytest.raises((ClientError, ConnectError)):
        await client.connect(f"ws://127.0.0.1:{free_port()}")
