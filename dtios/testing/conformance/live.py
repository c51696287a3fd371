"""The part of the suite for a machine that is really there: it only reads. Faults happen on our side, in a proxy.

Nothing is written, called, acknowledged or switched off here, and the rig of a live machine refuses to.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import anyio

from dtios.mapping.facts import BrowseFacts, Node, NodeKind
from dtios.model.coercion import check as fits
from dtios.model.errors import DtiosError
from dtios.model.status import is_bad, status_name
from dtios.sdk.adapter import Adapter, ConnectionSettings, MonitoredPoint
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import DOUBLE, Suite
from dtios.testing.conformance.connection import lost_within
from dtios.testing.conformance.describing import outline
from dtios.testing.conformance.probe import Probe, connected, standing
from dtios.testing.conformance.rig import Line, Rig, proxied
from dtios.testing.conformance.rule import Need, NotApplicable, check
from dtios.testing.conformance.values import NOWHERE
from dtios.testing.proxy import BOTH, DOWN

__all__ = ["LiveConformance", "LiveMachine"]

MOST: Final = 200
"""Points of a machine that are looked at."""
QUICK: Final[dict[str, Any]] = {"keep_alive": 2.0, "timeout": 1.6}
SILENCE: Final = 3.0


class LiveConformance(Suite):
    @check("LIV-1", "browsing twice finds the same", Level.BRONZE)
    async def test_browse_is_stable(self) -> None:
        async with self.session() as (_, probe):
            first = outline(await probe.connection.browse())
            assert outline(await probe.connection.browse()) == first, "a second browsing found something else"

    @check("LIV-2", "each point is read with a status, and with a value of its type or none", Level.BRONZE)
    async def test_read_types(self) -> None:
        async with self.session() as (_, probe):
            nodes = await _readable(probe)
            readings = await probe.connection.read([node.address for node in nodes])
            assert len(readings) == len(nodes), f"of {len(nodes)} points {len(readings)} were read"
            for node, reading in zip(nodes, readings, strict=True):
                if is_bad(reading.status):
                    assert reading.value is None, f"{node.address} is {status_name(reading.status)} and has a value"
                elif reading.value is not None and node.type is not None:
                    try:
                        fits(reading.value, node.type, node.address)
                    except DtiosError as error:
                        raise AssertionError(f"{node.address} was read as no {node.type.label()}: {error.message}") from error

    @check("LIV-3", "an unknown point is Bad, not an exception", Level.BRONZE)
    async def test_unknown_points(self) -> None:
        async with self.session() as (_, probe):
            (reading,) = await probe.connection.read([NOWHERE])
            assert is_bad(reading.status), f"an unknown point was read as {status_name(reading.status)}"
            (status,) = await probe.connection.subscribe([MonitoredPoint(1, NOWHERE, DOUBLE)])
            assert is_bad(status), "an unknown point was subscribed"

    @check("LIV-4", "each point that is subscribed delivers its present value", Level.BRONZE)
    async def test_present_values(self) -> None:
        async with self.session() as (_, probe):
            await _subscribed(probe)

    @check("LIV-5", "a new session finds the same, with the same fingerprint", Level.SILVER)
    async def test_new_session(self) -> None:
        async with self.rigged() as rig:
            async with connected(rig) as probe:
                first, mark = outline(await probe.connection.browse()), (await probe.connection.fingerprint()).model
            async with connected(rig) as probe:
                assert outline(await probe.connection.browse()) == first, "a new session found something else"
                assert (await probe.connection.fingerprint()).model == mark, "the fingerprint is another one"

    @check("LIV-6", "one connection object serves one session after the other, and leaves no task", Level.SILVER)
    async def test_run_again(self) -> None:
        async with self.rigged() as rig:
            before = asyncio.all_tasks()
            probe = Probe(rig.connect(), rig)
            for _ in range(2):
                probe.sink.rows.clear()
                async with standing(probe):
                    await _subscribed(probe)
            with anyio.move_on_after(2):
                while asyncio.all_tasks() - before:  # noqa: ASYNC110  # nothing tells of a task's end
                    await anyio.sleep(0.02)
            left = sorted(task.get_name() for task in asyncio.all_tasks() - before)
            assert not left, f"tasks were left behind: {', '.join(left)}"

    @check("LIV-7", "a closed socket is noticed within a second, and the next session works", Level.BRONZE, Need.NETWORK)
    async def test_closed_socket(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            probe = Probe(rig.connect(url), rig)
            await _through(probe)
            async with standing(probe):
                line.cut(reset=True)
                await lost_within(probe, 1.0, "a closed socket")
            async with standing(probe):
                await _subscribed(probe)

    @check("LIV-8", "a network that swallows everything is noticed within the keep-alive time", Level.SILVER, Need.NETWORK)
    async def test_black_hole(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            probe = Probe(rig.connect(url, **QUICK), rig)
            await _through(probe)
            async with standing(probe):
                line.black_hole()
                await lost_within(probe, SILENCE, "a black hole (keep-alive 2 s)")
            await line.heal()
            async with standing(probe):
                await _subscribed(probe)

    @check("LIV-9", "a connection that is dead from the machine's side is noticed", Level.GOLD, Need.NETWORK)
    async def test_dead_from_the_machine(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            probe = Probe(rig.connect(url, **QUICK), rig)
            await _through(probe)
            async with standing(probe):
                line.half_open(DOWN)
                await lost_within(probe, SILENCE, "a machine that is no longer heard (keep-alive 2 s)")
            await line.heal()

    @check("LIV-10", "a slow network ends no session", Level.GOLD, Need.NETWORK)
    async def test_slow_network(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            probe = Probe(rig.connect(url, keep_alive=4.0), rig)
            await _through(probe)
            async with standing(probe):
                await _subscribed(probe)
                addresses = [node.address for node in (await _readable(probe))[:20]]
                line.slow(BOTH, delay=0.2)
                for _ in range(3):
                    readings = await probe.connection.read(addresses)
                    assert len(readings) == len(addresses), f"of {len(addresses)} points {len(readings)} were read"
                assert probe.error is None, f"the session was ended: {probe.error}"
                await line.heal()


class LiveMachine(Rig):
    """Whatever stands behind an endpoint. All that would touch it raises NotApplicable."""

    lacks = {need: "a live machine is only read" for need in Need if need is not Need.NETWORK}  # noqa: RUF012
    found_within = 10.0

    def __init__(self, adapter: Adapter, url: str, settings: ConnectionSettings, home: Path) -> None:
        self.adapter, self.url, self.wrong_url, self.home = adapter, url, "", home
        self._given = settings

    def connect(self, url: str | None = None, **settings: Any) -> Any:
        return self.adapter.connect(url or self.url, self._given.model_copy(update=settings), self.home)

    def find(self, facts: BrowseFacts, name: str) -> Node | None:
        return next((node for node in facts.root.walk() if node.kind is NodeKind.VARIABLE), None)

    def line(self) -> AbstractAsyncContextManager[tuple[str, Line]]:
        return proxied(self.url)

    async def set(self, name: str, value: Any, *, status: int = 0, source_time: int | None = None) -> None:
        raise _untouched()

    async def get(self, name: str) -> Any:
        raise _untouched()

    async def count(self, first: int, last: int) -> None:
        raise _untouched()

    async def writes(self, name: str) -> int:
        raise _untouched()

    async def sessions(self) -> int:
        raise _untouched()

    async def cut(self) -> None:
        raise _untouched()

    async def freeze(self) -> None:
        raise _untouched()

    async def thaw(self) -> None:
        raise _untouched()

    async def stop(self) -> None:
        raise _untouched()

    async def start(self) -> None:
        raise _untouched()


def _untouched() -> NotApplicable:
    return NotApplicable("a live machine is only read")


async def _readable(probe: Probe) -> list[Node]:
    facts = await probe.connection.browse()
    nodes = [node for node in facts.root.walk() if node.kind is NodeKind.VARIABLE and node.access.readable]
    distinct = list({node.address: node for node in nodes}.values())
    if not distinct:
        raise NotApplicable("no point of it can be read")
    return distinct[:MOST]


async def _subscribed(probe: Probe) -> None:
    """Its points, each of which delivers its present value."""
    nodes = [node for node in await _readable(probe) if node.type is not None]
    points = [MonitoredPoint(handle, node.address, node.type) for handle, node in enumerate(nodes) if node.type is not None]
    statuses = await probe.connection.subscribe(points)
    wanted = {point.handle for point, status in zip(points, statuses, strict=True) if not is_bad(status)}
    assert wanted, f"none of {len(points)} points could be subscribed: {status_name(statuses[0])}"
    within = 2 * probe.sink.patience
    with anyio.move_on_after(within):
        while wanted - {handle for handle, _ in probe.sink.rows}:
            await probe.sink.change()
    silent = wanted - {handle for handle, _ in probe.sink.rows}
    assert not silent, f"{nodes[min(silent)].address} and {len(silent) - 1} other points delivered nothing within {within:g} s"


async def _through(probe: Probe) -> None:
    """Whether it can be reached through a proxy at all: names and certificates may not allow it."""
    try:
        async with standing(probe):
            pass
    except DtiosError as error:
        raise NotApplicable(f"through a proxy on this computer it cannot be reached: {error.message}") from error
