"""The part of the conformance suite for events and conditions, where a rig has them (`Rig.tells_events`)."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from unittest import SkipTest

import anyio

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.errors import RefusedError, TemporaryError
from dtios.sdk.adapter import ConditionCommand, EventFields
from dtios.testing.checking import allow, check, raises
from dtios.testing.rig import Probe, Rig, connected

__all__ = ["EventConformance"]

WITHIN = 10.0
"""Seconds until something that happened must have been told."""


class EventConformance(ABC):
    """A base of `AdapterConformance`."""

    @abstractmethod
    def rig(self) -> AbstractAsyncContextManager[Rig]: ...

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[tuple[Rig, Probe]]:
        async with self.rig() as rig:
            if not rig.tells_events:
                raise SkipTest("this server tells no events")
            async with connected(rig) as probe:
                yield rig, probe

    @check("EVT-1", "wanted events arrive once, in order, with their fields, and others do not")
    async def test_wanted_events(self) -> None:
        async with self._telling() as (rig, probe):
            await probe.connection.watch_events([EventFields(rig.event_type, (rig.event_field,))])
            await _until(probe, lambda: probe.sink.refreshed > 0)
            for number in range(20):
                await rig.tell(number)
            await _until(probe, lambda: len(probe.sink.events) >= 20)
            assert [event.fields.get(rig.event_field) for event in probe.sink.events] == list(range(20))
            assert all(event.types[0] == rig.event_type for event in probe.sink.events)
            assert len({event.event for event in probe.sink.events}) == 20
            assert all(event.source for event in probe.sink.events)

    @check("EVT-2", "conditions that are there are told before it is said that these are all, and changes after that")
    async def test_conditions(self) -> None:
        async with self._telling() as (rig, probe):
            await rig.alarm("First", active=True)
            await probe.connection.watch_events([])
            await _until(probe, lambda: probe.sink.refreshed > 0)
            (first,) = _present(probe).values()
            assert (first.name, first.active, first.acknowledged, first.retain) == ("First", True, False, True)
            assert 1 <= first.severity <= 1000
            await rig.alarm("Second", active=True)
            await _until(probe, lambda: len(_present(probe)) == 2)
            await rig.alarm("First", active=False)
            await _until(probe, lambda: [c.name for c in _present(probe).values()] == ["Second"])

    @check("EVT-3", "what is done about a condition reaches the machine, once, and is told")
    async def test_condition_commands(self) -> None:
        async with self._telling() as (rig, probe):
            condition = await _alarmed(rig, probe)
            asked = ConditionCommand(condition.condition, ConditionVerb.ACKNOWLEDGE, "seen")
            await probe.connection.command_condition(asked, allow)
            await _until(probe, lambda: all(c.acknowledged for c in _present(probe).values()))
            assert await rig.handled() == [("Alarm", "acknowledge", "seen")]

    @check("EVT-4", "the last check keeps a command about a condition back, and a condition that is not there is refused")
    async def test_refused_condition_commands(self) -> None:
        def refuse() -> None:
            raise RefusedError("the gate says no")

        async with self._telling() as (rig, probe):
            condition = await _alarmed(rig, probe)
            asked = ConditionCommand(condition.condition, ConditionVerb.ACKNOWLEDGE)
            error = await raises(RefusedError, probe.connection.command_condition(asked, refuse))
            assert error.message == "the gate says no"
            unknown = ConditionCommand(f"{condition.condition}-not-there", ConditionVerb.ACKNOWLEDGE)
            assert (await raises(RefusedError, probe.connection.command_condition(unknown, allow))).mend
            assert [done for done in await rig.handled() if done[0] == "Alarm"] == []

    @check("EVT-5", "after a lost connection the conditions that are there are told, and those that are over are not")
    async def test_conditions_after_a_loss(self) -> None:
        async with self._telling() as (rig, probe):
            await _alarmed(rig, probe)
            await rig.cut()
            await probe.ended.wait()
            assert isinstance(probe.error, TemporaryError)
            await rig.alarm("Alarm", active=False)
            await rig.alarm("Later", active=True)
            async with connected(rig) as again:
                await again.connection.watch_events([])
                await _until(again, lambda: again.sink.refreshed > 0)
                assert [c.name for c in _present(again).values()] == ["Later"]


def _present(probe: Probe) -> dict[str, Condition]:
    """By id, as told last."""
    last = {condition.condition: condition for _, condition in probe.sink.conditions}
    return {name: condition for name, condition in last.items() if condition.retain}


async def _alarmed(rig: Rig, probe: Probe) -> Condition:
    await probe.connection.watch_events([])
    await rig.alarm("Alarm", active=True)
    await _until(probe, lambda: len(_present(probe)) == 1)
    return next(iter(_present(probe).values()))


async def _until(probe: Probe, so: Callable[[], bool]) -> None:
    with anyio.fail_after(WITHIN):
        while not so():
            await probe.sink.change()
