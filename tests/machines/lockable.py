"""The lock of a device (OPC 10000-100, LockingServicesType) for an asyncua server: it belongs to the session that took it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from unittest.mock import patch

from asyncua import Node, Server, ua
from asyncua.common.methods import uamethod
from asyncua.server.internal_session import InternalSession

from dtios_packml.lifecycle import CallLog

__all__ = ["DI", "DeviceLock", "sessions_known"]

DI: Final = "http://opcfoundation.org/UA/DI/"
_asking: ContextVar[InternalSession | None] = ContextVar("asking", default=None)


@contextmanager
def sessions_known() -> Iterator[None]:
    """While the block runs, what a server does for a session can ask which one it is."""

    def told(work: Any) -> Any:
        async def asked(session: InternalSession, *given: Any, **more: Any) -> Any:
            _asking.set(session)
            return await work(session, *given, **more)

        return asked

    with patch.object(InternalSession, "call", told(InternalSession.call)):
        with patch.object(InternalSession, "write", told(InternalSession.write)):
            yield


class DeviceLock:
    """`lasts`: seconds without a renewal. `owner`: a session, or the name of somebody else."""

    def __init__(self, log: CallLog, lasts: float) -> None:
        self._log = log
        self._lasts = lasts
        self.owner: InternalSession | str | None = None
        self._until = 0.0

    async def build(self, server: Server, device: Node, own: int) -> None:
        self._server = server
        di = await server.register_namespace(DI)
        kind = await server.nodes.base_object_type.add_object_type(ua.NodeId(6388, di), f"{di}:LockingServicesType")
        lock = await device.add_object(ua.NodeId("Lock", own), f"{di}:Lock", kind.nodeid, False)
        self._locked = await lock.add_property(ua.NodeId("Lock.Locked", own), f"{di}:Locked", False)
        self._user = await lock.add_property(ua.NodeId("Lock.User", own), f"{di}:LockingUser", "")
        self._left = await lock.add_property(ua.NodeId("Lock.Left", own), f"{di}:RemainingLockTime", 0.0)
        context = [ua.Argument(Name="Context", DataType=ua.NodeId(ua.ObjectIds.String))]
        status = [ua.Argument(Name="Status", DataType=ua.NodeId(ua.ObjectIds.Int32))]
        for name, given in (("InitLock", context), ("RenewLock", []), ("ExitLock", []), ("BreakLock", [])):
            method = uamethod(getattr(self, f"_{name.removesuffix('Lock').lower()}"))
            await lock.add_method(ua.NodeId(f"Lock.{name}", own), f"{di}:{name}", method, given, status)

    @property
    def ours(self) -> bool:
        """Whether the session that asks may command."""
        return self.owner is not None and self.owner is _asking.get()

    async def watch(self) -> None:
        """Gives it free when it runs out or its session is gone. For ever."""
        while True:
            await asyncio.sleep(0.02)
            gone = isinstance(self.owner, InternalSession) and self.owner.state.name == "Closed"
            if gone or (isinstance(self.owner, InternalSession) and time.monotonic() > self._until):
                await self.give(None, "session closed" if gone else "ran out")

    async def give(self, owner: InternalSession | str | None, why: str) -> None:
        self.owner, self._until = owner, time.monotonic() + self._lasts
        self._log.add("lock", [why])
        name = "" if owner is None else owner if isinstance(owner, str) else "a session"
        for node, value, kind in (
            (self._user, name, ua.VariantType.String),
            (self._left, self._lasts * 1000 if owner else 0.0, ua.VariantType.Double),
            (self._locked, owner is not None, ua.VariantType.Boolean),
        ):
            await self._server.write_attribute_value(node.nodeid, ua.DataValue(ua.Variant(value, kind)))

    async def _init(self, _: ua.NodeId, context: str) -> Any:
        if self.owner is not None:
            return _code(-1)
        await self.give(_asking.get(), f"InitLock {context}")
        return _code(0)

    async def _renew(self, _: ua.NodeId) -> Any:
        if not self.ours:
            return _code(-1)
        self._until = time.monotonic() + self._lasts
        return _code(0)

    async def _exit(self, _: ua.NodeId) -> Any:
        if not self.ours:
            return _code(-1)
        await self.give(None, "ExitLock")
        return _code(0)

    async def _break(self, _: ua.NodeId) -> Any:
        self._log.add("BreakLock", [])
        return _code(0)


def _code(status: int) -> ua.Variant:
    return ua.Variant(status, ua.VariantType.Int32)
