"""Promise 1 over minutes: 2,000 values a second over both adapters, and faults of all kinds in an order of chance.

`DTIOS_SOAK_SECONDS` says how long the long one is (600), `DTIOS_SOAK_SEED` which course it takes; 0 draws one, which is printed.
"""

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from dtios.model.gap import GapCause
from tests.soak.factory import Factory, running_factory
from tests.soak.faults import KILL, PLACES, Card, Faults, rounds, together
from tests.soak.judge import AFTER, Fault, Verdict, judge
from tests.soak.line import COUNTERS, MACHINES, configuration
from tests.soak.lives import Lives
from tests.soak.told import Key, Told

SECONDS = float(os.environ.get("DTIOS_SOAK_SECONDS", "600"))
SEED = int(os.environ.get("DTIOS_SOAK_SEED", "543969")) or random.SystemRandom().randrange(1, 10**6)
GROWTH = 5.0
"""MiB that the runtime may grow by after its first minute."""
LAST_KILL = 150.0
"""Seconds before the end after which the runtime is not killed, so that its memory can be looked at."""
LEAST = 1_800.0
"""Values a second that are sent on the average, also beside other tests: servers that are down send nothing."""
START = 40.0
"""Seconds until all of it runs for the first time."""
LOOK = 0.25


@dataclass(frozen=True, slots=True)
class Pace:
    """Faults for so many `seconds`, and at least one of each kind. `longest` seconds is what one lasts at most, but for the time
    that processes take to start, `pause` the most between two; `joined` is the part that may begin during another."""

    seconds: float
    longest: float
    pause: float
    joined: float


def keys(machines: frozenset[str] | set[str]) -> list[Key]:
    return [(machine, counter) for machine in machines for counter in COUNTERS]


@dataclass
class Soak:
    """`recoveries`: each fault, with the seconds from its end until the slowest signal of them flowed again; `joined`: what
    two at once were together."""

    factory: Factory
    lives: Lives
    told: Told
    faults: Faults
    seed: int
    recoveries: list[tuple[Fault, float]] = field(default_factory=list)
    joined: list[Fault] = field(default_factory=list)
    course: list[str] = field(default_factory=list)
    begun: int = field(default_factory=time.time_ns)

    async def flows(self, machines: frozenset[str] | set[str], since: int, within: float) -> float:
        """Until each signal had a value that was received after `since`; the seconds it took."""
        wanted = keys(machines)
        with anyio.move_on_after(within):
            while True:
                self.told.read()
                if self.told.flows(wanted, since):
                    return (self.told.first_after(wanted, since) - since) / 1e9
                await anyio.sleep(LOOK)
        still = sorted({machine for machine, counter in wanted if not self.told.flows([(machine, counter)], since)})
        raise AssertionError(f"seed {self.seed}: no data of {still} within {within:g} s")

    async def injure(self, *cards: Card) -> None:
        faults = await self.faults.inject(*cards)
        touched = frozenset().union(*(fault.touched | fault.resent for fault in faults))
        took = await self.flows(touched, max(fault.end for fault in faults), AFTER / 1e9)
        for fault in faults:
            self.recoveries.append((fault, took))
            at, lasted = (fault.begin - self.begun) / 1e9, (fault.end - fault.begin) / 1e9
            more = " (two at once)" if len(faults) > 1 else ""
            self.course.append(f"{at:7.1f} s  {fault.kind}: {lasted:.1f} s, recovered after {took:.2f} s{more}")
            print(self.course[-1], flush=True)
        if (both := together(faults)) is not None:
            self.joined.append(both)
        self.faults.settle()

    async def run(self, chance: random.Random, pace: Pace) -> None:
        end = time.monotonic() + pace.seconds
        for number, cards in enumerate(rounds(chance, pace.longest, pace.pause, pace.joined)):
            waiting = cards[::-1]
            while waiting:
                left = end - time.monotonic()
                if number and left < 0:
                    return
                if number and left < LAST_KILL:
                    waiting = [card for card in waiting if card.kind != KILL]
                    if not waiting:
                        break
                card = waiting.pop()
                await anyio.sleep(card.pause)
                pair = waiting and waiting[-1].joins and self.faults.apart(card, waiting[-1])
                await self.injure(card, waiting.pop()) if pair else await self.injure(card)
            if time.monotonic() > end:
                return


