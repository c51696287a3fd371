"""The side of faces, drivers and people."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ["CellClient", "CellRefusal", "connect_cell"]

_LINE: Final = 64_000_000
_NEWS: Final = 50_000
"""Lines of news that wait for who follows. Then reading stops, and the cell cuts the client off in its turn."""


class CellRefusal(Exception):
    """The cell did not do what it was asked. The message says why."""


class CellClient:
    """One connection. `news` holds what is told of the stations that are followed."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._one_at_a_time = anyio.Lock()
        self._number = 0
        self._waiting: dict[int, tuple[anyio.Event, list[dict[str, Any]]]] = {}
        self._put, self.news = anyio.create_memory_object_stream[dict[str, Any]](_NEWS)
        self.ended = anyio.Event()

    async def do(self, what: str, /, **arguments: Any) -> Any:
        """Raises CellRefusal, also where the cell is gone."""
        self._number += 1
        number, done, answer = self._number, anyio.Event(), list[dict[str, Any]]()
        self._waiting[number] = done, answer
        try:
            if self.ended.is_set():
                raise CellRefusal("the cell is gone")
            try:
                async with self._one_at_a_time:
                    await self._stream.send(json.dumps({"id": number, "do": what, **arguments}).encode() + b"\n")
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise CellRefusal("the cell is gone") from None
            await done.wait()
        finally:
            del self._waiting[number]
        if not answer:
            raise CellRefusal("the cell is gone")
        if "refused" in answer[0]:
            raise CellRefusal(answer[0]["refused"])
        return answer[0]["result"]

    async def ask(self, station: str, verb: str, **arguments: Any) -> Any:
        """What a station answers. Raises CellRefusal."""
        return await self.do("ask", station=station, verb=verb, **{"with": arguments})

    async def run(self) -> None:
        received = BufferedByteReceiveStream(self._stream)
        try:
            with self._put:
                while True:
                    form = json.loads(await received.receive_until(b"\n", _LINE))
                    if "id" not in form:
                        await self._put.send(form)
                    elif form["id"] in self._waiting:
                        done, answer = self._waiting[form["id"]]
                        answer.append(form)
                        done.set()
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            self.ended.set()
            for done, _ in self._waiting.values():
                done.set()


@asynccontextmanager
async def connect_cell(port: int) -> AsyncIterator[CellClient]:
    """Raises CellRefusal where no cell listens at this port of 127.0.0.1."""
    try:
        stream = await anyio.connect_tcp("127.0.0.1", port)
    except OSError:
        raise CellRefusal(f"no cell listens on port {port}; start one with `dtios sim up`") from None
    client = CellClient(stream)
    async with stream, anyio.create_task_group() as tasks:
        tasks.start_soon(client.run, name="cell control: news")
        try:
            yield client
        finally:
            client.news.close()
            tasks.cancel_scope.cancel()
