"""The proxy breaks what it says, and the verdict sees what is wrong: tests of the tools of the other tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dtios.model.gap import Gap, GapCause
from dtios.testing.proxy import DOWN, UP, FaultProxy
from tests.faults.truth import Truth

S = 10**9


@asynccontextmanager
async def echoed() -> AsyncIterator[FaultProxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
        proxy.bury()
    server.close()


@asynccontextmanager
async def talking(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def silence(reader: asyncio.StreamReader) -> bool:
    try:
        return not await asyncio.wait_for(reader.read(100), 0.2)
    except TimeoutError:
        return True


async def test_cuts() -> None:
    async with echoed() as proxy:
        async with talking(proxy) as (reader, _):
            proxy.cut(reset=True)
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        async with talking(proxy) as (reader, _):
            proxy.cut(reset=False)
            assert await reader.read(1) == b""
        assert [one.fault for one in proxy.log] == ["cut", "cut"]
        assert proxy.log[0].at < proxy.log[1].at


@pytest.mark.parametrize("ways", [UP, DOWN])
async def test_half_open_is_silent_and_new_connections_are_whole(ways: tuple) -> None:
    async with echoed() as proxy:
        async with talking(proxy) as (reader, writer):
            proxy.half_open(ways)
            writer.write(b"x")
            assert await silence(reader)
            async with talking(proxy):
                assert proxy.connections == 2


async def test_a_black_hole_shows_no_end_and_takes_new_connections_in() -> None:
    async with echoed() as proxy:
        async with talking(proxy) as (reader, _):
            proxy.black_hole()
            other, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"x")
            assert await silence(other)
            assert await silence(reader)
            assert not reader.at_eof()
            writer.transport.abort()
            await proxy.heal()
            async with talking(proxy):
                pass


async def test_refused_silent_and_healed() -> None:
    async with echoed() as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.heal()
        proxy.silent()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"x")
        assert await silence(reader)
        writer.transport.abort()
        await proxy.heal()
        async with talking(proxy):
            pass


async def test_what_is_done_to_chunks() -> None:
    async with echoed() as proxy, talking(proxy) as (reader, writer):
        for change, expected in (
            (lambda: proxy.truncate(DOWN, 2), b"ab"),
            (lambda: proxy.garble(DOWN, b"??"), b"??abcd"),
            (lambda: proxy.duplicate(DOWN), b"abcdabcd"),
        ):
            change()
            writer.write(b"abcd")
            assert await asyncio.wait_for(reader.readexactly(len(expected)), 2) == expected
        proxy.reorder(DOWN)
        writer.write(b"1111")
        await asyncio.sleep(0.1)
        writer.write(b"2222")
        assert await asyncio.wait_for(reader.readexactly(8), 2) == b"22221111"


async def test_slow_ways() -> None:
    async with echoed() as proxy, talking(proxy) as (reader, writer):
        loop = asyncio.get_running_loop()
        for shape in ({"delay": 0.1}, {"rate": 1000.0}):
            proxy.slow(UP, **shape)
            began = loop.time()
            writer.write(bytes(100))
            await reader.readexactly(100)
            assert loop.time() - began >= 0.1


# --- the verdict ---


def verdict(stream: list, log: list[tuple[int, int]]) -> list[str]:
    truth = Truth()
    for one in stream:
        truth.gap("c", one) if isinstance(one, Gap) else truth.value("c", one[0], 0, one[1])
    return truth.judge(log, ["c"], slack=0.1)


LOG = [(n * S, n) for n in range(1, 10)]


def gap(low: float, high: float) -> Gap:
    return Gap(GapCause.CONNECTION_LOST, receive_from=int(low * S), receive_to=int(high * S))


def values(*numbers: int) -> list[tuple[int, int]]:
    return [(n, n * S) for n in numbers]


def test_a_verdict_without_fault() -> None:
    assert verdict(values(1, 2, 3), LOG) == []
    assert verdict([*values(1, 2), gap(2, 5), *values(5, 6)], LOG) == []
    assert verdict([*values(1, 2), gap(2, 3), *values(2, 3)], LOG) == []


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ([*values(1, 2), *values(4)], "from 3 to 3 are missing and lie in no Gap"),
        ([*values(1, 2), gap(3.5, 5), *values(5)], "from 3 to 3 are missing"),
        ([*values(1, 2), gap(2, 3.5), *values(5)], "from 4 to 4 are missing"),
        ([*values(1), gap(1, 4), *values(2, 4)], "from 3 to 3 are missing"),
        (values(1, 2, 2, 3), "2 came after 2"),
        (values(1, 3, 2), "2 came after 3"),
        ([*values(1, 3), gap(3, 4), *values(2)], "2 came after 3"),
        (values(1, 2, 77), "77 was never set"),
    ],
)
def test_a_verdict_with_a_fault(stream: list, words: str) -> None:
    assert words in " ".join(verdict(stream, LOG))
