"""The session that a broken connection left at the server: where there is room for few, it makes room for the next.

A server keeps a session for its time-out when the network broke, since its client may come back to it over another channel
(Part 4, 5.7.3). Small controllers have a handful in all, so our own dead one could lock us out for a minute.
"""

from contextlib import suppress
from dataclasses import dataclass

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.errors import BadStatus
from dtios_opcua.security.handshake import Handshake
from dtios_opcua.session.channel import Channel, foreign
from dtios_opcua.session.services import Service

__all__ = ["Leftover", "create_session"]

_PATIENCE = 1.0


@dataclass(slots=True)
class Leftover:
    """Of one connection and identity; `created` is the last session there was, whether or not it is still known to the server."""

    created: ua.CreateSessionResult | None = None


async def create_session(channel: Channel, handshake: Handshake, left: Leftover) -> ua.CreateSessionResult:
    """CreateSession; when the server has no room, the leftover is closed, and it is asked once more. Raises what asyncua and the
    services raise."""
    try:
        created = await foreign(handshake.create(channel.client))
    except UaStatusCodeError as error:
        if left.created is None or error.code != StatusCodes.BadTooManySessions:
            raise
        with suppress(UaError, BadStatus, Undecodable):  # it is gone: others have all the room
            await _close(channel, handshake, left.created)
        left.created = None
        created = await foreign(handshake.create(channel.client))
    left.created = created
    return created


async def _close(channel: Channel, handshake: Handshake, created: ua.CreateSessionResult) -> None:
    """With its subscriptions. It must be activated over this channel before it can be closed over it."""
    session = channel.client.uaclient.session
    session.restore_authentication_token(created.AuthenticationToken)
    try:
        await foreign(handshake.activate(channel.client, created))
        channel.use_token(created.AuthenticationToken)
        await channel.request(Service.CLOSE_SESSION, b"\x01", _PATIENCE)
    finally:
        session.reset_authentication_token()
