"""The machine of the rig: its variables and methods, and what the rig does to it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua as asyncua_ua
from asyncua.common.methods import uamethod
from asyncua.common.node import Node
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.ua import uaprotocol_auto

from dtios.testing.conformance import SAMPLES
from dtios_opcua_rig.alarms import Alarms

__all__ = ["NAMESPACE", "Machine"]

ua: Any = asyncua_ua  # its annotations are narrower than what it takes
NAMESPACE = "urn:dtios:conformance"


class Machine:
    """Each public method is one that the rig asks for by its name."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.nodes: dict[str, Node] = {}
        self.types: dict[str, ua.VariantType] = {}
        self.writes: dict[str, int] = {}
        self.users = Users()
        server.iserver.user_manager = self.users
        vars(uaprotocol_auto)["datetime"] = Skewed

    async def build(self) -> None:
        self.space = space = await self.server.register_namespace(NAMESPACE)
        self.at = at = await self.server.nodes.objects.add_object(ua.NodeId("C", space), ua.QualifiedName("Conformance", space))

        for name in SAMPLES:
            await self._sample(name)
        await (await self._variable("Counter", 0, ua.VariantType.Int64)).set_writable()
        await self._variable("Fixed", 0.5, ua.VariantType.Double)
        double = [ua.VariantType.Double]

        @uamethod
        def add(_parent: Any, a: float, b: float) -> float:
            self.called("Add")
            return a + b

        def refuse(_parent: Any) -> Any:
            self.called("Refuse")
            return ua.StatusCode(ua.StatusCodes.BadInvalidState)

        @uamethod
        async def slow(_parent: Any, seconds: float) -> None:
            self.called("Slow")
            await asyncio.sleep(seconds)

        await at.add_method(ua.NodeId("C/Add", space), ua.QualifiedName("Add", space), add, double * 2, double)
        await at.add_method(ua.NodeId("C/Refuse", space), ua.QualifiedName("Refuse", space), refuse, [], [])
        await at.add_method(ua.NodeId("C/Slow", space), ua.QualifiedName("Slow", space), slow, double, [])
        self._count_writes()
        self.alarms = Alarms(self.server, at, space)
        await self.alarms.build()

    async def _sample(self, name: str) -> None:
        builtin, rank, samples = SAMPLES[name]
        await (await self._variable(name, samples[0], ua.VariantType(int(builtin)), rank)).set_writable()

    async def _variable(self, name: str, value: Any, kind: ua.VariantType, rank: int = -1) -> Node:
        variant = ua.Variant(value, kind, is_array=rank == 1)
        place = ua.NodeId(f"C/{name}", self.space), ua.QualifiedName(name, self.space)
        node: Node = await self.at.add_variable(*place, variant)
        await node.write_attribute(ua.AttributeIds.ValueRank, ua.DataValue(ua.Variant(rank, ua.VariantType.Int32)))
        self.nodes[name], self.types[name] = node, kind
        return node

    def called(self, name: str) -> None:
        self.writes[name] = self.writes.get(name, 0) + 1

    def _count_writes(self) -> None:
        """What clients write comes through here; what `set` writes goes beside it."""
        names = {node.nodeid: name for name, node in self.nodes.items()}
        service = self.server.iserver.attribute_service
        write = service.write

        async def counted(params: Any, *args: Any, **kwargs: Any) -> Any:
            for one in params.NodesToWrite:
                if one.NodeId in names:
                    self.called(names[one.NodeId])
            return await write(params, *args, **kwargs)

        service.write = counted

    # --- what the rig asks ------------------------------------------------------------------------------------------------

    async def set(self, name: str, value: Any, status: int, source_time: int | None) -> None:
        bad = status >> 31
        time = _now() if source_time is None else _time(source_time)
        found = ua.DataValue(
            ua.Variant(
                None if bad else value, ua.VariantType.Null if bad else self.types[name], is_array=isinstance(value, list)
            ),
            ua.StatusCode(status),
            SourceTimestamp=time,
            ServerTimestamp=time,
        )
        await self.server.iserver.aspace.write_attribute_value(self.nodes[name].nodeid, ua.AttributeIds.Value, found)

    async def get(self, name: str) -> Any:
        return self.server.iserver.aspace.read_attribute_value(self.nodes[name].nodeid, ua.AttributeIds.Value).Value.Value

    async def count(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            await self.set("Counter", number, 0, None)
            if number % 100 == 0:
                await asyncio.sleep(0)

    async def sessions(self) -> int:
        return len(self.server.bserver.clients)

    async def writes_of(self, name: str) -> int:
        return self.writes.get(name, 0)

    async def tell(self, number: int) -> None:
        await self.alarms.tell(number)

    async def alarm(self, name: str, active: bool) -> None:
        await self.alarms.alarm(name, active)

    async def handled(self) -> list[tuple[str, str, str]]:
        return self.alarms.handled

    async def remove(self, name: str) -> None:
        await self.server.delete_nodes([self.nodes[name]])

    async def add(self, name: str) -> None:
        await self._sample(name)

    async def skew(self, seconds: float) -> None:
        Skewed.ahead = seconds

    async def require(self, user: str, password: str) -> None:
        self.users.known = {user: password}

    async def forget(self) -> None:
        """As it was, for the next check."""
        await self.alarms.forget()
        self.users.known = {}
        Skewed.ahead = 0.0
        for name, node in self.nodes.items():
            if name in SAMPLES and node.nodeid not in self.server.iserver.aspace:
                await self._sample(name)

    async def cut(self) -> None:
        for client in list(self.server.bserver.clients):
            client.transport.abort()


class Users:
    """A user manager of asyncua's: everybody may do everything, or who is known with a password."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def get_user(self, _server: Any, username: str | None = None, password: str | None = None, certificate: Any = None) -> Any:
        if self.known and (username is None or self.known.get(username) != password):
            return None
        return User(role=UserRole.User)


class Skewed(datetime):
    """The clock that asyncua stamps its answers with (uaprotocol_auto)."""

    ahead = 0.0
    """Seconds."""

    @classmethod
    def now(cls, tz: Any = None) -> "Skewed":
        return cls.fromtimestamp(time.time() + cls.ahead, tz)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time() + Skewed.ahead, UTC)


def _time(nanoseconds: int) -> datetime:
    """asyncua's times are Python's: microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
