"""A TCP proxy on loopback that breaks what passes through it, as told by a test. It knows no protocol.

    async with FaultProxy(port) as proxy:     # connect to 127.0.0.1:proxy.port
        proxy.half_open(DOWN)                 # what the server says is swallowed from now on
        proxy.heal()                          # for new connections; what was swallowed stays lost

`log` says what was injected when. "up" is from client to server, "down" from server to client.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, Self

__all__ = ["BOTH", "DOWN", "UP", "Direction", "FaultProxy", "Injected"]

Direction = Literal["up", "down"]
UP: Final[tuple[Direction, ...]] = ("up",)
DOWN: Final[tuple[Direction, ...]] = ("down",)
BOTH: Final[tuple[Direction, ...]] = ("up", "down")
_MOST: Final = 65536
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER with no time: the kernel sends RST

Change = Callable[[bytes], list[bytes]]
Greet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Injected:
    """`at` in ns UTC."""

    at: int
    fault: str
    detail: str = ""


@dataclass(slots=True)
class _Shape:
    """What is done to one direction for as long as it is set."""

    delay: float = 0.0
    piece: int = _MOST
    rate: float = 0.0
    once: list[Change] = field(default_factory=list)


class _Pair:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.readers: dict[Direction, asyncio.StreamReader] = {"up": reader}
        self.writers: dict[Direction, asyncio.StreamWriter] = {"down": writer}
        self.deaf: set[Direction] = set()  # what comes from there is swallowed, its end included
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}

    def reset(self) -> None:
        for writer in self.writers.values():
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def end(self) -> None:
        for writer in self.writers.values():
            writer.close()


class FaultProxy:
    """Between clients and `host`:`target`. Its port of 127.0.0.1 stays the same, also while it refuses connections."""

    def __init__(self, target: int, greet: Greet | None = None, *, host: str = "127.0.0.1") -> None:
        """`greet` reads the beginning of what a client says and returns it, to be passed on; None: it turned the client away."""
        self.target = target
        self.host = host
        self._greet = greet
        self.port = 0
        self.log: list[Injected] = []
        self.accepted = 0
        self._server: asyncio.Server | None = None
        self._pairs: dict[_Pair, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._shapes: dict[Direction, _Shape] = {"up": _Shape(), "down": _Shape()}
        self._new: Literal["pass", "silent"] = "pass"
        self._hole = False

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close_listener()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def _note(self, fault: str, detail: str = "") -> None:
        self.log.append(Injected(time.time_ns(), fault, detail))

    # --- connections ---

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_MOST)
        self.port = self._server.sockets[0].getsockname()[1]

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("fault proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        pair = _Pair(reader, writer)
        self._pairs[pair] = None
        try:
            await self._serve(pair)
        except asyncio.CancelledError:
            pass  # a task of asyncio's server must not end cancelled: it would be reported
        finally:
            self._pairs.pop(pair, None)
            for one in pair.writers.values():
                one.transport.abort()

    async def _serve(self, pair: _Pair) -> None:
        if self._new == "silent" or self._hole:
            pair.deaf.update(BOTH)
            await self._pump(pair, "up")
            return
        first = b"" if self._greet is None else await self._greeted(self._greet, pair)
        if first is None:
            return
        try:
            pair.readers["down"], pair.writers["up"] = await asyncio.open_connection(self.host, self.target, limit=_MOST)
        except OSError:
            return  # as if it had been refused, a moment later
        pair.writers["up"].write(first)
        pumps = [asyncio.create_task(self._pump(pair, way), name=f"fault proxy {way}") for way in BOTH]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    @staticmethod
    async def _greeted(greet: Greet, pair: _Pair) -> bytes | None:
        try:
            first = await greet(pair.readers["up"], pair.writers["down"])
            if first is None:
                pair.writers["down"].close()
                await pair.writers["down"].wait_closed()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        else:
            return first

    async def _pump(self, pair: _Pair, way: Direction) -> None:
        reader = pair.readers[way]
        try:
            while data := await reader.read(self._shapes[way].piece):
                if way in pair.deaf or self._hole:
                    continue
                await self._pass_on(pair, way, data)
        except (ConnectionError, TimeoutError):
            if not (pair.deaf or self._hole):
                pair.reset()
        await self._hold_end(pair)
        if way in pair.writers:
            pair.writers[way].close()

    async def _hold_end(self, pair: _Pair) -> None:
        """An end is not seen through a hole."""
        while self._hole or pair.deaf:  # noqa: ASYNC110  # a pair becomes deaf and is buried in many ways
            await asyncio.sleep(0.05)

    async def _pass_on(self, pair: _Pair, way: Direction, data: bytes) -> None:
        shape, writer = self._shapes[way], pair.writers[way]
        if shape.delay:
            await asyncio.sleep(shape.delay)
        pieces = [data]
        if shape.once:
            pieces = shape.once.pop(0)(data)
        for piece in pieces:
            if shape.rate:
                await asyncio.sleep(len(piece) / shape.rate)
            if way in pair.deaf or self._hole or writer.is_closing():
                return
            writer.write(piece)
            pair.passed[way] += len(piece)
            await writer.drain()

    # --- faults that happen at once ---

    def cut(self, *, reset: bool) -> None:
        """All connections, both ends: RST, or FIN."""
        self._note("cut", "RST" if reset else "FIN")
        for pair in list(self._pairs):
            pair.reset() if reset else pair.end()

    def truncate(self, ways: tuple[Direction, ...], keep: int) -> None:
        """The next chunk ends after `keep` bytes; the connection goes on with the one after it."""
        self._once("truncate", ways, lambda data: [data[:keep]], f"{keep} bytes kept")

    def garble(self, ways: tuple[Direction, ...], garbage: bytes) -> None:
        """Bytes that nobody sent, before the next chunk."""
        self._once("garble", ways, lambda data: [garbage, data], f"{len(garbage)} bytes")

    def duplicate(self, ways: tuple[Direction, ...]) -> None:
        """The next chunk comes twice."""
        self._once("duplicate", ways, lambda data: [data, data])

    def reorder(self, ways: tuple[Direction, ...]) -> None:
        """The next two chunks change places."""
        self._note("reorder", str(ways))
        for way in ways:
            held: list[bytes] = []

            def hold(data: bytes, held: list[bytes] = held) -> list[bytes]:
                held.append(data)
                return []

            def release(data: bytes, held: list[bytes] = held) -> list[bytes]:
                return [data, *held]

            self._shapes[way].once += [hold, release]

    def _once(self, fault: str, ways: tuple[Direction, ...], change: Change, detail: str = "") -> None:
        self._note(fault, f"{ways} {detail}")
        for way in ways:
            self._shapes[way].once.append(change)

    # --- faults that last until `heal` ---

    def half_open(self, ways: tuple[Direction, ...]) -> None:
        """One direction of the present connections is dead for ever, and neither end is told; new connections are whole."""
        self._note("half-open", str(ways))
        for pair in self._pairs:
            pair.deaf.update(ways)

    def black_hole(self) -> None:
        """Nothing passes, no end either; who connects meanwhile hears nothing."""
        self._note("black hole")
        self._hole = True
        for pair in self._pairs:
            pair.deaf.update(BOTH)

    def slow(self, ways: tuple[Direction, ...], *, delay: float = 0.0, piece: int = _MOST, rate: float = 0.0) -> None:
        """`delay` seconds before each chunk, chunks of at most `piece` bytes, `rate` bytes a second; 0 is no limit."""
        self._note("slow", f"{ways} delay {delay} piece {piece} rate {rate}")
        for way in ways:
            shape = self._shapes[way]
            shape.delay, shape.piece, shape.rate = delay, piece, rate

    def refuse(self) -> None:
        """Nobody listens any more; the present connections go on."""
        self._note("refuse")
        self._close_listener()

    def silent(self) -> None:
        """New connections are accepted, and that is all."""
        self._note("silent")
        self._new = "silent"

    async def heal(self) -> None:
        """What lasts ends. Connections that were deaf stay so, as after a real hole, until their client gives up."""
        self._note("heal")
        self._new, self._hole = "pass", False
        self._shapes = {"up": _Shape(), "down": _Shape()}
        if self._server is None:
            await self._listen()

    def bury(self) -> None:
        """Reset the connections that are deaf: their server learns that they are dead."""
        for pair in list(self._pairs):
            if pair.deaf:
                pair.deaf.clear()
                pair.reset()
