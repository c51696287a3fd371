"""Waiting until signals were read for the first time."""

from collections.abc import Iterable
from typing import Final

import anyio

from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.sdk.clock import Clock

__all__ = ["first_readings"]

LIMIT: Final = 2.0
"""Seconds: what has no reading by then has none, and the gate refuses."""


async def first_readings(router: Router, handles: Iterable[int], clock: Clock) -> None:
    """Until each has a reading, for LIMIT at most."""
    missing = {handle for handle in handles if router.last(handle) is None}
    if not missing:
        return
    consumer = Consumer("first readings", missing, "latest", len(missing), clock)
    router.attach(consumer)
    try:
        with anyio.move_on_after(LIMIT):
            while missing and (delivery := await consumer.take()) is not None:
                missing -= set() if delivery.batch is None else set(delivery.batch.handles)
                consumer.acknowledge(delivery.number)
    finally:
        router.detach(consumer)
