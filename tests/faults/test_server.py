"""Every fault of a server that a network cannot have: a server that is told which rule to break, judged from its own log."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from asyncua import ua

from dtios.model.gap import GapCause
from tests.faults.scripted import Link, ScriptedServer, scripted
from tests.faults.stage import COUNTERS, Stage, staged
from tests.faults.truth import KEEP_ALIVE
from tests.faults.wire import Request, fault, response

MISSED, RECREATED, LOST = GapCause.MESSAGE_MISSED, GapCause.SUBSCRIPTION_RECREATED, GapCause.CONNECTION_LOST
Break = Callable[[ScriptedServer, Stage], Awaitable[None]]


@asynccontextmanager
async def on_stage(tmp_path: Path, **settings: object) -> AsyncIterator[tuple[ScriptedServer, Stage]]:
    async with scripted() as server:
        async with staged(tmp_path / "state", server.port, lambda: server.log, **settings) as stage:
            yield server, stage


def subscription(server: ScriptedServer):
    (one,) = server.subscriptions.values()
    return one


# --- messages that go astray ---


async def test_missed_messages_are_asked_for_again(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        subscription(server).drop = 3
        await stage.recovers(gap=False)
        assert stage.truth.gaps == []
        assert server.requests["Republish"] >= 3


async def test_missed_messages_that_are_gone_are_a_gap(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        subscription(server).keep = False
        subscription(server).drop = 3
        await stage.recovers(MISSED)


async def test_republish_refused_is_a_gap(tmp_path: Path) -> None:
    def refuse(request: Request, link: Link) -> bool:
        if request.name == "Republish":
            server.reply(request, link, fault(request, ua.StatusCodes.BadServiceUnsupported))
        return request.name == "Republish"

    async with on_stage(tmp_path) as (server, stage):
        server.take = refuse
        stage.begin()
        subscription(server).drop = 2
        await stage.recovers(MISSED)


async def test_a_republish_that_is_never_answered_ends_the_session(tmp_path: Path) -> None:
    async with on_stage(tmp_path, timeout=0.5) as (server, stage):
        server.take = lambda request, link: request.name == "Republish"
        stage.begin()
        subscription(server).drop = 1
        await stage.truth.until(COUNTERS[0], "BadNoCommunication", 5)
        server.take = None
        await stage.recovers(LOST)


async def test_a_message_sent_twice_is_delivered_once(tmp_path: Path) -> None:
    def twice(name: str, body: bytes) -> bytes:
        link = server.links[-1]
        if name == "Publish" and link.publishes:
            link.send(b"MSG", link.publishes.pop(0).id, body)
        return body

    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        server.tamper = twice
        await anyio.sleep(0.5)
        await stage.recovers(gap=False)
        assert stage.truth.gaps == []


async def test_messages_that_change_places_stay_in_order(tmp_path: Path) -> None:
    held: list[bytes] = []

    def swap(name: str, body: bytes) -> bytes | None:
        if name != "Publish":
            return body
        held.append(body)
        if len(held) < 2:
            return None
        link = server.links[-1]
        late = held.pop(0)
        asyncio.get_running_loop().call_soon(lambda: link.send(b"MSG", link.publishes.pop(0).id, late))
        server.tamper = None
        return held.pop()

    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        server.tamper = swap
        await anyio.sleep(0.5)
        await stage.recovers(MISSED, gap=False)


async def test_numbering_that_begins_anew_is_a_gap_and_not_a_repetition(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        await stage.truth.flows(COUNTERS, 0, 10, more=30)
        stage.begin()
        subscription(server).sequence = 0
        await stage.recovers(MISSED)


async def test_answers_for_a_subscription_that_is_not_ours_are_nobodys(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        one = subscription(server)
        one.id += 1000  # from here on the server calls it so
        await anyio.sleep(2 * KEEP_ALIVE)
        one.id -= 1000
        await stage.recovers(MISSED, RECREATED)


async def test_handles_that_are_not_ours_are_nobodys(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        one = subscription(server)
        stranger = (one.items[min(one.items)][0] + 100_000, 0)
        one.items[900_000] = stranger
        one.queues[900_000] = type(one.queues[min(one.items)])()
        await stage.recovers(gap=False)
        assert stage.truth.gaps == []


# --- subscriptions that end ---


async def deleted_and_said(server: ScriptedServer, stage: Stage) -> None:
    one = subscription(server)
    status = ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))
    one.sequence += 1
    message = ua.NotificationMessage(SequenceNumber=one.sequence, NotificationData=[status])
    del server.subscriptions[one.id]
    request = one.link.publishes.pop(0)
    server.reply(request, one.link, response(request, one.wrapped(message)))


async def deleted_and_faulted(server: ScriptedServer, stage: Stage) -> None:
    one = subscription(server)
    del server.subscriptions[one.id]
    for request in one.link.publishes:
        server.reply(request, one.link, fault(request, ua.StatusCodes.BadNoSubscription))
    one.link.publishes.clear()


async def deleted_in_silence(server: ScriptedServer, stage: Stage) -> None:
    del server.subscriptions[subscription(server).id]


async def neither_data_nor_keep_alives(server: ScriptedServer, stage: Stage) -> None:
    subscription(server).mute = True


@pytest.mark.parametrize("ends", [deleted_and_said, deleted_and_faulted, deleted_in_silence, neither_data_nor_keep_alives])
async def test_a_subscription_that_ends_is_made_again(tmp_path: Path, ends: Break) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        await ends(server, stage)
        await stage.recovers(RECREATED)
        assert server.sessions == 1
        assert len(server.subscriptions) <= 2


async def test_keep_alives_that_stop_while_nothing_changes(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        server.counting = False
        stage.begin()
        subscription(server).mute = True
        with anyio.fail_after(4 * KEEP_ALIVE + 5):
            while not stage.truth.gaps:
                await anyio.sleep(0.05)
        server.counting = True
        await stage.recovers(RECREATED)


async def test_a_server_that_drops_every_subscription_gets_a_new_session(tmp_path: Path) -> None:
    async def drop() -> None:
        while True:
            await anyio.sleep(0.02)
            for one in list(server.subscriptions.values()):
                if one.link.publishes:
                    await deleted_and_faulted(server, stage)

    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drop)
            with anyio.fail_after(15):
                while server.sessions < 2:
                    await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        await stage.recovers(RECREATED, LOST)


async def test_publish_refused_for_a_while(tmp_path: Path) -> None:
    def refuse(request: Request, link: Link) -> bool:
        if request.name == "Publish":
            server.reply(request, link, fault(request, ua.StatusCodes.BadTooManyPublishRequests))
        return request.name == "Publish"

    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        server.take = refuse
        before = server.requests["Publish"]
        await anyio.sleep(1.5)
        assert server.requests["Publish"] - before < 300, "it is not asked without a pause"
        server.take = None
        await stage.recovers(RECREATED, GapCause.SERVER_OVERFLOW, LOST, gap=False)


async def test_a_flood_of_answers_that_say_nothing(tmp_path: Path) -> None:
    def empty(request: Request, link: Link) -> bool:
        if request.name == "Publish":
            one = subscription(server)
            number = ua.NotificationMessage(SequenceNumber=one.sequence + 1)
            server.reply(request, link, response(request, one.wrapped(number)))
        return request.name == "Publish"

    async with on_stage(tmp_path) as (server, stage):
        server.counting = False
        stage.begin()
        server.take = empty
        before = server.requests["Publish"]
        await anyio.sleep(1.5)
        assert server.requests["Publish"] - before < 300
        server.take, server.counting = None, True
        await stage.recovers(gap=False)


# --- what a server says of its nodes, and of the time ---


async def test_overflow_bits_are_a_gap(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        one = subscription(server)
        one.most, one.mute = 5, True
        await anyio.sleep(0.4)
        one.mute = False
        await stage.recovers(GapCause.SERVER_OVERFLOW)


async def test_a_node_that_is_removed_turns_bad_and_touches_no_other(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        server.space.gone.add(2)
        await stage.truth.until("Counter2", "BadNodeIdUnknown", 5)
        await stage.truth.flows(COUNTERS[:2], time.time_ns(), 5, more=10)
        server.space.gone.clear()
        # Where it came back before recovery was judged, it has a Gap of its own: nobody heard what it was meanwhile.
        await stage.recovers(RECREATED, gap=False, untouched=COUNTERS[:2], signals=COUNTERS[:2])
        await stage.truth.flows(["Counter2"], stage.begin(), 5)


async def test_values_of_another_type_than_described(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        server.space.kind = ua.VariantType.Double
        await anyio.sleep(0.5)
        server.space.kind = ua.VariantType.Int64
        await stage.recovers(gap=False)
        assert stage.truth.gaps == []


async def test_a_server_whose_clock_jumps(tmp_path: Path) -> None:
    async with on_stage(tmp_path) as (server, stage):
        stage.begin()
        for jump in (timedelta(days=400), timedelta(days=-4000), timedelta()):
            server.clock = jump
            await anyio.sleep(0.3)
        await stage.recovers(gap=False)
        assert stage.truth.gaps == []


@pytest.mark.parametrize("operations", [1, 2])
async def test_tiny_operation_limits(tmp_path: Path, operations: int) -> None:
    async with scripted() as server:
        server.operations = operations
        async with staged(tmp_path / "state", server.port, lambda: server.log) as stage:
            stage.begin()
            stage.proxy.cut(reset=True)
            await stage.recovers(LOST)
