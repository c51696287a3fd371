"""Promise 1 over minutes: 2,000 values a second over both adapters, and faults of all kinds in an order of chance.

`DTIOS_SOAK_SECONDS` and `DTIOS_SOAK_SEED` say how long the long one is (600) and repeat one that was printed.
"""

import json
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import psutil
import pytest

from dtios.model.gap import GapCause
from tests.soak.factory import Factory, running_factory
from tests.soak.faults import KILL, PLACES, Faults, deck
from tests.soak.judge import AFTER, Fault, Verdict, judge
from tests.soak.line import COUNTERS, MACHINES, RATE, configuration
from tests.soak.lives import Lives
from tests.soak.told import Key, Told

SECONDS = float(os.environ.get("DTIOS_SOAK_SECONDS", "600"))
SEED = int(os.environ.get("DTIOS_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
GROWTH = 10.0
"""MiB that the runtime may grow by after its first minute."""
LAST_KILL = 150.0
"""Seconds before the end after which the runtime is not killed, so that its memory can be looked at."""
LOOK = 0.25


def keys(machines: frozenset[str] | set[str]) -> list[Key]:
    return [(machine, counter) for machine in machines for counter in COUNTERS]


@dataclass
class Soak:
    """`recoveries`: each fault, with the seconds from its end until the slowest signal flowed again."""

    factory: Factory
    lives: Lives
    told: Told
    faults: Faults
    seed: int
    recoveries: list[tuple[Fault, float]] = field(default_factory=list)
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

    async def break_one(self, kind: str, place: str) -> None:
        fault = await self.faults.inject(kind, place)
        took = await self.flows(fault.touched | fault.resent, fault.end, AFTER / 1e9)
        self.recoveries.append((fault, took))
        print(f"{(fault.begin - self.begun) / 1e9:7.1f} s  {fault.kind}: {(fault.end - fault.begin) / 1e9:.1f} s, "
              f"recovered after {took:.2f} s", flush=True)  # fmt: skip
        self.faults.settle()


async def soak(home: Path, seed: int, seconds: float, longest: float, pause: float) -> tuple[Soak, Verdict]:
    """Faults until `seconds` are over and there was one of each kind, with up to `pause` seconds between."""
    chance = random.Random(seed)
    told, file = home / "told", home / "dtios.json"
    told.mkdir()
    async with running_factory(home) as factory:
        file.write_text(json.dumps(configuration(factory.ports(), told)))
        lives = Lives(home / "state", file, home / "runtime.log")
        one = Soak(factory, lives, Told(told), Faults(factory, lives, chance, longest), seed)
        with lives.sure_to_end():
            begun = time.monotonic()
            await lives.start()
            await one.flows(set(MACHINES), one.begun, 40)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lives.watch, name="samples")
                rounds = 0
                while not rounds or time.monotonic() - begun < seconds:
                    cards = list(deck(chance))
                    left = seconds - (time.monotonic() - begun)
                    if rounds == 0 or (left > LAST_KILL and chance.random() < 0.7):
                        cards.insert(chance.randrange(len(cards) + 1), KILL)
                    for kind, place in cards:
                        if rounds and time.monotonic() - begun > seconds:
                            break
                        await anyio.sleep(chance.uniform(0.2, pause))
                        await one.break_one(kind, place)
                    rounds += 1
                until = time.time_ns()
                await one.flows(set(MACHINES), until + 2 * 10**9, 20)
                tasks.cancel_scope.cancel()
            await lives.end()
        one.told.read()
        return one, judge(factory.logs(), one.told.streams, [fault for fault, _ in one.recoveries], COUNTERS, until)


def report(one: Soak, verdict: Verdict) -> None:
    lasted = max(stream.received[-1] for stream in one.told.streams.values()) - one.begun
    print(f"seed {one.seed}: {lasted / 1e9:.0f} s, {verdict.sent} values sent ({verdict.sent / lasted * 1e9:.0f}/s), "
          f"{verdict.delivered} delivered, {verdict.in_gaps} in {verdict.gaps} Gaps, {verdict.again} came again where they may, "
          f"{sum(stream.doubles for stream in one.told.streams.values())} doubles dropped by identity")  # fmt: skip
    for number, life in enumerate(one.lives.all, 1):
        grown = life.growth()
        shown = "too short to judge" if grown is None else f"runtime {grown[0]:+.1f}, recorder {grown[1]:+.1f} MiB after a minute"
        print(f"life {number}: {life.seconds:.0f} s, processor {life.processor:.1f} s "
              f"({100 * life.processor / max(life.seconds, 1):.0f}%), {life.shown()} MiB, {shown}")  # fmt: skip
    print(f"load {psutil.getloadavg()[1]:.1f}; {len(verdict.objections)} objections", flush=True)


def check(one: Soak, verdict: Verdict) -> None:
    report(one, verdict)
    assert verdict.objections == [], "\n".join([f"seed {one.seed}", *verdict.objections[:20]])
    assert verdict.sent == verdict.delivered + verdict.in_gaps
    assert {fault.kind.partition(" (")[0] for fault, _ in one.recoveries} == {*PLACES, KILL[0]}
    causes = {gap.cause for stream in one.told.streams.values() for _, gap in stream.gaps}
    assert causes == {GapCause.CONNECTION_LOST, GapCause.RUNTIME_RESTART}


@pytest.mark.slow
async def test_one_fault_of_each_kind(tmp_path: Path) -> None:
    one, verdict = await soak(tmp_path, SEED, 0, longest=2.5, pause=1.0)
    check(one, verdict)


@pytest.mark.slow
async def test_ten_minutes(tmp_path: Path) -> None:
    one, verdict = await soak(tmp_path, SEED, SECONDS, longest=8.0, pause=6.0)
    check(one, verdict)
    grown = [growth for life in one.lives.all if (growth := life.growth()) is not None]
    assert grown, "no life was long enough to look at its memory"
    assert max(runtime for runtime, _ in grown) < GROWTH
    assert max(recorder for _, recorder in grown) < GROWTH
    lasted = max(stream.received[-1] for stream in one.told.streams.values()) - one.begun
    assert verdict.sent / lasted * 1e9 > 0.9 * RATE
