"""The conformance suite of adapters, written once: what an adapter promises (dtios.sdk.adapter), tried on a real server.

    class TestMine(AdapterConformance):
        def rig(self) -> AbstractAsyncContextManager[Rig]: ...

pytest (with pytest-asyncio) runs the checks that the class inherits. Each has a rule id and a name, for an adapter's grade.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final
from unittest import SkipTest

import anyio

from dtios.mapping.facts import BrowseFacts
from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, ValueType
from dtios.model.errors import ConfigurationError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.status import is_bad, is_good, is_overflow, status_code
from dtios.sdk.adapter import Call, MonitoredPoint, Write
from dtios.testing.checking import Rule, allow, check, raises
from dtios.testing.conformance_events import EventConformance
from dtios.testing.rig import SAMPLES, Probe, Rig, connected

__all__ = ["AdapterConformance", "Rule", "rules"]

DOUBLE: Final = ValueType(BuiltinType.Double)
UNCERTAIN: Final = status_code("UncertainInitialValue")
BAD: Final = status_code("BadSensorFailure")
MANY: Final = 2_000
NOWHERE: Final = "nsu=urn:dtios:nowhere;s=Nothing"


def rules() -> list[Rule]:
    """All, in order of their ids."""
    tests = (test for part in AdapterConformance.__mro__ for test in vars(part).values())
    found = (getattr(test, "rule", None) for test in tests)
    return sorted((rule for rule in found if rule is not None), key=lambda rule: rule.id)


class AdapterConformance(EventConformance):
    """Subclass it once for each adapter."""

    @abstractmethod
    def rig(self) -> AbstractAsyncContextManager[Rig]:
        """A running server, as `Rig` says, for one check. It is entered inside the check."""

    @asynccontextmanager
    async def _session(self, **settings: Any) -> AsyncIterator[tuple[Rig, Probe]]:
        async with self.rig() as rig, connected(rig, **settings) as probe:
            yield rig, probe

    # --- browse -------------------------------------------------------------------------------------------------------

    @check("BRO-1", "browsing twice finds the same, with types")
    async def test_browse_is_stable(self) -> None:
        async with self._session() as (_, probe):
            first, second = await probe.connection.browse(), await probe.connection.browse()
            assert _outline(first) == _outline(second)
            for name, (builtin, rank, _samples) in SAMPLES.items():
                node = await probe.node(name)
                assert node.type is not None
                assert (node.type.builtin, node.type.rank) == (builtin, rank), name
                assert node.access.readable, name
                assert node.access.writable, name
            assert not (await probe.node("Fixed")).access.writable
            add = await probe.node("Add")
            assert [a.type.builtin for a in (*add.inputs, *add.outputs)] == [BuiltinType.Double] * 3

    @check("BRO-2", "the fingerprint stays while nothing changes")
    async def test_fingerprint_is_stable(self) -> None:
        async with self._session() as (rig, probe):
            before = await probe.connection.fingerprint()
            await rig.set("Double", 1.0)
            assert await probe.connection.fingerprint() == before
            async with connected(rig) as other:
                assert await other.connection.fingerprint() == before

    # --- values -------------------------------------------------------------------------------------------------------

    @check("VAL-1", "every type is read as the machine holds it")
    async def test_read_types(self) -> None:
        async with self._session() as (rig, probe):
            for name, (_builtin, _rank, samples) in SAMPLES.items():
                address = (await probe.node(name)).address
                for sample in samples:
                    await rig.set(name, sample)
                    (reading,) = await probe.connection.read([address])
                    assert is_good(reading.status), name
                    assert reading.value == sample, name
                    assert isinstance(reading.value, type(sample)), name

    @check("VAL-2", "every type is written exactly")
    async def test_write_types(self) -> None:
        async with self._session() as (rig, probe):
            for name, (_builtin, _rank, samples) in SAMPLES.items():
                node = await probe.node(name)
                assert node.type is not None
                for sample in samples:
                    statuses = await probe.connection.write([Write(node.address, sample, node.type)], allow)
                    assert statuses == [0], f"{name} = {sample!r}"
                    assert await rig.get(name) == sample, name

    @check("VAL-3", "no value without its status: Uncertain keeps it, Bad has none")
    async def test_statuses(self) -> None:
        async with self._session() as (rig, probe):
            address = (await probe.node("Double")).address
            await rig.set("Double", 1.5, status=UNCERTAIN)
            (reading,) = await probe.connection.read([address])
            assert (reading.value, reading.status) == (1.5, UNCERTAIN)
            await rig.set("Double", 1.5, status=BAD)
            (reading,) = await probe.connection.read([address])
            assert (reading.value, reading.status) == (None, BAD)

    @check("VAL-4", "source times arrive as they were")
    async def test_source_times(self) -> None:
        async with self._session() as (rig, probe):
            time = 1_700_000_000_123_456_700 // rig.resolution * rig.resolution
            await rig.set("Double", 2.5, source_time=time)
            (reading,) = await probe.connection.read([(await probe.node("Double")).address])
            assert reading.source_time == time

    @check("VAL-5", "an unknown point is Bad, not an exception, and spoils no other")
    async def test_unknown_points(self) -> None:
        async with self._session() as (rig, probe):
            await rig.set("Double", 3.5)
            point = await probe.point(1, "Double")
            readings = await probe.connection.read([NOWHERE, point.address])
            assert is_bad(readings[0].status)
            assert readings[0].value is None
            assert readings[1].value == 3.5
            statuses = await probe.connection.subscribe([MonitoredPoint(2, NOWHERE, DOUBLE), point])
            assert [is_bad(status) for status in statuses] == [True, False]
            assert await probe.sink.until(1, 3.5)
            assert not probe.sink.of(2)

    # --- subscriptions --------------------------------------------------------------------------------------------------

    @check("SUB-1", "the present value comes first")
    async def test_present_value_first(self) -> None:
        async with self._session() as (rig, probe):
            await rig.set("Double", 4.5)
            assert await probe.connection.subscribe([await probe.point(7, "Double")]) == [0]
            assert await probe.sink.until(7, 4.5)
            await rig.set("Double", 5.5)
            assert await probe.sink.until(7, 5.5)
            assert [reading.value for reading in probe.sink.of(7)] == [4.5, 5.5]

    @check("SUB-2", "under load the order holds, and a queue that is long enough loses nothing")
    async def test_order_under_load(self) -> None:
        async with self._session() as (rig, probe):
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter", queue=2 * MANY)])
            assert await probe.sink.until(1, 0)
            await rig.count(1, MANY)
            assert await probe.sink.until(1, MANY, within=20)
            assert [reading.value for reading in probe.sink.of(1)] == list(range(MANY + 1))
            assert not probe.sink.losses

    @check("SUB-6", "what a full queue of the machine loses is told, and the order holds")
    async def test_overflow_is_told(self) -> None:
        async with self.rig() as rig:
            if not rig.tells_overflow:
                raise SkipTest("this server does not set the overflow bit")
            async with connected(rig) as probe:
                await rig.set("Counter", 0)
                await probe.connection.subscribe([await probe.point(1, "Counter", queue=2)])
                assert await probe.sink.until(1, 0)
                probe.sink.close()
                await rig.count(1, MANY)
                probe.sink.open.set()
                assert await probe.sink.until(1, MANY, within=20)
                values = [reading.value for reading in probe.sink.of(1)]
                assert values == sorted(set(values))
                assert len(values) < MANY
                assert probe.sink.losses or any(is_overflow(reading.status) for reading in probe.sink.of(1))

    @check("SUB-3", "a sink that waits is given nothing more, and nothing at the same time")
    async def test_back_pressure(self) -> None:
        async with self._session() as (rig, probe):
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter")])
            assert await probe.sink.until(1, 0)
            probe.sink.close()
            for number in range(1, 6):
                await rig.set("Counter", number)
                await anyio.sleep(0.03)
            assert probe.sink.most_inside == 1
            assert probe.sink.of(1)[-1].value == 0
            probe.sink.open.set()
            assert await probe.sink.until(1, 5)

    @check("SUB-4", "unsubscribe stops what was subscribed, and no more")
    async def test_unsubscribe(self) -> None:
        async with self._session() as (rig, probe):
            await rig.set("Double", 0.0)
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Double"), await probe.point(2, "Counter")])
            assert await probe.sink.until(1, 0.0)
            await probe.connection.unsubscribe([1])
            await rig.set("Double", 1.0)
            await rig.set("Counter", 1)
            assert await probe.sink.until(2, 1)
            await anyio.sleep(0.1)
            assert [reading.value for reading in probe.sink.of(1)] == [0.0]

    @check("SUB-5", "two handles of one point, and two connections, each get every value")
    async def test_two_subscribers(self) -> None:
        async with self._session() as (rig, probe), connected(rig) as other:
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter"), await probe.point(2, "Counter")])
            await other.connection.subscribe([await other.point(1, "Counter")])
            for sink, handle in ((probe.sink, 1), (probe.sink, 2), (other.sink, 1)):
                assert await sink.until(handle, 0)
            await rig.count(1, 20)
            for sink, handle in ((probe.sink, 1), (probe.sink, 2), (other.sink, 1)):
                assert await sink.until(handle, 20)
                assert [reading.value for reading in sink.of(handle)] == list(range(21))

    # --- commands -------------------------------------------------------------------------------------------------------

    @check("CMD-1", "when the last check refuses nothing is sent")
    async def test_last_check_refuses(self) -> None:
        def refuse() -> None:
            raise RefusedError("the lease is gone")

        async with self._session() as (rig, probe):
            await rig.set("Counter", 1)
            node, add = await probe.node("Counter"), await _call(probe, "Add", (1.0, DOUBLE), (2.0, DOUBLE))
            assert node.type is not None
            before = await rig.writes("Counter"), await rig.writes("Add")
            await raises(RefusedError, probe.connection.write([Write(node.address, 2, node.type)], refuse))
            await raises(RefusedError, probe.connection.call(add, refuse))
            assert await rig.get("Counter") == 1
            assert (await rig.writes("Counter"), await rig.writes("Add")) == before

    @check("CMD-2", "nothing is awaited between the last check and the hand-over")
    async def test_last_check_is_last(self) -> None:
        async with self._session() as (rig, probe):
            node = await probe.node("Counter")
            assert node.type is not None
            # Who awaited something now would be cancelled there, and the command would not leave.
            with anyio.CancelScope() as scope:

                def cancel_next_turn() -> None:
                    asyncio.get_running_loop().call_soon(scope.cancel)

                write = [Write(node.address, 77, node.type)]
                await probe.connection.write(write, cancel_next_turn)
            with anyio.fail_after(2):
                while await rig.get("Counter") != 77:  # noqa: ASYNC110  # the machine tells nobody what it received
                    await anyio.sleep(0.02)

    @check("CMD-3", "what may not be written is answered Bad, and what does not fit is refused before it is sent")
    async def test_writes_that_cannot_be(self) -> None:
        async with self._session() as (rig, probe):
            fixed, byte = await probe.node("Fixed"), await probe.node("Byte")
            assert fixed.type is not None
            assert byte.type is not None
            held = await rig.get("Fixed")
            (status,) = await probe.connection.write([Write(fixed.address, 1.25, fixed.type)], allow)
            assert is_bad(status)
            assert await rig.get("Fixed") == held
            await rig.set("Byte", 1)
            for value in (INTEGER_RANGES[BuiltinType.Byte][1] + 1, -1, 1.5, "1", None):
                await raises(
                    (RefusedError, ConfigurationError), probe.connection.write([Write(byte.address, value, byte.type)], allow)
                )
            assert await rig.get("Byte") == 1

    @check("CMD-4", "a method's outputs come back, and the machine's refusal with its reason")
    async def test_calls(self) -> None:
        async with self._session() as (_, probe):
            assert await probe.connection.call(await _call(probe, "Add", (1.5, DOUBLE), (2.0, DOUBLE)), allow) == [3.5]
            error = await raises(RefusedError, probe.connection.call(await _call(probe, "Refuse"), allow))
            assert str(error)
            await raises(
                (RefusedError, ConfigurationError), probe.connection.call(await _call(probe, "Add", (1.0, DOUBLE)), allow)
            )

    @check("CMD-5", "commands at the same time do not disturb each other")
    async def test_concurrent_commands(self) -> None:
        async with self._session() as (rig, probe):
            names = [name for name, (builtin, rank, _) in SAMPLES.items() if rank == -1 and builtin in INTEGER_RANGES]
            nodes = {name: await probe.node(name) for name in names}

            async def write(name: str) -> None:
                node = nodes[name]
                assert node.type is not None
                for value in (1, 2, 3):
                    assert await probe.connection.write([Write(node.address, value, node.type)], allow) == [0]

            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(write, name)
            assert [await rig.get(name) for name in names] == [3] * len(names)

    @check("CMD-6", "a command whose answer never comes is OutcomeUnknown, within its time, and is not repeated")
    async def test_unanswered_command(self) -> None:
        async with self._session(timeout=0.5, keep_alive=5) as (rig, probe):
            node = await probe.node("Counter")
            assert node.type is not None
            before = await rig.writes("Counter")
            await rig.freeze()
            with anyio.fail_after(2):
                await raises(OutcomeUnknown, probe.connection.write([Write(node.address, 5, node.type)], allow))
            await rig.thaw()
            await anyio.sleep(0.2)
            assert await rig.writes("Counter") - before <= 1

    @check("CMD-7", "a command in flight when the connection breaks is OutcomeUnknown")
    async def test_command_in_flight(self) -> None:
        async with self._session() as (rig, probe), anyio.create_task_group() as tasks:
            slow = await _call(probe, "Slow", (3.0, DOUBLE))
            over = anyio.Event()

            async def call() -> None:
                await raises(OutcomeUnknown, probe.connection.call(slow, allow))
                over.set()

            tasks.start_soon(call)
            await anyio.sleep(0.2)
            await rig.cut()
            with anyio.fail_after(2):
                await over.wait()

    # --- connection -----------------------------------------------------------------------------------------------------

    @check("CON-1", "a closed socket is noticed within a second, and the next session works")
    async def test_closed_socket(self) -> None:
        async with self._session() as (rig, probe):
            await rig.set("Double", 6.5)
            await probe.connection.subscribe([await probe.point(1, "Double")])
            assert await probe.sink.until(1, 6.5)
            address = (await probe.node("Double")).address
            await rig.cut()
            with anyio.fail_after(1):
                await probe.ended.wait()
            assert isinstance(probe.error, TemporaryError)
            assert str(probe.error)
            await raises(TemporaryError, probe.connection.read([address]))
            async with connected(rig) as again:
                await again.connection.subscribe([await again.point(1, "Double")])
                assert await again.sink.until(1, 6.5)

    @check("CON-2", "a silent machine is noticed within the keep-alive time")
    async def test_silence(self) -> None:
        async with self._session(keep_alive=1.0, timeout=0.8) as (rig, probe):
            await probe.connection.subscribe([await probe.point(1, "Double")])
            await anyio.sleep(1.5)
            assert probe.error is None, "a machine that changes nothing is not silent"
            await rig.freeze()
            with anyio.fail_after(1.5):
                await probe.ended.wait()
            assert isinstance(probe.error, TemporaryError)
            await rig.thaw()

    @check("CON-3", "nobody there is a TemporaryError in time, and a wrong address a ConfigurationError without I/O")
    async def test_nobody_there(self) -> None:
        async with self.rig() as rig:
            await rig.stop()
            with anyio.fail_after(4):
                await raises(TemporaryError, _enter(rig, timeout=1.0))
            await rig.start()
            async with connected(rig) as probe:
                assert await probe.node("Double")
            try:
                rig.adapter.connect(rig.wrong_url, rig.adapter.settings(), rig.home)
            except ConfigurationError:
                return
            raise AssertionError(f"{rig.wrong_url} was taken")

    @check("CON-4", "cancelled, it leaves no task and no session")
    async def test_cancel_leaves_nothing(self) -> None:
        async with self.rig() as rig:
            before = asyncio.all_tasks()
            for _ in range(3):
                async with connected(rig) as probe:
                    await probe.connection.subscribe([await probe.point(1, "Counter")])
                    assert await rig.sessions() == 1
            with anyio.fail_after(2):
                while await rig.sessions() or asyncio.all_tasks() - before:  # noqa: ASYNC110  # nothing tells of an end
                    await anyio.sleep(0.02)

    @check("CON-5", "one connection object serves one session after the other")
    async def test_run_again(self) -> None:
        async with self.rig() as rig:
            probe = Probe(rig.connect())
            for number in range(3):
                await rig.set("Counter", number)
                async with anyio.create_task_group() as tasks:
                    await tasks.start(probe.run)
                    await probe.connection.subscribe([await probe.point(number, "Counter")])
                    assert await probe.sink.until(number, number)
                    tasks.cancel_scope.cancel()


def _outline(facts: BrowseFacts) -> list[tuple[Any, ...]]:
    return [(node.address, node.name, node.kind, node.types, node.type, node.access) for node in facts.root.walk()]


async def _call(probe: Probe, name: str, *arguments: tuple[Any, ValueType]) -> Call:
    owner = next(n for n in (await probe.connection.browse()).root.walk() if n.name.name == "Conformance")
    return Call(owner.address, (await probe.node(name)).address, arguments, timeout=5.0)


async def _enter(rig: Rig, **settings: Any) -> None:
    async with connected(rig, **settings):
        pass
