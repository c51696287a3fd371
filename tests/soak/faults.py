"""The faults, and the order in which chance puts them."""

import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
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

__all__ = ["KILL", "PLACES", "Card", "Faults", "rounds", "together"]

LOST: Final = frozenset({GapCause.CONNECTION_LOST})
RESTARTED: Final = frozenset({GapCause.RUNTIME_RESTART})
KILL: Final = "kill -9 of the runtime"

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


@dataclass(frozen=True, slots=True)
class Card:
    """One fault as chance drew it. `lasts` and `pause` (before it) in seconds; `joins`: it may begin while the one before it
    lasts."""

    kind: str
    place: str
    lasts: float
    pause: float
    joins: bool


def rounds(chance: random.Random, longest: float, pause: float, joined: float) -> Iterator[list[Card]]:
    """For ever: each kind once, in an order, at places and for times of chance; the end of the runtime in the first round and in
    two of three others. `joined` is the part of the faults that may begin during another."""
    kills = 1.0
    while True:
        kinds = [*PLACES, KILL] if chance.random() < kills else [*PLACES]
        chance.shuffle(kinds)
        yield [_draw(chance, kind, longest, pause, joined) for kind in kinds]
        kills = 0.67


def _draw(chance: random.Random, kind: str, longest: float, pause: float, joined: float) -> Card:
    place = chance.choice(PLACES.get(kind, ("runtime",)))
    return Card(kind, place, chance.uniform(0.2, longest), chance.uniform(0.2, pause), chance.random() < joined)


@dataclass
class Faults:
    """Injects them. What two cost that happen at once is told as a third that touches what both touch."""

    factory: Factory
    lives: Lives

    async def inject(self, *cards: Card) -> list[Fault]:
        """Returns when they are over; the second begins while the first lasts."""
        made: list[Fault] = []

        async def one(card: Card, delay: float) -> None:
            await anyio.sleep(delay)
            made.append(await self._inject(card))

        async with anyio.create_task_group() as tasks:
            for number, card in enumerate(cards):
                tasks.start_soon(one, card, number * cards[0].lasts / 2, name=card.kind)
        return made

    def apart(self, one: Card, other: Card) -> bool:
        """They can happen at once: they touch different machines. The end of the runtime touches all, and is not joined with
        others: what a connection that is away costs until then may lie in no Gap, as docs/explanation/promises.md says."""
        (touched, _, resent), (others, _, also) = self._costs(one), self._costs(other)
        return not (touched | resent) & (others | also)

    async def _inject(self, card: Card) -> Fault:
        touched, causes, resent = self._costs(card)
        begin = time.time_ns()
        await self._act(card)
        return Fault(f"{card.kind} ({card.place})", begin, time.time_ns(), frozenset(touched), causes, frozenset(resent))

    def _costs(self, card: Card) -> tuple[set[str], frozenset[GapCause], set[str]]:
        """Machines whose values may be lost, the causes that their Gaps may name, machines that may send something again."""
        place = card.place
        if card.kind == KILL:
            return set(MACHINES), RESTARTED, set(MACHINES)
        if place in BROKERS:
            behind = set(self.factory.behind(place))
            return behind, LOST, behind
        if place in _TOPICS:  # what was not acknowledged is sent again: nothing is lost
            return set(), LOST, {place}
        return {place}, LOST, {place}

    async def _act(self, card: Card) -> None:
        place = card.place
        match card.kind.split()[0], card.kind.split()[-1]:
            case "kill", _:
                await self.lives.kill()
                await anyio.sleep(card.lasts)
                await self.lives.start()
            case "server" | "edge", how:
                machine = self.factory.machines[place]
                await machine.end(kill=how == "killed")
                await anyio.sleep(card.lasts)
                await machine.start()
            case "broker", how:
                broker = self.factory.brokers[place]
                await (broker.kill() if how == "killed" else broker.stop())
                await anyio.sleep(card.lasts)
                await broker.start()
            case "black", _ if place in self.factory.links:
                async with _hole(self.factory.links[place]):
                    await anyio.sleep(card.lasts)
            case _:
                async with _hole(self.factory.edges[place], bury=True):
                    await anyio.sleep(card.lasts)

    def settle(self) -> None:
        """What was in a hole and is over for one end is over for the other."""
        for proxy in (*self.factory.links.values(), *self.factory.edges.values()):
            proxy.bury()


def together(faults: Sequence[Fault]) -> Fault | None:
    """The fault that two at once are for what both touch: a Gap of it begins with the one and may end with the other."""
    if len(faults) < 2:
        return None
    one, other = faults
    return Fault(
        f"{one.kind} with {other.kind}", min(one.begin, other.begin), max(one.end, other.end), one.touched & other.touched,
        one.causes | other.causes, one.resent & other.resent,
    )  # fmt: skip


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
