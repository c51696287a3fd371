"""A server that freezes, and one that is killed and replaced: values turn Bad in time, and a Gap stands for what is missing."""

import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from dtios.model.gap import Gap
from dtios.model.status import is_good
from dtios.sdk.streams import Subscription
from tests.interop.node_server import running_node_server
from tests.interop.reach import reached

pytestmark = pytest.mark.interop

KEEP_ALIVE = 5.0
SLACK = 2.0
"""Of a noisy computer."""


class Counter:
    """What a subscriber of the server's Counter is told."""

    def __init__(self, deliveries: Subscription) -> None:
        self._deliveries = deliveries
        self.gaps: list[Gap] = []
        self.last: Any = None

    async def until(self, good: bool, seconds: float) -> float:
        """Waits for a reading that is Good or not; how long that took."""
        begun = time.monotonic()
        with anyio.fail_after(seconds):
            async for delivery in self._deliveries:
                waiting: dict[str, Gap] = {}
                for change in delivery.changes(waiting):
                    self.gaps += [change.gap] if change.gap is not None else []
                    assert change.value is None or is_good(change.status)
                    if is_good(change.status) is good:
                        self.last = change.value
                        return time.monotonic() - begun
                self.gaps += waiting.values()
        raise AssertionError("the subscription ended")


async def test_frozen_then_killed_then_replaced(tmp_path: Path) -> None:
    async with running_node_server(tmp_path / "log") as server, reached(tmp_path, server.endpoint) as client:
        async with client.subscribe("Oddball", ["Counter"]) as deliveries:
            counter = Counter(deliveries)
            await counter.until(True, 5)
            server.freeze()
            assert await counter.until(False, 30) < KEEP_ALIVE + SLACK
            before = len(counter.gaps)
            server.thaw()
            await counter.until(True, 30)
            assert len(counter.gaps) >= max(before, 1)
            counter.gaps.clear()
            server.kill()
            assert await counter.until(False, 10) < 1.0 + SLACK
            async with running_node_server(tmp_path / "second", "--port", str(server.port)):
                await counter.until(True, 30)
                assert counter.gaps
                assert counter.last is not None
