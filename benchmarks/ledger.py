"""What the ledger costs of the data path: `python -m benchmarks.ledger with-100 URL COUNT ITEMS`. Prints one JSON object.

The path: the router, a consumer's queue, the frame to the app's process and back into columns, the acknowledgement. `with`: as it
is, with checkpoints; `without`: the same without any counting. The number is that of values in a message. No machine takes part.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from dtios.model.batch import Batch
from dtios.runtime.commands.journal import Journal
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.ledger.ledger import Ledger
from dtios.sdk.clock import SystemClock
from dtios.sdk.codec import pack_batch, unpack_batch

__all__: list[str] = []

SIGNALS = 1_000
CHUNKS = 8
"""The cheapest of these counts: what other processes took from it is no cost of ours."""


class _Uncounted(Consumer):
    """Takes, queues and hands out as any, and keeps no account."""

    def put_nowait(self, batch: Batch) -> None:
        if not self.closed:
            self._enter(batch)

    def acknowledge(self, number: int) -> bool:
        return self._in_flight.pop(number, None) is not None


async def _pass(router: Router, consumer: Consumer, messages: list[list[int]]) -> float:
    """CPU seconds of this process."""
    clock = SystemClock()
    begun = time.process_time()
    for handles in messages:
        size, now = len(handles), clock.now()
        await router.deliver(Batch(handles, [1.5] * size, [0] * size, [now] * size, [now] * size, now))
        delivery = await consumer.take()
        assert delivery is not None
        assert delivery.batch is not None
        unpack_batch(pack_batch(delivery.batch))
        consumer.acknowledge(delivery.number)
        await asyncio.sleep(0)
    return time.process_time() - begun


async def main(scenario: str, count: int) -> None:
    variant, _, size = scenario.partition("-")
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        journal = await Journal.open(Path(folder) / "journal.sqlite3", clock.now())
        router = Router(clock, journal.epoch)
        handles = [router.register() for _ in range(SIGNALS)]
        made = Consumer if variant == "with" else _Uncounted
        consumer = made("app/bench", handles, "block", 10_000, clock)
        ledger = await Ledger.open(journal, router, clock, lambda: 1.0)
        await ledger.enter(consumer, "m", {h: f"v{h}" for h in handles}, lasting=variant == "with")
        router.attach(consumer)
        keeping = asyncio.create_task(ledger.keep(), name="checkpoints")
        wide = int(size)
        messages = [handles[i : i + wide] for i in range(0, SIGNALS, wide)] * max(1, count // SIGNALS // CHUNKS)
        spent = [await _pass(router, consumer, messages) for _ in range(CHUNKS)]
        keeping.cancel()
        await asyncio.wait([keeping])
        balanced = next(iter(ledger)).view("m").balanced if variant == "with" else True
        await journal.aclose()
    assert balanced, "the ledger does not agree with itself"
    print(json.dumps({"cpu": min(spent), "values": sum(map(len, messages))}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[3])))
