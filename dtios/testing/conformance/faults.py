"""Rules FLT: what networks and machines do to a session, and that it is over in time and the next one whole."""

import time
from typing import Any, Final

import anyio

from dtios.model.errors import OutcomeUnknown
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.connection import lost_within
from dtios.testing.conformance.describing import outline
from dtios.testing.conformance.observing import counted
from dtios.testing.conformance.probe import Probe, connected, standing
from dtios.testing.conformance.rig import Rig
from dtios.testing.conformance.rule import Need, allow, check, raises
from dtios.testing.proxy import BOTH, DOWN, UP

__all__ = ["Failing"]

QUICK: Final[dict[str, Any]] = {"keep_alive": 1.0, "timeout": 0.8}
SILENCE: Final = 1.5
"""Seconds within which silence is noticed with these settings: the keep-alive, and half a second for a busy computer."""
DEAF: Final = 4.0
"""The same where the machine is still heard and hears nothing: until what it had been asked for before is used up as well."""


class Failing(Suite):
    @check("FLT-1", "a machine that was switched off and on is reached again, its points at the same addresses", Level.SILVER)
    async def test_restart(self) -> None:
        async with self.rigged() as rig:
            probe = Probe(rig.connect(**QUICK), rig)
            async with standing(probe):
                before = outline(await probe.connection.browse())
                await _delivers(rig, probe, 1)
                await rig.stop()
                try:
                    await lost_within(probe, SILENCE, "a machine that was switched off")
                finally:
                    await rig.start()
            async with standing(probe):
                assert outline(await probe.connection.browse()) == before, "after the restart something else was found"
                await _delivers(rig, probe, 2)

    @check("FLT-2", "a network that swallows everything is noticed within the keep-alive time", Level.GOLD, Need.NETWORK)
    async def test_black_hole(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            probe = Probe(rig.connect(url, **QUICK), rig)
            async with standing(probe):
                await _delivers(rig, probe, 1)
                line.black_hole()
                await lost_within(probe, SILENCE, "a black hole (keep-alive 1 s)")
            await line.heal()
            async with standing(probe):
                await _delivers(rig, probe, 2)

    @check("FLT-3", "a connection that is dead from the machine's side is noticed", Level.GOLD, Need.NETWORK)
    async def test_dead_from_the_machine(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            probe = Probe(rig.connect(url, **QUICK), rig)
            async with standing(probe):
                await _delivers(rig, probe, 1)
                line.half_open(DOWN)
                await lost_within(probe, SILENCE, "a machine that is no longer heard (keep-alive 1 s)")
            await line.heal()
            async with standing(probe):
                await _delivers(rig, probe, 2)

    @check("FLT-4", "a connection that is dead towards the machine is noticed", Level.GOLD, Need.NETWORK)
    async def test_dead_to_the_machine(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            probe = Probe(rig.connect(url, **QUICK), rig)
            async with standing(probe):
                await _delivers(rig, probe, 1)
                line.half_open(UP)
                await lost_within(probe, DEAF, "a machine that no longer hears (keep-alive 1 s)")
            await line.heal()
            async with standing(probe):
                await _delivers(rig, probe, 2)

    @check("FLT-5", "a slow network loses nothing, changes no order and ends no session", Level.GOLD, Need.NETWORK)
    async def test_slow_network(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line), connected(rig, url, keep_alive=4.0) as probe:
            await rig.set("Counter", 0)
            await probe.connection.subscribe([await probe.point(1, "Counter", queue=1_000)])
            assert await probe.sink.until(1, 0), "the present value was not delivered"
            line.slow(BOTH, delay=0.15)
            await rig.count(1, 200)
            assert await probe.sink.until(1, 200, times=2), "the last value was not delivered"
            await line.heal()
            assert probe.error is None, f"the session was ended: {probe.error}"
            counted([reading.value for reading in probe.sink.of(1)], 200)
            assert not probe.sink.losses, f"a loss was told: {probe.sink.losses}"

    @check("FLT-6", "a write into a dead network is OutcomeUnknown within its time", Level.GOLD, Need.NETWORK)
    async def test_write_into_a_black_hole(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line), connected(rig, url, timeout=0.6, keep_alive=5.0) as probe:
            await probe.node("Counter")
            before = await rig.writes("Counter")
            line.black_hole()
            with anyio.move_on_after(2) as late:
                await raises(OutcomeUnknown, probe.write("Counter", 8, allow))
            assert not late.cancelled_caught, "a write with 0.6 s was not given up within 2 s"
            line.cut(reset=True)
            await line.heal()
            await anyio.sleep(0.1)
            assert await rig.writes("Counter") - before <= 1, "the machine received the write more than once"

    @check("FLT-7", "a machine whose clock is an hour wrong is served like any other", Level.GOLD, Need.CLOCK)
    async def test_skewed_clock(self) -> None:
        async with self.rigged() as rig:
            for hours in (1, -1):
                await rig.skew(hours * 3600.0)
                async with connected(rig, **QUICK) as probe:
                    await _delivers(rig, probe, hours)
                    row = probe.sink.of(1)[-1]
                    assert await probe.write("Double", 1.0 + hours, allow) == 0, "a write was not answered Good"
                    await anyio.sleep(1.2)
                    assert probe.error is None, f"the session was ended: {probe.error}"
                    now = time.time_ns()
                    assert row.receive_time is not None, "a value has no receive time"
                    assert abs(now - row.receive_time) < 60e9, "a value's receive time is by the machine's clock, not by ours"
                    if row.source_time is not None:
                        away = (row.source_time - now) / 1e9 - hours * 3600
                        assert abs(away) < 60, f"the machine's own time was changed by {away:.0f} s"

    @check("FLT-8", "how far the machine's clock is away is told", Level.PLATINUM, Need.CLOCK, Need.TOLD_CLOCK)
    async def test_clock_is_told(self) -> None:
        async with self.rigged() as rig:
            await rig.skew(3600.0)
            async with connected(rig) as probe:
                with anyio.move_on_after(5):
                    while not probe.sink.clocks:  # noqa: ASYNC110  # a sink is told, and nobody waits for it
                        await anyio.sleep(0.02)
                assert probe.sink.clocks, "it was not told within 5 s"
                offset, error = probe.sink.clocks[-1]
                away = abs(offset / 1e9 - 3600.0)
                assert away <= error / 1e9 + 0.1, f"it was told as {offset / 1e9:.3f} s, give or take {error / 1e9:.3f} s"


async def _delivers(rig: Rig, probe: Probe, number: int) -> None:
    """Counter is subscribed as handle 1, and what the machine sets then arrives."""
    probe.sink.rows.clear()
    (status,) = await probe.connection.subscribe([await probe.point(1, "Counter")])
    assert status == 0, "Counter could not be subscribed"
    await rig.set("Counter", number)
    assert await probe.sink.until(1, number), "a new value was not delivered"
