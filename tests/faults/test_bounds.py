"""A server that announces or sends without end: refused in a sentence, at once, and without the memory it asks for."""

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
import psutil
import pytest
from asyncua import ua

from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.gap import GapCause
from dtios.sdk.adapter import ConnectionSettings, MonitoredPoint
from dtios.sdk.errors import DtiosError, TemporaryError
from dtios_opcua import adapter
from dtios_opcua.binary.decoder import Decoder
from dtios_opcua.binary.typetable import DataTypeInfo, StructureField, StructureInfo
from dtios_opcua.binary.wire import MOST_OBJECTS, Reader, Undecodable
from dtios_opcua.session import services
from tests.faults.scripted import Link, ScriptedServer, scripted
from tests.faults.space import URI
from tests.faults.wire import ACK, OPN, Request, framed, response
from tests.fuzz.values import hostile_types
from tests.system.opcua.opcua_server import HOME, Sink, connected

SETTINGS = ConnectionSettings(keep_alive=2.0, timeout=2.0, publishing_interval=0.02)
COUNTER = MonitoredPoint(1, f"nsu={URI};s=Counter0", ValueType(BuiltinType.Int64))
HUGE = struct.pack("<i", 2**31 - 1)


@contextmanager
def little_memory(most: int = 48 * 2**20, seconds: float = 10.0) -> Iterator[None]:
    process, began = psutil.Process(), time.monotonic()
    before = process.memory_info().rss
    yield
    assert process.memory_info().rss - before < most
    assert time.monotonic() - began < seconds


async def refused(server: ScriptedServer) -> DtiosError:
    connection = adapter.connect(server.url, SETTINGS, HOME)
    with little_memory(), pytest.raises(DtiosError) as caught:
        await connection.run(Sink(), task_status=anyio.TASK_STATUS_IGNORED)
    assert isinstance(caught.value, TemporaryError)
    return caught.value


# --- while connecting ---


@pytest.mark.parametrize("name", [ACK, OPN, "CreateSession", "ActivateSession"])
async def test_a_message_of_2_gib_is_refused_by_its_header(name: str) -> None:
    async with scripted() as server:

        def announce(answered: str, body: bytes) -> bytes | None:
            if answered != name:
                return body
            server.links[-1].raw(b"MSGF" + struct.pack("<I", 2**31) + b"x" * 100)
            return None

        server.tamper = announce
        error = await refused(server)
        assert "a chunk of 2147483648 bytes" in str(error) or "closed" in str(error)


@pytest.mark.parametrize("name", [OPN, "CreateSession", "ActivateSession", "Read"])
async def test_a_string_or_array_of_2_gib_within_an_answer(name: str) -> None:
    async with scripted() as server:
        for at in range(24, 120, 4):
            server.tamper = lambda answered, body, at=at: body[:at] + HUGE + body[at + 4 :] if answered == name else body
            connection, sink = adapter.connect(server.url, SETTINGS, HOME), Sink()
            with little_memory():
                async with anyio.create_task_group() as tasks:
                    try:
                        await tasks.start(lambda *, task_status: connection.run(sink, task_status=task_status))  # noqa: B023
                    except DtiosError:
                        continue
                    tasks.cancel_scope.cancel()


async def test_chunks_without_end_are_cut_off() -> None:
    sent = 0

    def flood(request: Request, link: Link) -> bool:
        if request.name != "Read":
            return False
        nonlocal sent
        while sent < 400:
            sent += 1
            link.send(b"MSG", request.id, bytes(2**20 - 64), final=b"C")
        return True

    async with scripted() as server:
        server.take = flood
        connection = adapter.connect(server.url, SETTINGS, HOME)
        with little_memory(most=600 * 2**20, seconds=30), pytest.raises(TemporaryError, match=r"more than|closed|in time"):
            await connection.run(Sink(), task_status=anyio.TASK_STATUS_IGNORED)


async def test_tiny_chunks_without_end_are_counted() -> None:
    def drip(request: Request, link: Link) -> bool:
        if request.name == "Read":
            link.raw(b"".join(framed(b"MSG", link.sequence + n, request.id, b"", b"C") for n in range(1, 9000)))
            link.sequence += 9000
        return request.name == "Read"

    async with scripted() as server:
        server.take = drip
        assert "chunks" in str(await refused(server))


# --- values ---


async def test_an_array_of_2_gib_in_a_value_is_bad_and_its_neighbours_are_there() -> None:
    def inflate(name: str, body: bytes) -> bytes:
        return body.replace(struct.pack("<Bq", 8, server.space.number), b"\x8b" + HUGE + bytes(4)) if name == "Read" else body

    async with scripted() as server, connected(server.url, SETTINGS) as (connection, _):
        server.counting, server.tamper = False, inflate
        with little_memory():
            readings = await connection.read([COUNTER.address, "i=2259"])
        assert (readings[0].value, readings[0].is_bad) == (None, True)
        assert readings[1].value == 0


