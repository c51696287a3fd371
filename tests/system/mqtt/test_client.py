"""One MQTT session against brokers that others wrote."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from dtios.sdk.errors import CredentialsError, RefusedError, TemporaryError
from dtios_mqtt.errors import LostError
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Outgoing, Will
from dtios_mqtt.session.opening import Role, open_client
from dtios_mqtt.settings import MqttSettings, parse_url
from tests.brokers import BROKERS, BrokerProcess, IotCore, Mosquitto, running_broker


@asynccontextmanager
async def session(broker: BrokerProcess, name: str = "one", **more: Any) -> AsyncIterator[MqttClient]:
    role = Role(name, True, (), more.pop("will", None))
    client = await open_client(parse_url(broker.url), MqttSettings(**more), broker.folder, role)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_served, client)
        try:
            yield client
        finally:
            await client.close()
            tasks.cancel_scope.cancel()


async def _served(client: MqttClient) -> None:
    with pytest.raises(LostError):
        await client.serve()


@pytest.mark.parametrize("kind", BROKERS)
async def test_messages_go_there_and_back_in_order(kind: type[BrokerProcess], tmp_path: Path) -> None:
    async with running_broker(kind(tmp_path)) as broker, session(broker) as here, session(broker, "two") as there:
        assert await here.subscribe([("a/#", 1)]) == [1]
        last = [there.hand_over(Outgoing("a/b", b"%d" % number, qos=1)) for number in range(500)][-1]
        with anyio.fail_after(10):
            assert [int((await here.next()).payload) for _ in range(500)] == list(range(500))
            await last


@pytest.mark.parametrize("kind", BROKERS)
async def test_who_takes_nothing_is_sent_nothing_more(kind: type[BrokerProcess], tmp_path: Path) -> None:
    async with running_broker(kind(tmp_path)) as broker, session(broker) as here, session(broker, "two") as there:
        await here.subscribe([("a", 0)])
        for number in range(5_000):
            there.hand_over(Outgoing("a", b"%d" % number))
            if number % 100 == 0:
                await anyio.lowlevel.checkpoint()
        with anyio.fail_after(20):
            first = [int((await here.next()).payload) for _ in range(1_000)]
            assert first == list(range(1_000))
            assert len(here._queue) <= 2_000 + 256


async def test_who_takes_nothing_for_long_is_still_connected(tmp_path: Path) -> None:
    """What it does not read are the broker's answers, too: their absence is no silence."""
    async with (
        running_broker(Mosquitto(tmp_path)) as broker,
        session(broker, keep_alive=1.0) as here,
        session(broker, "two") as there,
    ):
        await here.subscribe([("a", 0)])
        for number in range(5_000):
            there.hand_over(Outgoing("a", b"%d" % number + b"." * 1_000))
            if number % 100 == 0:
                await anyio.lowlevel.checkpoint()
        await anyio.sleep(3.5)
        with anyio.fail_after(20):
            assert [int((await here.next()).payload.rstrip(b".")) for _ in range(2_000)] == list(range(2_000))
        assert not here.lost.done()


async def test_a_silent_broker_is_noticed_within_the_keep_alive_time(tmp_path: Path) -> None:
    async with running_broker(IotCore(tmp_path)) as broker, session(broker, keep_alive=1.0) as here:
        await anyio.sleep(1.2)
        assert not here.lost.done()
        broker.freeze()
        with anyio.fail_after(1.4):
            with pytest.raises(LostError, match="nothing was heard of the broker for 1 s"):
                await here.next()


async def test_the_will_is_said_for_who_is_dropped(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path)) as broker, session(broker, "two") as there:
        await there.subscribe([("state", 1)])
        async with session(broker, will=Will("state", b"gone")) as here:
            here.abort()
            with anyio.fail_after(5):
                assert (await there.next()).payload == b"gone"


async def test_a_lost_broker_ends_the_session_and_refuses_what_comes_late(tmp_path: Path) -> None:
    async with running_broker(IotCore(tmp_path)) as broker, session(broker) as here:
        await broker.kill()
        with anyio.fail_after(5):
            with pytest.raises(LostError):
                await here.next()
        with pytest.raises(LostError):
            here.hand_over(Outgoing("a", b"late", qos=1))


async def test_the_last_check_stands_before_the_socket(tmp_path: Path) -> None:
    def refuse() -> None:
        raise RefusedError("the lease is gone")

    async with running_broker(Mosquitto(tmp_path)) as broker, session(broker) as here, session(broker, "two") as there:
        await there.subscribe([("a", 0)])
        with pytest.raises(RefusedError):
            here.hand_over(Outgoing("a", b"never"), refuse)
        here.hand_over(Outgoing("a", b"sent"), lambda: None)
        with anyio.fail_after(5):
            assert (await there.next()).payload == b"sent"


async def test_a_user_nobody_knows(tmp_path: Path) -> None:
    async with running_broker(Mosquitto(tmp_path, "allow_anonymous false")) as broker:
        with pytest.raises(CredentialsError):
            async with session(broker):
                pass


async def test_nobody_listens(free_port: int, tmp_path: Path) -> None:
    client = MqttClient(parse_url(f"mqtt://127.0.0.1:{free_port}"), version=4, client_id="one")
    with pytest.raises(TemporaryError, match="nobody listens"):
        await client.open()
    assert all("mqtt" not in (task.get_name() or "") for task in asyncio.all_tasks())
