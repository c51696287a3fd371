"""A session with the broker above, kept for as long as a publisher runs: opened, served, lost, opened again."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from dtios.model.errors import ConfigurationError, DtiosError
from dtios.sdk import Context
from dtios_mqtt.errors import LostError
from dtios_mqtt.north.broker import BrokerConfig
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Will
from dtios_mqtt.session.opening import open_session
from dtios_mqtt.settings import Address

__all__ = ["keep_session"]

FIRST: Final = 0.5
LONGEST: Final = 5.0
"""Seconds between two attempts: doubled from the first on."""


async def keep_session(
    ctx: Context[Any],
    broker: BrokerConfig,
    will: Callable[[], Will | None],
    work: Callable[[MqttClient], Awaitable[None]],
) -> None:
    """Until cancelled. `work` is run with each session, beside its keep-alives, and cancelled when the session is lost; what it
    raises but LostError comes out. `will` is asked for each CONNECT. When it is cancelled itself (the publisher ends), it may
    still say something in a shielded `finally`: the session is closed after, and the broker keeps the will to itself.

    The log says the loss once, and the return once. Raises ConfigurationError for what will not get better by itself.
    """
    address = Address(broker.url)
    client_id = broker.client_id or f"dtios-{uuid.uuid4().hex[:12]}"
    wait, said = FIRST, ""
    while True:
        try:
            client = await open_session(address, broker, client_id, will=will)
        except ConfigurationError:
            raise
        except DtiosError as error:
            if str(error) != said:
                ctx.log.warning("the broker is not reached", url=broker.url, why=str(error))
            said = str(error)
            await ctx.sleep(wait)
            wait = min(2 * wait, LONGEST)
            continue
        ctx.log.info("the broker is reached", url=broker.url)
        said = ""
        lost = await _serve(client, work)
        ctx.log.warning("the broker is lost", url=broker.url, why=str(lost))
        if lost.refused is None:  # one that refuses what is sent will go on to do so
            wait = FIRST
        await ctx.sleep(wait)
        wait = min(2 * wait, LONGEST)


async def _serve(client: MqttClient, work: Callable[[MqttClient], Awaitable[None]]) -> LostError:
    """Why the session ended. Cancelled: after `work` has had its last word."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.serve, name="north: session")
            await work(client)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        _, others = group.split(LostError)
        first = _first(group if others is None else others)
        if not isinstance(first, LostError):
            raise first from None
        return first
    finally:
        with anyio.CancelScope(shield=True):
            await client.close()
    return LostError("its work is done")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
