"""Clients that mean no good, or are just stuck: the others, the gate and the runtime's end must not notice."""

import socket
import sqlite3
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.abc import UNIXSocketStream

from dtios.model.batch import Batch
from dtios.model.errors import TemporaryError
from dtios.runtime.clients.session import MAX_REQUESTS, Session
from dtios.runtime.commands.journal import Journal
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.ledger.account import Account
from dtios.sdk import protocol as p
from dtios.sdk.clock import SystemClock
from dtios.sdk.codec import pack
from dtios.sdk.streams import DATA_WINDOW
from dtios.sdk.transport import Closed, StreamTransport, memory_pair
from dtios.testing import method_machine, packml_machine
from tests.runtimes import client_of, running

DROP: p.Policy = "drop-oldest"
PRODUCE = "urn:dtios:capability:produce"


class Deaf:
    """A client on a real socket that talks and never listens."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)

    async def transport(self) -> StreamTransport:
        """The runtime's end."""
        return StreamTransport(await UNIXSocketStream.from_socket(self._ours))

    def say(self, message: p.FromClient) -> None:
        """Raises BlockingIOError when the runtime takes no more."""
        frame = pack(message)
        self._theirs.sendall(len(frame).to_bytes(4, "little") + frame)

    async def stuff(self) -> None:
        """Ask until nothing more goes in."""
        for number in range(100, 100_000):
            try:
                self.say(p.Request(number, p.Describe("m")))
            except BlockingIOError:
                await anyio.sleep(0.2)
                return
            if number % 20 == 0:
                await anyio.sleep(0.001)

    def close(self) -> None:
        self._theirs.close()


async def test_a_client_that_never_reads_holds_up_neither_others_nor_the_end(tmp_path: Path) -> None:
    server = method_machine("f")
    speed = next(n.address for n in server.facts().root.walk() if n.name.name == "Speed")
    async with server, anyio.create_task_group() as tasks:
        async with running(tmp_path, server, machines={"m": {"endpoint": server.url}}) as runtime:
            deaf = Deaf()
            tasks.start_soon(runtime.serve, await deaf.transport(), "cli:stuck")
            deaf.say(p.Request(1, p.Subscribe(1, "m", ["Speed"], "block", 100)))
            await deaf.stuff()
            async with client_of(runtime) as other:
                for value in range(200):
                    server.set(speed, float(value))
                with anyio.fail_after(5):
                    assert (await other.write("m", "Speed", 50.0)).confirmed
            session = next(s for s in runtime.kernel.sessions if isinstance(s, Session) and s.principal.name == "cli:stuck")
            assert session._under_way <= MAX_REQUESTS
            with anyio.fail_after(5):
                await session.end("the test ends", 0.2)
            assert not runtime.kernel.sessions
        deaf.close()


async def test_a_stuck_client_s_job_is_held_at_the_end(tmp_path: Path) -> None:
    server = packml_machine("p", execute=30)
    async with server, anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            async with running(tmp_path, server, machines={"m": {"endpoint": server.url}}) as runtime:
                deaf = Deaf()
                tasks.start_soon(runtime.serve, await deaf.transport(), "cli:stuck")
                deaf.say(p.Request(1, p.StartJob("m", PRODUCE, {}, "a", "c")))
                while server.state.name != "Execute":
                    await anyio.sleep(0.01)
                await deaf.stuff()
        assert server.state.name in ("Holding", "Held")
        deaf.close()


@pytest.mark.parametrize(
    "frame",
    [b"", b"\xc1" * 100, b"\xff" * 100_000, pack(["Request"]), pack([1, 2, 3]), pack(["Ack", -1, -1])],
    ids=["empty", "reserved", "long", "no fields", "no message", "negative"],
)
async def test_garbage_ends_at_most_its_own_session(tmp_path: Path, frame: bytes) -> None:
    async with method_machine("f") as server, running(tmp_path, server, machines={"m": {"endpoint": server.url}}) as runtime:
        ours, theirs = memory_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.serve, ours, "cli:garbage")
            await theirs.send(frame)
            await anyio.sleep(0.05)
            await theirs.aclose()
        async with client_of(runtime) as client:
            assert (await client.write("m", "Speed", 50.0)).confirmed