async def soak(home: Path, seed: int, pace: Pace) -> tuple[Soak, Verdict]:
    told, file = home / "told", home / "dtios.json"
    told.mkdir()
    async with running_factory(home) as factory:
        file.write_text(json.dumps(configuration(factory.ports(), told)))
        lives = Lives(home / "state", file, home / "runtime.log")
        one = Soak(factory, lives, Told(told), Faults(factory, lives), seed)
        print(f"\nseed {seed}", flush=True)
        with lives.sure_to_end():
            await lives.start()
            await one.flows(set(MACHINES), one.begun, START)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lives.watch, name="samples")
                await one.run(random.Random(seed), pace)
                until = time.time_ns()
                await one.flows(set(MACHINES), until + 2 * 10**9, AFTER / 1e9)
                tasks.cancel_scope.cancel()
            await lives.end()
        one.told.read()
        faults = [*(fault for fault, _ in one.recoveries), *one.joined]
        return one, await anyio.to_thread.run_sync(
            lambda: judge(factory.logs(), one.told.streams, faults, COUNTERS, until)
        )  # a million values take their time


def report(one: Soak, verdict: Verdict) -> str:
    lasted = (max(stream.received[-1] for stream in one.told.streams.values()) - one.begun) / 1e9
    doubles = sum(stream.doubles for stream in one.told.streams.values())
    lines = [
        f"seed {one.seed}, {lasted:.0f} s: {verdict.sent} values sent ({verdict.sent / lasted:.0f}/s), "
        f"{verdict.delivered} delivered, {verdict.in_gaps} in {verdict.gaps} Gaps; {verdict.again} came again where "
        f"they may, {doubles} doubles by identity; {len(verdict.objections)} objections; load {psutil.getloadavg()[1]:.1f}",
        *one.course,
    ]
    for number, life in enumerate(one.lives.all, 1):
        grown = life.growth()
        shown = "" if grown is None else f"; after a minute grown by {grown[0]:.1f}, the recorder by {grown[1]:.1f}"
        busy = 100 * life.processor / max(life.seconds, 1)
        lines.append(
            f"life {number}: {life.seconds:.0f} s, processor {life.processor:.1f} s ({busy:.0f}%), MiB {life.shown()}{shown}"
        )
    return "\n".join(lines)


def check(one: Soak, verdict: Verdict, record: Callable[[str, object], None]) -> None:
    figures = report(one, verdict)
    record("figures", figures)
    print(figures, flush=True)
    assert verdict.objections == [], "\n".join([f"seed {one.seed}", *verdict.objections[:20]])
    assert verdict.sent == verdict.delivered + verdict.in_gaps
    assert {fault.kind.partition(" (")[0] for fault, _ in one.recoveries} == {*PLACES, KILL}
    causes = {gap.cause for stream in one.told.streams.values() for _, gap in stream.gaps}
    assert causes == {GapCause.CONNECTION_LOST, GapCause.RUNTIME_RESTART}


@pytest.mark.slow
async def test_one_fault_of_each_kind(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    one, verdict = await soak(tmp_path, SEED, Pace(0, longest=2.5, pause=1.0, joined=0.2))
    check(one, verdict, record_property)


@pytest.mark.slow
async def test_ten_minutes(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    one, verdict = await soak(tmp_path, SEED, Pace(SECONDS, longest=8.0, pause=6.0, joined=0.25))
    check(one, verdict, record_property)
    grown = [growth for life in one.lives.all if (growth := life.growth()) is not None]
    assert grown or SECONDS < 2 * LAST_KILL, "no life was long enough to look at its memory"
    assert all(runtime < GROWTH and recorder < GROWTH for runtime, recorder in grown), grown
    lasted = max(stream.received[-1] for stream in one.told.streams.values()) - one.begun
    assert verdict.sent / lasted * 1e9 > LEAST
