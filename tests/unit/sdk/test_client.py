"""The client against a runtime that a test plays by hand, message by message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dtios.model.batch import Batch
from dtios.model.errors import CredentialsError, RefusedError, TemporaryError
from dtios.model.gap import Gap, GapCause
from dtios.model.values import DataValue
from dtios.sdk import protocol as p
from dtios.sdk.client import Client, open_client
from dtios.sdk.codec import pack, pack_batch, pack_value
from dtios.sdk.delivery import Change
from dtios.sdk.streams import Inbox
from dtios.sdk.transport import MemoryTransport, memory_pair


class Peer:
    """The runtime's end."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport

    async def next(self) -> Any:
        return p.CLIENT_DECODER.decode(await self.transport.receive())

    async def say(self, message: p.FromRuntime) -> None:
        await self.transport.send(pack(message))

    async def answer(self, result: Any) -> Any:
        request = await self.next()
        await self.say(p.Reply(request.id, result))
        return request.body


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Client, Peer]]:
    ours, theirs = memory_pair()
    peer = Peer(theirs)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.answer, p.Welcome("cli:test", 3))
        with anyio.fail_after(5):
            async with open_client(ours, "command") as client:
                yield client, peer
    await theirs.aclose()


async def test_replies_find_their_requests_whatever_the_order() -> None:
    async with pair() as (client, peer):
        assert (client.welcome.principal, client.welcome.epoch) == ("cli:test", 3)
        got: dict[str, Any] = {}

        async def get(key: str) -> None:
            got[key] = await client.get(key)

        async with anyio.create_task_group() as tasks:
            for key in "abc":
                tasks.start_soon(get, key)
            requests = [await peer.next() for _ in range(3)]
            for request in reversed(requests):
                await peer.say(p.Reply(request.id, request.body.key.upper()))
        assert got == {"a": "A", "b": "B", "c": "C"}


@pytest.mark.parametrize(("kind", "error"), [("refused", RefusedError), ("credentials", CredentialsError)])
async def test_a_failure_is_the_same_error_here(kind: str, error: type[Exception]) -> None:
    async with pair() as (client, peer), anyio.create_task_group() as tasks:

        async def refuse() -> None:
            await peer.say(p.Failure((await peer.next()).id, kind, "no", "here", "ask"))

        tasks.start_soon(refuse)
        with pytest.raises(error, match="here: no; ask"):
            await client.put("a", 1)


async def test_whoever_waits_is_told_when_the_runtime_goes() -> None:
    async with pair() as (client, peer):

        async def go() -> None:
            await peer.next()
            await peer.transport.aclose()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go)
            with pytest.raises(TemporaryError, match="gone"):
                await client.get("a")
        assert client.stopping.is_set()
        with pytest.raises(TemporaryError, match="gone"):
            await client.machines()


async def test_what_cannot_be_read_ends_the_client_with_a_sentence() -> None:
    async with pair() as (client, peer):
        await peer.transport.send(b"\xc1 no message")
        await client.stopping.wait()
        with pytest.raises(TemporaryError, match="cannot read"):
            await client.get("a")


async def test_asking_for_the_next_delivery_acknowledges_the_one_before() -> None:
    async with pair() as (client, peer), anyio.create_task_group() as tasks:

        async def play() -> None:
            body = await peer.answer([[7, "Speed"]])
            batch = pack_batch(Batch([7], [1.5], [0], [10], [11], 12, 3, [1]))
            gap = Gap(GapCause.QUEUE_OVERFLOW, count=4)
            for number, gaps in ((1, []), (2, [(7, gap)])):
                await peer.say(p.Data(body.stream, number, gaps, batch))
            acknowledged = [await peer.next(), await peer.next()]
            assert [(a.stream, a.number) for a in acknowledged] == [(body.stream, 1), (body.stream, 2)]
            await peer.say(p.StreamEnded(body.stream, ("temporary", "it went", "filler", "")))

        tasks.start_soon(play)
        got: list[Change] = []

        async def take() -> None:
            async with client.subscribe("filler", ["Speed"]) as deliveries:
                async for delivery in deliveries:
                    got.extend(delivery.changes())

        with pytest.raises(TemporaryError, match="it went"):
            await take()
        assert [(c.signal, c.value, c.source_time, c.sequence) for c in got] == [("Speed", 1.5, 10, 1)] * 2
        assert got[0].gap is None
        assert got[1].gap is not None
        assert got[1].gap.count == 4


async def test_a_stream_that_nobody_reads_holds_up_no_other() -> None:
    async with pair() as (client, peer), anyio.create_task_group() as tasks:

        async def play() -> None:
            body = await peer.answer(None)
            for number in range(3000):
                await peer.say(p.ConditionChanged(body.stream, {"condition": str(number)}))
            await peer.answer([["Speed", pack_value(DataValue(1.0, 0, 5))]])
            assert isinstance(await peer.next(), p.Close)

        tasks.start_soon(play)
        async with client.follow_conditions():
            assert await client.read("filler", ["Speed"]) == [("Speed", DataValue(1.0, 0, 5))]


async def test_an_abandoned_request_leaves_nothing_behind() -> None:
    async with pair() as (client, peer):
        with anyio.move_on_after(0.01):
            await client.ask("still there?")
        request = await peer.next()
        await peer.say(p.Reply(request.id, "yes"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.answer, "B")
            assert await client.get("b") == "B"


async def test_a_full_inbox_keeps_the_latest_of_each_key_and_counts() -> None:
    inbox: Inbox[tuple[str, int]] = Inbox(2, key=lambda item: item[0])
    for item in (("a", 1), ("b", 1), ("a", 2), ("c", 1)):
        inbox.put(item)
    inbox.end()
    inbox.put(("d", 1))
    assert [item async for item in inbox] == [("a", 2), ("c", 1)]
    assert inbox.dropped == 2


async def test_a_number_beyond_64_bits_is_refused_and_the_client_goes_on() -> None:
    async with pair() as (client, peer):
        with pytest.raises(RefusedError, match="64 bits") as refusal:
            await client.write("press", "Total", 2**64)
        assert refusal.value.where == "press Total"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.answer, 7)
            assert await client.get("key") == 7
