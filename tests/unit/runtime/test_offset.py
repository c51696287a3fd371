"""A clock offset from measurements of unequal worth."""

from pathlib import Path

import anyio
import pytest

from dtios.runtime.links.offset import DRIFT, ClockOffset
from dtios.testing import MemoryServer
from tests.runtimes import client_of, running

MS = 1_000_000


def test_the_shortest_round_trip_wins_until_it_is_old() -> None:
    clock = ClockOffset()
    assert clock.view(0.0) is None
    clock.take(5 * MS, 4 * MS, 0.0)
    clock.take(7 * MS, 1 * MS, 1.0)
    clock.take(9 * MS, 3 * MS, 2.0)
    view = clock.view(2.0)
    assert view is not None
    assert view.offset == 7 * MS
    assert view.error == pytest.approx(1 * MS + DRIFT * 1e9)
    clock.take(9 * MS, 3 * MS, 100.0)
    view = clock.view(100.0)
    assert view is not None
    assert (view.offset, view.error) == (9 * MS, 3 * MS)


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    clock = ClockOffset()
    clock.take(0, 1 * MS, 0.0)
    clock.take(3_600_000 * MS, 50 * MS, 1.0)
    view = clock.view(1.0)
    assert view is not None
    assert view.offset == 3_600_000 * MS
    assert view.rate is None


def test_the_rate_is_told_when_it_is_known() -> None:
    clock = ClockOffset()
    for step in range(10):  # 100 ppm fast
        clock.take(round(step * 30 * 100e-6 * 1e9), 100_000, step * 30.0)
    view = clock.view(270.0)
    assert view is not None
    assert view.rate == pytest.approx(100, abs=2)
    short = ClockOffset()
    for step in range(10):
        short.take(0, 1 * MS, float(step))
    view = short.view(9.0)
    assert view is not None
    assert view.rate is None


def test_only_what_differs_is_told() -> None:
    clock = ClockOffset()
    assert clock.take(5 * MS, 2 * MS, 0.0)
    assert not clock.take(6 * MS, 2 * MS, 1.0)
    assert clock.take(60 * MS, 2 * MS, 2.0)


async def test_it_is_in_the_view_and_moves_no_time_out(tmp_path: Path) -> None:
    server = MemoryServer("p")
    server.variable("Speed", 0.0, parent=server.object("Press"))
    async with server, running(tmp_path, server, machines={"m": {"endpoint": server.url}}) as runtime:
        link = runtime.kernel.machines.get("m").link
        async with client_of(runtime) as client:
            assert (await client.machines())[0].clock is None
            link.clock(86_400_000 * MS, 3 * MS)
            clock = (await client.machines())[0].clock
            assert clock is not None
            assert clock.offset == 86_400_000 * MS
            assert link.silence() < 5
            with anyio.fail_after(5):
                assert (await client.write("m", "Speed", 1.0, deadline=4)).status == 0