async def test_acks_of_what_was_never_sent_open_no_window(tmp_path: Path) -> None:
    server = method_machine("f")
    speed = next(n.address for n in server.facts().root.walk() if n.name.name == "Speed")
    async with server, running(tmp_path, server, machines={"m": {"endpoint": server.url}}) as runtime:
        ours, theirs = memory_pair(1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.serve, ours, "cli:liar")
            for request in (1, 2):  # the second asks for the same stream
                await theirs.send(pack(p.Request(request, p.Subscribe(7, "m", ["Speed"], DROP, 100))))
            for number in (-1, 0, 1000, 2**40):
                for _ in range(20):
                    await theirs.send(pack(p.Ack(7, number)))
                    await theirs.send(pack(p.Ack(99, number)))
            await anyio.sleep(0.1)
            for value in range(50):
                server.set(speed, float(value))
                await anyio.sleep(0.002)
            await anyio.sleep(0.1)
            consumer = next(c for c in runtime.kernel.router.consumers if c.name == "cli:liar/7")
            assert len(consumer._in_flight) <= DATA_WINDOW
            (handle,) = consumer.handles
            assert consumer.account(handle).balanced
            failed = 0
            with anyio.move_on_after(0.2):
                while True:
                    message = msgspec.msgpack.decode(await theirs.receive())
                    failed += message[0] == "Failure"
            assert failed == 1
            await theirs.aclose()


async def test_an_acknowledged_gap_frees_its_place() -> None:
    router = Router(SystemClock(), 1)
    handle = router.register()
    consumer = Consumer("c", [handle], DROP, 2, SystemClock())
    router.attach(consumer)
    for value in range(5):
        await router.deliver(Batch([handle], [value], [0], [0], [0], 0))
    first = await consumer.take()
    assert first is not None
    assert not consumer.acknowledge(99)
    assert consumer.acknowledge(first.number)
    assert not consumer.acknowledge(first.number)
    assert consumer.account(handle) == Account(received=5, delivered=1, dropped=3, pending=1)


async def test_a_request_s_number_used_twice_counts_twice(tmp_path: Path) -> None:
    async with method_machine("f") as server, running(tmp_path, server, machines={"m": {"endpoint": server.url}}) as runtime:
        ours, theirs = memory_pair(100)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.serve, ours, "cli:asker")
            for _ in range(MAX_REQUESTS + 50):
                await theirs.send(pack(p.Request(1, p.Ask("?", []))))
            answers = 0
            with anyio.move_on_after(0.5):
                while True:
                    await theirs.receive()
                    answers += 1
            assert answers == MAX_REQUESTS + 50 - 100  # 100 questions stay open, everything else was refused
            assert len(runtime.kernel.questions.open()) == 100
            await theirs.aclose()
        assert runtime.kernel.questions.open() == []


async def test_a_disk_that_is_full_at_the_commit_leaves_no_transaction_open(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "j.sqlite3", 1)
    pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
    journal._database.execute(f"PRAGMA max_page_count = {pages}")

    async def fill() -> None:
        for number in range(1000):
            await journal.put("app", f"key{number}", "x" * 5000)

    with pytest.raises(TemporaryError, match="journal"):
        await fill()
    journal._database.execute("PRAGMA max_page_count = 1000000")
    await journal.put("app", "after", 1)
    assert await journal.get("app", "after") == 1
    await journal.aclose()


async def test_a_corrupted_page_is_said_in_a_sentence(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path / "j.sqlite3", 1)

    def broken(database: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(TemporaryError, match="malformed"):
        await journal._transact(broken)
    await journal.put("app", "after", 1)
    await journal.aclose()


async def test_one_who_is_turned_away_with_garbage_does_not_end_the_door(tmp_path: Path) -> None:
    from dtios.runtime.clients.control import _turn_away

    ours, theirs = memory_pair()
    await theirs.send(b"\xc1\xc1")
    await _turn_away(ours, "temporary", "full", "later")  # type: ignore[arg-type]  # any transport will do
    await ours.aclose()
    with pytest.raises(Closed):
        await theirs.receive()
