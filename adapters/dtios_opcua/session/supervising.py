"""Is the server still there? Judged by bytes received, asked with a small read when there were none."""

import time
from collections.abc import Callable

import anyio
from asyncua.ua.uaerrors import UaError

from dtios.sdk.adapter import Sink
from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.errors import LostError
from dtios_opcua.session.channel import Answer, Channel
from dtios_opcua.session.services import Attribute, Service, read_payload

__all__ = ["watch_channel"]

_STATE = ((0, 2259), Attribute.VALUE)  # ServerStatus.State
_TICKS = 10
_ASK_AFTER = 3


async def watch_channel(channel: Channel, keep_alive: float, sink: Sink, lost: Callable[[Exception], None]) -> None:
    """Call `lost` within `keep_alive` seconds of silence; renew the secure channel when it is time.

    Silence is counted in ticks of this loop, each for no more than it should last: an event loop that was blocked, or a
    process that was stopped, does not take its own absence for the server's.
    """
    tick = keep_alive / _TICKS
    silent = 0.0
    heard = channel.last_heard
    asked: Answer | None = None
    renewed = time.monotonic()
    while True:
        before = time.monotonic()
        await anyio.sleep(tick)
        if channel.last_heard != heard:
            heard, silent = channel.last_heard, 0.0
            sink.alive()
        else:
            silent += min(time.monotonic() - before, 1.2 * tick)
        if silent >= keep_alive - 1.5 * tick:
            lost(LostError(f"the server has been silent for {silent:.1f} s"))
            return
        try:
            if silent >= (_ASK_AFTER - 1) * tick and (asked is None or asked.done()):
                asked = channel.hand_over(Service.READ, read_payload([_STATE]), keep_alive)
                asked.add_done_callback(_taken)
            if time.monotonic() - renewed > channel.renewal:
                renewed = time.monotonic()
                await channel.renew()
        except (LostError, OSError) as error:
            lost(error)
            return
        except (UaError, Undecodable) as error:
            lost(LostError(f"the secure channel could not be renewed ({error})"))
            return


def _taken(answer: Answer) -> None:
    """Only its arrival matters; an exception is the connection's, which is told elsewhere."""
    if not answer.cancelled():
        answer.exception()