async def test_an_array_of_2_gib_in_a_notification_is_a_gap() -> None:
    async with scripted() as server, connected(server.url, SETTINGS) as (connection, sink):
        await connection.subscribe([COUNTER])
        await sink.until(lambda s: len(s.values(1)) > 3)
        once: list[int] = []

        def inflate(name: str, body: bytes) -> bytes:
            at = body.find(b"\x01\x00\x00\x00\x0f\x08")
            if name != "Publish" or once or at < 0:
                return body
            once.append(len(sink.stream))
            return body[: at + 5] + b"\x8b" + HUGE + body[at + 10 :]

        with little_memory():
            server.tamper = inflate
            await sink.until(lambda s: len(s.losses) == 1 and len(s.values(1)) > 10)
        assert sink.losses[0].cause is GapCause.UNDECODABLE


@pytest.mark.parametrize(
    "body",
    [
        b"\x01\x16\x01\x01\x65\x00\x01" + struct.pack("<i", 8) + HUGE + bytes(4),
        # structures of no size, a hundred thousand in each of a hundred thousand places
        b"\x96" + struct.pack("<i", 1) + b"\x01\x01\x6a\x00\x01" + struct.pack("<i", 4 + 400_000)
        + struct.pack("<i", 100_000) + struct.pack("<i", 100_000) * 100_000,
        b"\x98" + struct.pack("<i", 3_000_000) + bytes(3_000_000),
        # a matrix of no elements that has many empty rows, many times
        b"\x98" + struct.pack("<i", 20_000) + (b"\xc6" + struct.pack("<iiii", 0, 2, 65_535, 0)) * 20_000,
        b"\xc6" + struct.pack("<ii", 1, 7) + struct.pack("<i", 1_000_000) + struct.pack("<i", 2) * 1_000_000,
        b"\xc6" + struct.pack("<ii", 1, 7) + struct.pack("<i", 1_000_000) + struct.pack("<i", 1) * 1_000_000,
    ],
    ids=["an array", "structures of no size", "too many elements", "empty rows", "many dimensions", "many dimensions of one"],
)  # fmt: skip
def test_few_bytes_never_become_much_memory(body: bytes) -> None:
    table = hostile_types()
    with little_memory(most=400 * 2**20):
        with suppress(Undecodable):
            Decoder(table).variant(Reader(body))


def test_the_objects_of_one_message_are_counted_together() -> None:
    reader = Reader(bytes(8))
    reader.spend(MOST_OBJECTS)
    with pytest.raises(Undecodable):
        Reader(b"", within=reader).spend(1)


def test_types_that_hold_each_other_many_times_are_described_in_time() -> None:
    table = hostile_types()
    for number in range(40):
        fields = [StructureField(f"f{n}", (1, 501 + number)) for n in range(8)]
        table.add(DataTypeInfo((1, 500 + number), f"T{number}", (0, 22), structure=StructureInfo(fields)))
    with little_memory(most=100 * 2**20):
        assert table.value_type((1, 500)).fields


# --- browsing ---


def endless(server: ScriptedServer, *, same: bool, references: bool) -> None:
    """BrowseNext goes on for ever, with the same continuation point or another each time."""
    count = 0

    def take(request: Request, link: Link) -> bool:
        nonlocal count
        if request.name not in ("Browse", "BrowseNext"):
            return False
        results = []
        asked = request.body.Parameters
        for _ in asked.NodesToBrowse if request.name == "Browse" else asked.ContinuationPoints:
            count += 1
            found = server.space.endless(count) if references else []
            results.append(ua.BrowseResult(ContinuationPoint=b"same" if same else str(count).encode(), References=found))
        server.reply(request, link, response(request, server.browsed(request, results)))
        return True

    server.take = take


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("references", [True, False])
async def test_continuation_points_without_end(monkeypatch: pytest.MonkeyPatch, same: bool, references: bool) -> None:
    monkeypatch.setattr(services, "_MOST_ROUNDS", 200)
    async with scripted() as server, connected(server.url, SETTINGS) as (connection, _):
        endless(server, same=same, references=references)
        with little_memory(), pytest.raises(TemporaryError, match="damaged"):
            await connection.browse()


async def test_an_address_space_without_end_is_described_as_far_as_it_goes() -> None:
    def take(request: Request, link: Link) -> bool:
        if request.name != "Browse":
            return False
        made, count = ua.BrowseResponse(), server.requests["Browse"]
        for number, asked in enumerate(request.body.Parameters.NodesToBrowse):
            kind = asked.ReferenceTypeId.Identifier
            found = server.space.endless(1000 * count + number) if kind == 31 else []
            made.Results.append(ua.BrowseResult(References=found))
        server.reply(request, link, response(request, made))
        return True

    async with scripted() as server, connected(server.url, SETTINGS) as (connection, _):
        server.take = take
        with little_memory(seconds=30):
            facts = await connection.browse()
        assert any("deeper than" in note for note in facts.notes)
