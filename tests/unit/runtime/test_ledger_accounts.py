"""The ledger: a consumer that comes back is told what lies between, and its account goes on."""

from pathlib import Path

import anyio
import pytest

from dtios.model.batch import Batch
from dtios.model.errors import TemporaryError
from dtios.model.gap import Gap, GapCause
from dtios.model.status import BAD_NO_COMMUNICATION, BAD_WAITING_FOR_INITIAL_DATA
from dtios.model.values import NO_TIME
from dtios.runtime.ledger.ledger import MARGIN
from dtios.testing import method_machine
from tests.ledgers import SECOND, Turned, handled, house
from tests.runtimes import client_of, running


async def test_a_new_consumer_is_told_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, Turned()) as one:
        a = one.signal("a")
        consumer = await one.enter("app/speed", a)
        await one.deliver(a)
        assert await handled(consumer) == []


async def test_one_that_comes_back_is_told_of_the_time_between_and_its_account_goes_on(tmp_path: Path) -> None:
    async with house(tmp_path, Turned()) as one:
        a, b = one.signal("a"), one.signal("b")
        first = await one.enter("app/speed", a)
        for _ in range(3):
            await one.deliver(a)
        await handled(first)
        stopped = one.clock.time
        one.router.detach(first)
        for _ in range(2):
            await one.deliver(a, b)
        second = await one.enter("app/speed", a, b)
        back = await one.deliver(a, b)
        ((handle, gap),) = await handled(second)
        assert handle == a, "b is new to it"
        assert gap == Gap(GapCause.CONSUMER_STOPPED, receive_from=stopped - MARGIN, receive_to=back - SECOND)
        view = one.views()["app/speed"]
        assert view.balanced
        assert view.signals == [("a", 4, 4, 0, 0, 0), ("b", 1, 1, 0, 0, 0)]
        assert [(g.signals, g.of) for g in view.gaps] == [(["a"], 1)]
        assert view.told == {"consumer-stopped": 1}


async def test_values_that_waited_when_it_ended_lie_in_its_gap(tmp_path: Path) -> None:
    async with house(tmp_path, Turned()) as one:
        a = one.signal("a")
        first = await one.enter("app/speed", a)
        await one.deliver(a)
        await handled(first)
        waiting = await one.deliver(a)
        await one.deliver(a)
        one.router.detach(first)
        second = await one.enter("app/speed", a)
        await one.deliver(a)
        ((_, gap),) = await handled(second)
        assert gap.receive_from == waiting
        assert one.views()["app/speed"].signals == [("a", 4, 2, 0, 2, 0)]
        assert one.views()["app/speed"].balanced


@pytest.mark.parametrize("orderly", [True, False])
async def test_after_the_runtime_s_end_each_signal_has_one_gap_from_the_last_checkpoint(tmp_path: Path, orderly: bool) -> None:
    clock = Turned()
    async with house(tmp_path, clock) as one:
        a, b = one.signal("a"), one.signal("b")
        consumer = await one.enter("app/speed", a, b)
        await one.deliver(a, b)
        await handled(consumer)
        await one.ledger.checkpoint()
        written = clock.time
        await one.deliver(a, b)
        await handled(consumer)
        if orderly:
            one.ledger.ending()
            one.router.detach(consumer)
            await one.ledger.checkpoint()
            written = clock.time
    async with house(tmp_path, clock) as two:
        c, b, a = two.signal("c"), two.signal("b"), two.signal("a")
        consumer = await two.enter("app/speed", a, b, c)
        stranger = await two.enter("app/other", a, b)
        first = await two.deliver(a, c)
        second = await two.deliver(b)
        gaps = await handled(consumer)
        cause = GapCause.RUNTIME_RESTART
        assert gaps == [
            (a, Gap(cause, receive_from=written - MARGIN, receive_to=first)),
            (b, Gap(cause, receive_from=written - MARGIN, receive_to=second)),
        ]
        assert await handled(stranger) == []


