"""The server behind the OPC UA conformance rig, in a process of its own: `python -m tests.conformance.opcua_server PORT`.

Prints its port when it is ready; then a JSON object a line in, one out. Values travel pickled: they are ours, and the test's.
"""

import asyncio
import base64
import json
import logging
import pickle
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import Server, ua, uamethod
from asyncua.common.node import Node

from dtios.testing.conformance import SAMPLES
from tests.conformance.opcua_alarms import Alarms

NAMESPACE = "urn:dtios:conformance"


class Machine:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.nodes: dict[str, Node] = {}
        self.types: dict[str, ua.VariantType] = {}
        self.writes: dict[str, int] = {}

    async def build(self) -> None:
        space = await self.server.register_namespace(NAMESPACE)
        at = await self.server.nodes.objects.add_object(ua.NodeId("C", space), ua.QualifiedName("Conformance", space))

        async def variable(name: str, value: Any, kind: ua.VariantType, rank: int = -1) -> Node:
            variant = ua.Variant(value, kind, is_array=rank == 1)
            node = await at.add_variable(ua.NodeId(f"C/{name}", space), ua.QualifiedName(name, space), variant)
            await node.write_attribute(ua.AttributeIds.ValueRank, ua.DataValue(ua.Variant(rank, ua.VariantType.Int32)))
            self.nodes[name], self.types[name] = node, kind
            return node

        for name, (builtin, rank, samples) in SAMPLES.items():
            await (await variable(name, samples[0], ua.VariantType(int(builtin)), rank)).set_writable()
        await (await variable("Counter", 0, ua.VariantType.Int64)).set_writable()
        await variable("Fixed", 0.5, ua.VariantType.Double)
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
        time = datetime.now(UTC) if source_time is None else _time(source_time)
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

    async def forget_alarms(self) -> None:
        """For the next check."""
        self.alarms.forget()

    async def cut(self) -> None:
        for client in list(self.server.bserver.clients):
            client.transport.abort()


def _time(nanoseconds: int) -> datetime:
    """asyncua's times are Python's: microseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)


async def main(port: int) -> None:
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    machine = Machine(server)
    await machine.build()
    async with server:
        print(server.bserver.port, flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            name, arguments = pickle.loads(base64.b64decode(json.loads(line)))
            answer = await getattr(machine, name)(*arguments)
            print(json.dumps(base64.b64encode(pickle.dumps(answer)).decode()), flush=True)


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(main(int(sys.argv[1])))
