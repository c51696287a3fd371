"""An asyncua server on 127.0.0.1 for as long as a block runs, ended at once."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from asyncua import ua
from asyncua.server.server import Server

__all__ = ["hosted"]


@asynccontextmanager
async def hosted(uri: str, path: str, port: int, build: Callable[[Server], Awaitable[None]]) -> AsyncIterator[str]:
    """`build` fills the address space before the first client comes; the endpoint's URL. Security None, anonymous users."""
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}{path}")
    await server.set_application_uri(uri)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await build(server)
    await server.start()
    assert server.bserver is not None  # it has one from its start on
    try:
        yield f"opc.tcp://127.0.0.1:{server.bserver.port}{path}"
    finally:
        await _end_clock(server)
        await server.stop()


async def _end_clock(server: Server) -> None:
    # asyncua's stop waits for a task that sleeps for up to a second
    clock, server.iserver.time_task = server.iserver.time_task, None
    if clock is not None:
        clock.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await clock