@pytest.mark.parametrize("whole", [True, False])
async def test_what_was_lost_before_the_runtime_s_end_lies_in_the_gap(tmp_path: Path, whole: bool) -> None:
    """A connection that is away, or dead and nobody knows it, or one signal's outage: checkpoints go on meanwhile."""
    clock = Turned()
    async with house(tmp_path, clock) as one:
        a, b = one.signal("a"), one.signal("b")
        consumer = await one.enter("app/speed", a, b)
        lost = await one.deliver(a, b)
        await handled(consumer)
        if whole:
            one.heard = lost
        else:
            one.lost = {a: lost}
        clock.time += 5 * SECOND
        await one.ledger.checkpoint()
        written = clock.time
    async with house(tmp_path, clock) as two:
        a, b = two.signal("a"), two.signal("b")
        consumer = await two.enter("app/speed", a, b)
        back = await two.deliver(a, b)
        gaps = dict(await handled(consumer))
        if whole:
            assert gaps == dict.fromkeys((a, b), Gap(GapCause.RUNTIME_RESTART, receive_from=lost, receive_to=back))
        else:
            assert gaps[a] == Gap(GapCause.CONNECTION_LOST, receive_from=lost, receive_to=back)
            assert gaps[b] == Gap(GapCause.RUNTIME_RESTART, receive_from=written - MARGIN, receive_to=back)


async def test_one_that_began_after_its_machine_was_lost_is_told_from_its_own_beginning(tmp_path: Path) -> None:
    clock = Turned()
    async with house(tmp_path, clock) as one:
        one.heard = clock.time
        clock.time += 5 * SECOND
        begun = clock.time
        await one.enter("app/speed", one.signal("a"))
        clock.time += 5 * SECOND
        await one.ledger.checkpoint()
    async with house(tmp_path, clock) as two:
        a = two.signal("a")
        consumer = await two.enter("app/speed", a)
        await two.deliver(a)
        ((_, gap),) = await handled(consumer)
        assert gap.receive_from == begun


async def test_a_gap_that_nobody_was_told_yet_survives_another_end(tmp_path: Path) -> None:
    clock = Turned()
    async with house(tmp_path, clock) as one:
        consumer = await one.enter("app/speed", one.signal("a"), one.signal("b"))
        await one.ledger.checkpoint()
        begun = clock.time
    async with house(tmp_path, clock) as two:
        a, b = two.signal("a"), two.signal("b")
        consumer = await two.enter("app/speed", a, b)
        await two.deliver(a)
        await handled(consumer)
        clock.time += SECOND
        await two.ledger.checkpoint()
        again = clock.time
    async with house(tmp_path, clock) as three:
        a, b = three.signal("a"), three.signal("b")
        consumer = await three.enter("app/speed", a, b)
        await three.deliver(a, b)
        gaps = dict(await handled(consumer))
        assert gaps[a].receive_from == again - MARGIN
        assert gaps[b].receive_from == begun


@pytest.mark.parametrize("back", ["before its connection", "after it"])
async def test_a_point_that_waits_is_not_heard_of(tmp_path: Path, back: str) -> None:
    """A Sparkplug device is subscribed long before it is born again, and what it says until then is not understood."""
    clock = Turned()
    async with house(tmp_path, clock) as one:
        await one.enter("app/speed", one.signal("a"))
        await one.ledger.checkpoint()
    async with house(tmp_path, clock) as two:
        a = two.signal("a")
        consumer = await two.enter("app/speed", a) if back == "before its connection" else None
        two.router.make_up([a], BAD_NO_COMMUNICATION, clock.now())
        clock.time += SECOND
        now = clock.time
        await two.router.deliver(Batch([a], [None], [BAD_WAITING_FOR_INITIAL_DATA], [NO_TIME], [NO_TIME], now))
        two.router.heard([a], now)
        consumer = consumer or await two.enter("app/speed", a)
        assert await handled(consumer) == []
        assert consumer.owed
        heard = await two.deliver(a)
        ((_, gap),) = await handled(consumer)
        assert gap.receive_to == heard


