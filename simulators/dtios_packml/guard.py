"""Writes that may be refused: asyncua's server takes any value of the right type, a machine does not."""

from collections.abc import Callable
from typing import Any

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from dtios_packml.wire import status

__all__ = ["Guard", "guard_writes"]

Guard = Callable[[Any], ua.StatusCode]
"""Takes the value a client wants to write; a Bad code refuses it."""


class _GuardedWrites(AttributeService):
    def __init__(self, server: Server, guards: dict[ua.NodeId, tuple[ua.VariantType, Guard]]) -> None:
        super().__init__(server.iserver.aspace)
        self._guards = guards

    async def write(self, params: ua.WriteParameters, user: User = User(role=UserRole.Admin)) -> list[ua.StatusCode]:  # noqa: B008 - the signature of the base
        codes: list[ua.StatusCode] = []
        for item in params.NodesToWrite:
            code = self._check(item) if user.role != UserRole.Admin else status()
            if code.is_good():
                code = (await super().write(ua.WriteParameters(NodesToWrite=[item]), user))[0]
            codes.append(code)
        return codes

    def _check(self, item: ua.WriteValue) -> ua.StatusCode:
        guard = self._guards.get(item.NodeId) if item.AttributeId == AttributeIds.Value else None
        if guard is None:
            return status()
        variant = item.Value.Value
        if variant is None or variant.VariantType != guard[0] or variant.is_array:
            return status(StatusCodes.BadTypeMismatch)
        return guard[1](variant.Value)


def guard_writes(server: Server, guards: dict[ua.NodeId, tuple[ua.VariantType, Guard]]) -> None:
    """`guards`: the type each point takes and what judges its values. What the server itself writes is not judged."""
    server.iserver.attribute_service = _GuardedWrites(server, guards)
