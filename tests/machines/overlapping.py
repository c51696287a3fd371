"""Lets an asyncua server answer other requests while a method runs, as a machine does.

asyncua's server works off the requests of a connection one after the other, so that a method of two seconds holds up
reads, Stop and PublishRequests for two seconds.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from asyncua.server.binary_server_asyncio import OPCUAProtocol

__all__ = ["overlapping_requests"]

PATIENCE: Final = 0.02
"""Seconds that a request may take before the next one overtakes it; quick ones stay in order."""


async def _work_off(protocol: OPCUAProtocol) -> None:
    running: set[asyncio.Task[Any]] = set()
    try:
        while True:
            header, body = await protocol.messages.get()
            if header is None:
                return
            task = asyncio.create_task(protocol._process_one_msg(header, body), name="request")
            running.add(task)
            task.add_done_callback(running.discard)
            done, _ = await asyncio.wait([task], timeout=PATIENCE)
            if done and not task.result():
                return
    finally:
        for task in running:
            task.cancel()


@contextmanager
def overlapping_requests() -> Iterator[None]:
    """For all asyncua servers of this process whose connections are made while the block runs."""
    with patch.object(OPCUAProtocol, "_process_received_message_loop", _work_off):
        yield
