"""A broker that acknowledges, counts the values that it was given, and forgets them: `python -m benchmarks.mqtt_sink`.

It speaks as much of MQTT 3.1.1 as a publisher needs, in a process of its own, so that the figure is the publisher's. A value
is what stands after `"value":`. Prints its URL, and then how many values and Gaps it has got, as often as that changes. Ends with
its stdin.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.meter import Meter
from benchmarks.mqtt_wire import CONNECT, PING, PUBLISH, packet, packets

__all__ = ["measured_sink"]

_TELL = 0.02


class _Sink:
    def __init__(self) -> None:
        self.values = 0
        self.gaps = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for head, body in packets(reader):
            kind = head >> 4
            if kind == CONNECT:
                writer.write(packet(0x20, b"\0\0"))
            elif kind == PING:
                writer.write(packet(0xD0, b""))
            elif kind == PUBLISH:
                self.values += body.count(b'"value":')
                self.gaps += body.count(b'"cause":')
                if head & 0x06:
                    size = int.from_bytes(body[:2], "big")
                    writer.write(packet(0x40, body[2 + size : 4 + size]))
        writer.close()


async def _main() -> None:
    sink = _Sink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=2**22)
    print(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    said = 0
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not ended.done():
        await asyncio.sleep(_TELL)
        if sink.values != said:
            said = sink.values
            print(said, sink.gaps, flush=True)


@asynccontextmanager
async def measured_sink() -> AsyncIterator[tuple[str, "Counting"]]:
    """A sink's URL, and what counts it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.mqtt_sink", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), Counting(process.stdout)
    finally:
        process.kill()
        await process.wait()


class Counting:
    def __init__(self, lines: asyncio.StreamReader) -> None:
        self._lines = lines

    async def run(self, meter: Meter) -> int:
        """Feed the meter until it has enough. How many Gaps there were."""
        before = gaps = 0
        while not meter.done.is_set():
            values, gaps = map(int, (await self._lines.readline()).split())
            meter.take(values - before)
            before = values
        return gaps


if __name__ == "__main__":
    asyncio.run(_main())