async def test_one_who_comes_back_while_its_machine_is_away_is_told_when_it_is_there(tmp_path: Path) -> None:
    clock = Turned()
    async with house(tmp_path, clock) as one:
        await one.enter("app/speed", one.signal("a"))
        await one.ledger.checkpoint()
    async with house(tmp_path, clock) as two:
        a = two.signal("a")
        two.router.make_up([a], BAD_NO_COMMUNICATION, clock.now())
        consumer = await two.enter("app/speed", a)
        assert await handled(consumer) == []
        clock.time += SECOND
        two.router.heard([a], clock.time)  # subscribed: what comes now is told
        ((_, gap),) = await handled(consumer)
        assert gap.receive_to == clock.time


async def test_one_who_had_stopped_before_the_runtime_ended_was_stopped(tmp_path: Path) -> None:
    clock = Turned()
    async with house(tmp_path, clock) as one:
        consumer = await one.enter("app/speed", one.signal("a"))
        one.router.detach(consumer)
        await one.ledger.checkpoint()
    async with house(tmp_path, clock) as two:
        a = two.signal("a")
        consumer = await two.enter("app/speed", a)
        await two.deliver(a)
        ((_, gap),) = await handled(consumer)
        assert gap.cause is GapCause.CONSUMER_STOPPED


async def test_two_of_one_name_are_two_and_one_without_a_name_leaves_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, Turned()) as one:
        a = one.signal("a")
        await one.enter("app/speed", a)
        await one.enter("app/speed", a)
        nameless = await one.enter("cli:anna/7", a, lasting=False)
        assert set(one.views()) == {"app/speed", "app/speed#2", "cli:anna/7"}
        one.router.detach(nameless)
        assert set(one.views()) == {"app/speed", "app/speed#2"}


async def test_a_checkpoint_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    clock = Turned()
    async with house(tmp_path, clock) as one:
        a = one.signal("a")
        consumer = await one.enter("app/speed", a)
        one.router.detach(consumer)
        transact = one.journal._transact

        async def full(work: object) -> None:
            raise TemporaryError("the journal cannot be used (disk full)", where="state directory")

        one.journal._transact = full  # type: ignore[method-assign,assignment]
        await one.ledger.checkpoint()
        one.journal._transact = transact  # type: ignore[method-assign]
        await one.ledger.checkpoint()
    async with house(tmp_path, clock) as two:
        a = two.signal("a")
        consumer = await two.enter("app/speed", a)
        await two.deliver(a)
        assert [gap.cause for _, gap in await handled(consumer)] == [GapCause.CONSUMER_STOPPED]


async def test_what_a_queue_has_no_room_for_at_a_sudden_end_of_its_deliverer_is_queued_all_the_same(tmp_path: Path) -> None:
    async with house(tmp_path, Turned()) as one:
        a = one.signal("a")
        consumer = await one.enter("app/speed", a)
        consumer.capacity = 1
        await one.deliver(a)
        with anyio.move_on_after(0.02):
            await one.deliver(a)
        assert one.views()["app/speed"].signals == [("a", 2, 0, 0, 1, 1)]
        assert one.views()["app/speed"].balanced
        assert one.router.held_since is None


async def test_a_stream_that_is_closed_and_opened_again_at_once_is_the_same_consumer(tmp_path: Path) -> None:
    """Also while its machine is slow to take the old one back."""
    server = method_machine("f")
    speed = server.find("Machines/f/Speed")
    async with (
        server,
        running(tmp_path, server, machines={"f": {"endpoint": server.url}}) as runtime,
        client_of(runtime) as client,
    ):
        for value in (1.0, 2.0, 3.0):
            async with client.subscribe("f", ["Speed"], name="mine") as stream:
                server.set(speed, value)
                with anyio.fail_after(10):
                    async for delivery in stream:
                        if any(change.value == value for change in delivery.changes()):
                            break
                    await stream.acknowledge()
        (page,) = await client.ledger("f")
        assert page.consumer == "cli:tester/mine"
        assert page.told == {"consumer-stopped": 2}
        assert page.balanced
