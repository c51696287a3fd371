"""The outbox: live straight through, by way of the disk while the receiver is away, bounded, in order, a Gap for each loss."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.model.gap import Gap, GapCause
from dtios.model.values import LocalizedText, Record
from dtios.sdk import ConfigurationError
from dtios.sdk.forwarding import Outbox, Parcel, Uplink, open_outbox
from tests.unit.forwarding.senders import SECOND, Receiver, Sender, Turned

LONG = 60.0
"""A linger that does not come."""


async def drain(outbox: Outbox, uplink: Uplink, receiver: Receiver) -> list[Parcel]:
    """All that is there, acknowledged, until the file is empty."""
    taken = []
    with anyio.fail_after(10):
        while True:
            with anyio.move_on_after(0.05) as patience:
                parcel = await uplink.take()
            if not patience.cancelled_caught:
                receiver.take([parcel])
                taken.append(parcel)
                uplink.acknowledge(parcel)
            elif not outbox.figures.size:
                return taken


@asynccontextmanager
async def filled(file: Path, sender: Sender, parcels: int, clock: Turned, **options: int) -> AsyncIterator[Outbox]:
    """With some parcels of two values on disk."""
    async with open_outbox(file, clock, **options) as outbox:
        for _ in range(parcels):
            await outbox.put([sender.delivery(2)])
        yield outbox


async def test_what_is_taken_at_once_never_touches_the_disk(tmp_path: Path) -> None:
    sender, clock = Sender(), Turned()
    async with open_outbox(tmp_path / "o", clock, linger=LONG) as outbox, outbox.uplink() as uplink:
        receipt = outbox.hand_in([sender.delivery(2), sender.delivery(1)])
        assert not receipt.is_secured
        parcel = await uplink.take()
        assert (len(parcel), parcel.historical, [d.machine for d in parcel.deliveries]) == (3, False, ["m", "m"])
        uplink.acknowledge(parcel)
        await receipt.secured()
        assert outbox.figures.values == 0
        assert receipt.stored is False


async def test_what_is_not_acknowledged_soon_is_secured_on_disk_and_taken_off_it_later(tmp_path: Path) -> None:
    sender, clock = Sender(), Turned()
    async with open_outbox(tmp_path / "o", clock, linger=0.01) as outbox:
        async with outbox.uplink() as uplink:
            with anyio.fail_after(5):
                await outbox.put([sender.delivery(2)])
            assert outbox.figures.values == 2
            parcel = await uplink.take()
            assert not parcel.historical
            uplink.acknowledge(parcel)
            with anyio.fail_after(5):
                while outbox.figures.values:
                    await anyio.sleep(0.01)
        async with outbox.uplink() as uplink:
            assert await drain(outbox, uplink, Receiver()) == []


async def test_while_nobody_takes_it_is_kept_and_then_comes_in_order_and_historical(tmp_path: Path) -> None:
    sender, clock, receiver = Sender(), Turned(), Receiver()
    async with filled(tmp_path / "o", sender, 50, clock) as outbox, outbox.uplink() as uplink:
        taken = await drain(outbox, uplink, receiver)
    assert len(taken) == 50
    assert all(parcel.historical for parcel in taken)
    assert [parcel.sequence for parcel in taken] == [1 + 2 * number for number in range(50)]
    assert receiver.missing(sender) == []


async def test_it_is_kept_over_the_end_of_the_process_with_the_numbers_it_had(tmp_path: Path) -> None:
    sender, clock, receiver = Sender(), Turned(), Receiver()
    async with filled(tmp_path / "o", sender, 3, clock) as outbox:
        first = outbox.epoch
    async with open_outbox(tmp_path / "o", clock) as outbox:
        assert outbox.epoch > first
        await outbox.put([sender.delivery(2)])
        async with outbox.uplink() as uplink:
            taken = await drain(outbox, uplink, receiver)
    assert [(parcel.epoch, parcel.sequence) for parcel in taken] == [(first, 1), (first, 3), (first, 5), (outbox.epoch, 1)]
    assert receiver.missing(sender) == []


async def test_what_was_taken_and_not_acknowledged_comes_again_with_the_same_number(tmp_path: Path) -> None:
    sender, clock, receiver = Sender(), Turned(), Receiver()
    async with open_outbox(tmp_path / "o", clock) as outbox:
        async with outbox.uplink() as uplink:
            for _ in range(3):
                outbox.hand_in([sender.delivery(2)])
            taken = [await uplink.take() for _ in range(2)]
            receiver.take(taken)
            uplink.acknowledge(taken[1])
        async with outbox.uplink() as uplink:
            again = await drain(outbox, uplink, receiver)
    assert [parcel.sequence for parcel in again] == [1, 5]
    assert all(parcel.historical for parcel in again)
    assert receiver.doubles == 2
    assert receiver.missing(sender) == []


async def test_an_acknowledgement_that_comes_after_the_uplink_has_ended_is_none(tmp_path: Path) -> None:
    sender, clock, receiver = Sender(), Turned(), Receiver()
    async with open_outbox(tmp_path / "o", clock) as outbox:
        async with outbox.uplink() as uplink:
            outbox.hand_in([sender.delivery(2)])
            parcel = await uplink.take()
        uplink.acknowledge(parcel)
        async with outbox.uplink() as another:
            assert len(await drain(outbox, another, receiver)) == 1


async def test_live_values_go_first_and_what_was_kept_has_a_share(tmp_path: Path) -> None:
    sender, clock = Sender(), Turned()
    async with filled(tmp_path / "o", sender, 40, clock) as outbox, outbox.uplink(share=4) as uplink:
        await anyio.sleep(0.1)  # read ahead
        order = []
        for _ in range(20):
            outbox.hand_in([sender.delivery(2)])
        for _ in range(25):
            parcel = await uplink.take()
            order.append("kept" if parcel.historical else "live")
            uplink.acknowledge(parcel)
    assert order == ["live", "live", "live", "live", "kept"] * 5


async def test_few_kept_ones_are_under_way_so_that_a_live_one_is_never_far_behind(tmp_path: Path) -> None:
    sender, clock = Sender(), Turned()
    async with filled(tmp_path / "o", sender, 40, clock) as outbox, outbox.uplink(historical=3) as uplink:
        taken = [await uplink.take() for _ in range(3)]
        with anyio.move_on_after(0.05) as waited:
            await uplink.take()
        assert waited.cancelled_caught
        outbox.hand_in([sender.delivery(2)])
        assert not (await uplink.take()).historical
        uplink.acknowledge(taken[0])
        assert (await uplink.take()).historical


async def test_more_live_ones_than_fit_into_memory_go_by_way_of_the_disk(tmp_path: Path) -> None:
    sender, clock, receiver = Sender(), Turned(), Receiver()
    async with open_outbox(tmp_path / "o", clock) as outbox, outbox.uplink() as uplink:
        receipts = [outbox.hand_in([sender.delivery(2)]) for _ in range(200)]
        for receipt in receipts:
            await receipt.secured()
        taken = await drain(outbox, uplink, receiver)
    assert receiver.missing(sender) == []
    assert receiver.doubles == 0
    assert [p.sequence for p in taken if p.historical] == sorted(p.sequence for p in taken if p.historical)
    assert 0 < sum(parcel.historical for parcel in taken) < 200


async def test_too_much_drops_the_oldest_with_a_gap_for_each_signal(tmp_path: Path) -> None:
    sender, clock, receiver = Sender(), Turned(), Receiver()
    text = "x" * 1000
    async with open_outbox(tmp_path / "o", clock, size=100_000) as outbox:
        for _ in range(100):
            await outbox.put([sender.delivery(2, text=text)])
            assert outbox.figures.size <= 100_000
        lost = outbox.figures.lost
        assert 50 * 2 < lost < 60 * 2
        async with outbox.uplink() as uplink:
            taken = await drain(outbox, uplink, receiver)
    assert receiver.missing(sender) == []
    # the Gap stands where the lost ones were: first
    assert [path for path, _ in taken[0].deliveries[0].gaps] == ["a", "b"]
    gap = Gap(GapCause.STORE_OVERFLOW, 1, lost // 2, 1, lost // 2, lost // 2)
    assert receiver.lost("m", "a") == receiver.lost("m", "b") == [gap]
    assert (tmp_path / "o").stat().st_size < 250_000


async def test_what_is_too_old_is_dropped_with_a_gap(tmp_path: Path) -> None:
    sender, clock, receiver = Sender(), Turned(), Receiver()
    async with filled(tmp_path / "o", sender, 3, clock, age=3600) as outbox:
        clock.time += 1800 * SECOND
        await outbox.put([sender.delivery(2)])
        clock.time += 2000 * SECOND
        async with outbox.uplink() as uplink:
            await drain(outbox, uplink, receiver)
    assert receiver.came("m")["a"] == {4}
    assert [(gap.receive_from, gap.receive_to, gap.count) for gap in receiver.lost("m", "a")] == [(1, 3, 3)]


async def test_a_gap_is_never_dropped(tmp_path: Path) -> None:
    """Those of other causes among the dropped values come too; two of one cause become one that spans both."""
    sender, clock, receiver = Sender(), Turned(), Receiver()
    lost = [Gap(GapCause.CONNECTION_LOST, None, None, low, low + 5, None) for low in (10, 30)]
    async with open_outbox(tmp_path / "o", clock, age=10) as outbox:
        await outbox.put([sender.delivery(2, ("a", lost[0]))])
        await outbox.put([sender.delivery(2, ("a", lost[1]), ("b", lost[1]))])
        clock.time += 11 * SECOND
        await outbox.put([sender.delivery(2)])
        clock.time += 11 * SECOND
        await outbox.put([sender.delivery(2)])
        async with outbox.uplink() as uplink:
            await drain(outbox, uplink, receiver)
    told = {(path, gap.cause): gap for _, path, gap in receiver.gaps}
    assert told["a", GapCause.CONNECTION_LOST] == Gap(GapCause.CONNECTION_LOST, None, None, 10, 35, None)
    assert told["b", GapCause.CONNECTION_LOST] == lost[1]
    assert told["a", GapCause.STORE_OVERFLOW] == Gap(GapCause.STORE_OVERFLOW, 1, 3, 1, 3, 3)
    assert len(receiver.gaps) == 4


async def test_gaps_alone_are_a_parcel_with_a_number_of_its_own(tmp_path: Path) -> None:
    sender, clock = Sender(), Turned()
    async with open_outbox(tmp_path / "o", clock) as outbox, outbox.uplink() as uplink:
        outbox.hand_in([sender.delivery(0, ("a", Gap(GapCause.CONNECTION_LOST)))])
        outbox.hand_in([sender.delivery(2)])
        assert [(await uplink.take()).sequence for _ in range(2)] == [1, 2]


async def test_values_of_every_kind_come_back_as_they_were(tmp_path: Path) -> None:
    sender, clock = Sender(), Turned()
    delivery = sender.delivery(2)
    assert delivery.batch is not None
    delivery.batch.values = [LocalizedText("heiß", "de"), Record("T", {"x": [1, 2.5], "y": b"\x00"})]
    async with open_outbox(tmp_path / "o", clock) as outbox:
        await outbox.put([delivery])
        async with outbox.uplink() as uplink:
            batch = (await uplink.take()).deliveries[0].batch
    assert batch is not None
    assert batch.values == delivery.batch.values
    assert (batch.handles, batch.sequences, batch.epoch) == ([1, 2], [1, 1], 1)


async def test_an_epoch_is_new_even_where_the_file_was_deleted(tmp_path: Path) -> None:
    clock = Turned()
    async with open_outbox(tmp_path / "o", clock) as outbox:
        first = outbox.epoch
    (tmp_path / "o").unlink()
    clock.time += 2 * SECOND
    async with open_outbox(tmp_path / "o", clock) as outbox:
        assert outbox.epoch > first
    clock.time -= 100 * SECOND  # a clock that was set back
    later = outbox.epoch
    async with open_outbox(tmp_path / "o", clock) as outbox:
        assert outbox.epoch > later


async def test_a_file_that_is_none_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"something else" * 100)
    with pytest.raises(ConfigurationError, match="the store cannot be used"):
        async with open_outbox(tmp_path / "o", Turned()):
            pass


async def test_deliveries_of_two_subscriptions_are_no_parcel(tmp_path: Path) -> None:
    async with open_outbox(tmp_path / "o", Turned()) as outbox:
        with pytest.raises(ValueError, match="one subscription"):
            outbox.hand_in([Sender().delivery(1), Sender().delivery(1)])


async def test_a_disk_that_is_full_secures_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """What cannot be written waits, unsecured; whoever handed it in is held up by that. It is written when there is room."""
    sender, clock, receiver = Sender(), Turned(), Receiver()
    async with open_outbox(tmp_path / "o", clock) as outbox:
        database = outbox._keeper.shelf._database
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + 1}")
        receipts = [outbox.hand_in([sender.delivery(2, text="x" * 2_000)]) for _ in range(10)]
        await anyio.sleep(0.2)
        assert not any(receipt.is_secured for receipt in receipts)
        assert outbox.figures.size == 0
        database.execute("PRAGMA max_page_count = 10000")
        with anyio.fail_after(5):
            for receipt in receipts:
                await receipt.secured()
        async with outbox.uplink() as uplink:
            await drain(outbox, uplink, receiver)
    assert receiver.missing(sender) == []
    assert receiver.doubles == 0
