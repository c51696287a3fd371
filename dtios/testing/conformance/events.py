"""Rules EVT: events and conditions, where a machine tells them."""

from collections.abc import Callable

import anyio

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.errors import RefusedError
from dtios.sdk.adapter import ConditionCommand, EventFields
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.commanding import refuse
from dtios.testing.conformance.connection import lost_within
from dtios.testing.conformance.probe import Probe, connected
from dtios.testing.conformance.rig import Rig
from dtios.testing.conformance.rule import Need, allow, check, raises

__all__ = ["Telling"]


class Telling(Suite):
    @check("EVT-1", "wanted events arrive once, in order, with their fields, and others do not", Level.GOLD, Need.EVENTS)
    async def test_wanted_events(self) -> None:
        async with self.session() as (rig, probe):
            await probe.connection.watch_events([EventFields(rig.event_type, (rig.event_field,))])
            await _until(probe, lambda: probe.sink.refreshed > 0, "that all conditions were told")
            for number in range(20):
                await rig.tell(number)
            await _until(probe, lambda: len(probe.sink.events) >= 20, "20 events")
            numbers = [event.fields.get(rig.event_field) for event in probe.sink.events]
            assert numbers == list(range(20)), f"the events 0 to 19 came as {numbers}"
            assert all(event.types[0] == rig.event_type for event in probe.sink.events), "events of another type came"
            assert len({event.event for event in probe.sink.events}) == 20, "events have the same id"
            assert all(event.source for event in probe.sink.events), "an event has no source"

    @check(
        "EVT-2",
        "conditions that are there are told before it is said that these are all, and changes after that",
        Level.GOLD,
        Need.EVENTS,
    )
    async def test_conditions(self) -> None:
        async with self.session() as (rig, probe):
            await rig.alarm("First", active=True)
            await probe.connection.watch_events([])
            await _until(probe, lambda: probe.sink.refreshed > 0, "that all conditions were told")
            present = list(_present(probe).values())
            assert [c.name for c in present] == ["First"], f"one condition was there, and {len(present)} were told before that"
            first = present[0]
            assert (first.active, first.acknowledged) == (True, False), "an active condition came as another one"
            assert 1 <= first.severity <= 1000, f"its severity is {first.severity}"
            await rig.alarm("Second", active=True)
            await _until(probe, lambda: len(_present(probe)) == 2, "a second condition")
            await rig.alarm("First", active=False)
            await _until(
                probe, lambda: [c.name for c in _present(probe).values()] == ["Second"], "the end of the first condition"
            )

    @check("EVT-3", "what is done about a condition reaches the machine, once, and is told", Level.PLATINUM, Need.EVENTS)
    async def test_condition_commands(self) -> None:
        async with self.session() as (rig, probe):
            condition = await _alarmed(rig, probe)
            asked = ConditionCommand(condition.condition, ConditionVerb.ACKNOWLEDGE, "seen")
            await probe.connection.command_condition(asked, allow)
            await _until(probe, lambda: all(c.acknowledged for c in _present(probe).values()), "the acknowledgement")
            handled = await rig.handled()
            assert handled == [("Alarm", "acknowledge", "seen")], f"the machine received {handled}"

    @check(
        "EVT-4",
        "the last check keeps a command about a condition back, and a condition that is not there is refused",
        Level.GOLD,
        Need.EVENTS,
    )
    async def test_refused_condition_commands(self) -> None:
        async with self.session() as (rig, probe):
            condition = await _alarmed(rig, probe)
            asked = ConditionCommand(condition.condition, ConditionVerb.ACKNOWLEDGE)
            await raises(RefusedError, probe.connection.command_condition(asked, refuse))
            await anyio.sleep(0.05)
            unknown = ConditionCommand(f"{condition.condition}-not-there", ConditionVerb.ACKNOWLEDGE)
            await raises(RefusedError, probe.connection.command_condition(unknown, allow))
            handled = [done for done in await rig.handled() if done[0] == "Alarm"]
            assert handled == [], f"the machine received {handled}"

    @check(
        "EVT-5",
        "after a lost connection the conditions that are there are told, and those that are over are not",
        Level.GOLD,
        Need.EVENTS,
    )
    async def test_conditions_after_a_loss(self) -> None:
        async with self.session() as (rig, probe):
            await _alarmed(rig, probe)
            await rig.cut()
            await lost_within(probe, 2.0, "a closed socket")
            await rig.alarm("Alarm", active=False)
            await rig.alarm("Later", active=True)
            async with connected(rig) as again:
                await again.connection.watch_events([])
                await _until(again, lambda: again.sink.refreshed > 0, "that all conditions were told")
                names = [c.name for c in _present(again).values()]
                assert names == ["Later"], f"Later is there and Alarm is over, and what was told is {names}"


def _present(probe: Probe) -> dict[str, Condition]:
    """By id, as told last."""
    last = {condition.condition: condition for _, condition in probe.sink.conditions}
    return {name: condition for name, condition in last.items() if condition.retain}


async def _alarmed(rig: Rig, probe: Probe) -> Condition:
    await probe.connection.watch_events([])
    await rig.alarm("Alarm", active=True)
    await _until(probe, lambda: len(_present(probe)) == 1, "the condition")
    return next(iter(_present(probe).values()))


async def _until(probe: Probe, so: Callable[[], bool], what: str) -> None:
    within = 2 * probe.sink.patience
    with anyio.move_on_after(within):
        while not so():
            await probe.sink.change()
    assert so(), f"{what} was not told within {within:g} s"
