"""The faults, and the order in which chance puts them."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from dtios.model.gap import GapCause
from dtios.testing.proxy import FaultProxy
from tests.soak.factory import BROKERS, Factory
from tests.soak.judge import Fault
from tests.soak.line import MACHINES
from tests.soak.lives import Lives

__all__ = ["KILL", "Faults", "deck"]

LOST: Final = frozenset({GapCause.CONNECTION_LOST})
RESTARTED: Final = frozenset({GapCause.RUNTIME_RESTART})
KILL: Final = ("kill -9 of the runtime", "runtime")

_SERVERS: Final = tuple(name for name, one in MACHINES.items() if one.kind == "opcua")
_DEVICES: Final = tuple(name for name, one in MACHINES.items() if one.kind == "sparkplug")
_TOPICS: Final = tuple(name for name, one in MACHINES.items() if one.kind == "topics")

PLACES: Final = {
    "server stopped": _SERVERS,
    "server killed": _SERVERS,
    "broker stopped": BROKERS,
    "broker killed": BROKERS,
    "black hole before a server": _SERVERS,
    "black hole before a broker": BROKERS,
    "black hole between an edge node and its broker": _DEVICES,
    "black hole between a machine of topics and its broker": _TOPICS,
    "edge node killed": _DEVICES,
}


def deck(chance: random.Random) -> Iterator[tuple[str, str]]:
    """(kind, place): each kind once, in an order and at places of chance."""
    kinds = list(PLACES)
    chance.shuffle(kinds)
    return ((kind, chance.choice(PLACES[kind])) for kind in kinds)


@dataclass
class Faults:
    """`inject` returns when the fault is over. `longest` seconds is what one lasts at most, but for the time that processes take
    to start."""

    factory: Factory
    lives: Lives
    chance: random.Random
    longest: float = 8.0

    async def inject(self, kind: str, place: str) -> Fault:
        touched, causes, resent = self._costs(kind, place)
        begin = time.time_ns()
        await self._act(kind, place)
        return Fault(f"{kind} ({place})", begin, time.time_ns(), frozenset(touched), causes, frozenset(resent))

    def _costs(self, kind: str, place: str) -> tuple[set[str], frozenset[GapCause], set[str]]:
        """Machines whose values may be lost, the causes that their Gaps may name, machines that may send something again."""
        if (kind, place) == KILL:
            return set(MACHINES), RESTARTED, set(MACHINES)
        if place in BROKERS:
            behind = set(self.factory.behind(place))
            return behind, LOST, behind
        if place in _TOPICS:  # what was not acknowledged is sent again: nothing is lost
            return set(), LOST, {place}
        return {place}, LOST, {place}

    async def _act(self, kind: str, place: str) -> None:
        match kind.split()[0], kind.split()[-1]:
            case "kill", _:
                self.lives.kill()
                await self._lasts()
                await self.lives.start()
            case "server" | "edge", how:
                machine = self.factory.machines[place]
                await machine.end(kill=how == "killed")
                await self._lasts()
                await machine.start()
            case "broker", how:
                broker = self.factory.brokers[place]
                await (broker.kill() if how == "killed" else broker.stop())
                await self._lasts()
                await broker.start()
            case "black", _ if place in self.factory.links:
                async with _hole(self.factory.links[place]):
                    await self._lasts()
            case _:
                async with _hole(self.factory.edges[place], bury=True):
                    await self._lasts()

    async def _lasts(self) -> None:
        await anyio.sleep(self.chance.uniform(0.2, self.longest))

    def settle(self) -> None:
        """What was in a hole and is over for one end is over for the other."""
        for proxy in (*self.factory.links.values(), *self.factory.edges.values()):
            proxy.bury()


@asynccontextmanager
async def _hole(proxy: FaultProxy, *, bury: bool = False) -> AsyncIterator[None]:
    """`bury`: the connections that were in it are reset when it is over, else their ends find out by themselves."""
    proxy.black_hole()
    try:
        yield
    finally:
        await proxy.heal()
        if bury:
            proxy.bury()


Inject = Callable[[str, str], Awaitable[Fault]]
