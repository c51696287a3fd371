"""Rules CON: a session begins, is missed in time when it is gone, and leaves nothing behind."""

import asyncio
from typing import Any

import anyio

from dtios.model.errors import ConfigurationError, TemporaryError
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.probe import Probe, connected, standing
from dtios.testing.conformance.rig import Rig
from dtios.testing.conformance.rule import Need, check, raises

__all__ = ["Connecting", "lost_within"]


class Connecting(Suite):
    @check("CON-1", "a closed socket is noticed within a second, and the next session works", Level.BRONZE)
    async def test_closed_socket(self) -> None:
        async with self.session() as (rig, probe):
            await rig.set("Double", 6.5)
            await probe.connection.subscribe([await probe.point(1, "Double")])
            assert await probe.sink.until(1, 6.5), "the present value was not delivered"
            await rig.cut()
            await lost_within(probe, 1.0, "a closed socket")
            await raises(TemporaryError, probe.read("Double"))
            async with connected(rig) as again:
                await again.connection.subscribe([await again.point(1, "Double")])
                assert await again.sink.until(1, 6.5), "in the next session nothing was delivered"

    @check(
        "CON-2",
        "a silent machine is noticed within the keep-alive time, and one that changes nothing is not silent",
        Level.SILVER,
    )
    async def test_silence(self) -> None:
        async with self.session(keep_alive=1.0, timeout=0.8) as (rig, probe):
            await probe.connection.subscribe([await probe.point(1, "Double")])
            await anyio.sleep(1.5)
            assert probe.error is None, f"a machine that changes nothing was taken for lost: {probe.error}"
            await rig.freeze()
            try:
                await lost_within(probe, 1.5, "a silent machine (keep-alive 1 s)")
            finally:
                await rig.thaw()

    @check("CON-3", "nobody there is a TemporaryError in time, and who comes later is reached", Level.BRONZE)
    async def test_nobody_there(self) -> None:
        async with self.rigged() as rig:
            await rig.stop()
            try:
                with anyio.move_on_after(4) as late:
                    await raises(TemporaryError, enter(rig, timeout=1.0))
                assert not late.cancelled_caught, "with a time-out of 1 s the attempt lasted more than 4 s"
            finally:
                await rig.start()
            async with connected(rig) as probe:
                await probe.known("Double", 2.0)

    @check("CON-4", "cancelled, it leaves no task and no session", Level.SILVER)
    async def test_cancel_leaves_nothing(self) -> None:
        async with self.rigged() as rig:
            sessions, before = await rig.sessions(), asyncio.all_tasks()
            for _ in range(3):
                async with connected(rig) as probe:
                    await probe.connection.subscribe([await probe.point(1, "Counter")])
                    assert await rig.sessions() == sessions + 1, f"the machine has {await rig.sessions()} sessions"
            await leaves_nothing(rig, sessions, before)

    @check("CON-5", "one connection object serves one session after the other", Level.BRONZE)
    async def test_run_again(self) -> None:
        async with self.rigged() as rig:
            probe = Probe(rig.connect(), rig)
            for number in range(3):
                await rig.set("Counter", number)
                async with standing(probe):
                    await probe.connection.subscribe([await probe.point(number, "Counter")])
                    assert await probe.sink.until(number, number), f"in session {number + 1} nothing was delivered"

    @check("CON-6", "a wrong address is a ConfigurationError without I/O", Level.BRONZE)
    async def test_wrong_address(self) -> None:
        async with self.rigged() as rig:
            try:
                rig.adapter.connect(rig.wrong_url, rig.adapter.settings(), rig.home)
            except ConfigurationError:
                return
            raise AssertionError(f"{rig.wrong_url} was taken")

    @check(
        "CON-7", "a machine that takes the connection and says nothing is a TemporaryError in time", Level.SILVER, Need.NETWORK
    )
    async def test_silent_at_connecting(self) -> None:
        async with self.rigged() as rig, rig.line() as (url, line):
            line.silent()
            try:
                with anyio.move_on_after(4) as late:
                    await raises(TemporaryError, enter(rig, url, timeout=1.0))
                assert not late.cancelled_caught, "with a time-out of 1 s the attempt lasted more than 4 s"
            finally:
                await line.heal()

    @check("CON-8", "cancelled while it connects, it leaves no task and no session", Level.GOLD, Need.NETWORK)
    async def test_cancelled_while_connecting(self) -> None:
        async with self.rigged() as rig:
            sessions, before = await rig.sessions(), asyncio.all_tasks()
            async with rig.line() as (url, line):
                line.silent()
                with anyio.move_on_after(0.2) as scope:
                    await enter(rig, url, timeout=5.0)
                assert scope.cancelled_caught, "the attempt ended before it was cancelled"
                await line.heal()
            await leaves_nothing(rig, sessions, before)


async def lost_within(probe: Probe, seconds: float, what: str) -> None:
    """The session ends in time, with a TemporaryError."""
    with anyio.move_on_after(seconds):
        await probe.ended.wait()
    assert probe.ended.is_set(), f"{what} was not noticed within {seconds:g} s"
    assert isinstance(probe.error, TemporaryError), f"{what} was no TemporaryError: {probe.error!r}"
    assert probe.error.message, f"{what} was an error without words"


async def leaves_nothing(rig: Rig, sessions: int, before: set[asyncio.Task[Any]]) -> None:
    """Within 2 s the machine has as many sessions as before, and this process no new task."""
    with anyio.move_on_after(2):
        while await rig.sessions() != sessions or asyncio.all_tasks() - before:  # noqa: ASYNC110  # nothing tells of an end
            await anyio.sleep(0.02)
    left = sorted(task.get_name() for task in asyncio.all_tasks() - before)
    assert not left, f"tasks were left behind: {', '.join(left)}"
    there = await rig.sessions()
    assert there == sessions, f"the machine has {there} sessions, before it were {sessions}"


async def enter(rig: Rig, url: str | None = None, **settings: Any) -> None:
    """Connect and disconnect."""
    async with connected(rig, url, **settings):
        pass
