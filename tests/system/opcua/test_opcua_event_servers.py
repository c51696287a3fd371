"""What a server may tell about its events, and what it may not do: judged by what the sink is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from asyncua import Server, ua

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.gap import GapCause
from dtios.model.values import QualifiedName
from dtios.sdk.adapter import ConditionCommand, EventFields
from dtios.testing.conformance import Probe
from dtios_opcua import adapter
from dtios_opcua_rig.alarms import EVENT, Alarms

OWN = "urn:dtios:events"
NUMBER = (QualifiedName(OWN, "Number"),)
MAX_SELECT = ua.NodeId(24099)


@asynccontextmanager
async def telling(most: int = 0) -> AsyncIterator[tuple[Alarms, Probe]]:
    """A server, and a session that watches it; `most` select clauses are all it says it takes."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace(OWN)
    at = await server.nodes.objects.add_object(ua.NodeId("C", space), ua.QualifiedName("C", space))
    alarms = Alarms(server, at, space)
    await alarms.build()
    if most:
        await server.get_node(MAX_SELECT).write_value(ua.Variant(most, ua.VariantType.UInt32))
    async with server:
        settings = adapter.settings(publishing_interval=0.02)
        probe = Probe(adapter.connect(f"opc.tcp://127.0.0.1:{server.bserver.port}", settings, Path("/nonexistent")))
        async with anyio.create_task_group() as tasks:
            await tasks.start(probe.run)
            await probe.connection.watch_events([EventFields(QualifiedName(OWN, EVENT), (NUMBER,))])
            await until(probe, lambda: probe.sink.refreshed == 1)
            yield alarms, probe
            assert probe.error is None
            tasks.cancel_scope.cancel()


async def until(probe: Probe, so: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not so():
            await probe.sink.change()


def present(probe: Probe) -> dict[str, Condition]:
    last = {condition.name: condition for _, condition in probe.sink.conditions}
    return {name: condition for name, condition in last.items() if condition.retain}


async def special(alarms: Alarms, number: int) -> None:
    await alarms._trigger(alarms._event(ua.NodeId(number)))


async def test_a_required_refresh_tells_what_is_over(tmp_path: Path) -> None:
    async with telling() as (alarms, probe):
        await alarms.alarm("Stays", True)
        await alarms.alarm("Ends", True)
        await until(probe, lambda: len(present(probe)) == 2)
        del alarms._retained["Ends"]  # and nobody tells
        await special(alarms, ua.ObjectIds.RefreshRequiredEventType)
        await until(probe, lambda: probe.sink.refreshed == 2)
        assert set(present(probe)) == {"Stays"}


async def test_an_overflow_of_the_servers_queue_is_a_loss_and_refreshes(tmp_path: Path) -> None:
    async with telling() as (alarms, probe):
        await special(alarms, ua.ObjectIds.EventQueueOverflowEventType)
        await until(probe, lambda: probe.sink.refreshed == 2)
        assert [(loss.cause, loss.handles, loss.events) for loss in probe.sink.losses] == [(GapCause.SERVER_OVERFLOW, (), True)]


async def test_ends_of_a_refresh_that_nobody_asked_for_end_nothing(tmp_path: Path) -> None:
    async with telling() as (alarms, probe):
        await alarms.alarm("Stays", True)
        await until(probe, lambda: len(present(probe)) == 1)
        await special(alarms, ua.ObjectIds.RefreshEndEventType)
        await alarms.tell(1)
        await until(probe, lambda: len(probe.sink.events) == 1)
        assert set(present(probe)) == {"Stays"}
        assert probe.sink.refreshed == 1


async def test_events_that_make_no_sense_harm_nothing(tmp_path: Path) -> None:
    async with telling() as (alarms, probe):
        for kind in (ua.NodeId(), ua.NodeId("nowhere", 77), ua.NodeId(2041), ua.NodeId(85)):
            await alarms._trigger(alarms._event(kind))
        empty = alarms._event(ua.NodeId(ua.ObjectIds.OffNormalAlarmType))
        for name in ("EventId", "SourceNode", "Message", "Severity", "Time"):
            setattr(empty, name, None)
        await alarms._trigger(empty)
        await alarms.tell(7)
        await until(probe, lambda: len(probe.sink.events) == 1)
        assert probe.sink.events[0].fields == {NUMBER: 7}


async def test_a_changed_model_is_told(tmp_path: Path) -> None:
    async with telling() as (alarms, probe):
        await special(alarms, ua.ObjectIds.GeneralModelChangeEventType)
        await until(probe, lambda: probe.sink.changes == 1)


async def test_a_server_that_takes_few_select_clauses_still_tells_both(tmp_path: Path) -> None:
    async with telling(most=14) as (alarms, probe):
        await alarms.alarm("Alarm", True)
        await alarms.tell(3)
        await until(probe, lambda: len(present(probe)) == 1 and len(probe.sink.events) == 1)
        condition = present(probe)["Alarm"]
        assert (condition.acknowledged, condition.active) == (False, True)
        assert probe.sink.events[0].fields == {NUMBER: 3}
        asked = ConditionCommand(condition.condition, ConditionVerb.ACKNOWLEDGE, "seen")
        await probe.connection.command_condition(asked, lambda: None)
        assert alarms.handled == [("Alarm", "acknowledge", "seen")]


async def test_watching_again_changes_what_is_wanted_and_loses_nothing(tmp_path: Path) -> None:
    async with telling() as (alarms, probe):
        await alarms.tell(1)
        await until(probe, lambda: len(probe.sink.events) == 1)
        await probe.connection.watch_events([])
        await alarms.tell(2)
        await probe.connection.watch_events([EventFields(QualifiedName(OWN, EVENT), (NUMBER,))])
        await alarms.tell(3)
        await until(probe, lambda: len(probe.sink.events) == 2)
        assert [event.fields[NUMBER] for event in probe.sink.events] == [1, 3]
