"""The control endpoint, over its socket: what is asked, told, refused, and how a driver moves time in lock-step."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dtios_cell.control import CellClient, CellRefusal, CellServer, connect_cell
from dtios_cell.control import outbox as outboxes
from dtios_cell.layout import DEFAULT, read_layout
from dtios_cell.pacer import paced
from dtios_cell.plant.cell import build
from dtios_cell.plant.timeline import SECOND


@asynccontextmanager
async def served(*, lock_step: bool = True) -> AsyncIterator[tuple[CellServer, int]]:
    server = CellServer(build(read_layout(DEFAULT)), lock_step=lock_step)
    async with anyio.create_task_group() as tasks:
        port = await tasks.start(server.run)
        yield server, port
        tasks.cancel_scope.cancel()


async def _until(client: CellClient, what: str, **wanted: Any) -> dict[str, Any]:
    with anyio.fail_after(5):
        async for news in client.news:
            form: dict[str, Any] = news.get(what, {})
            if wanted.items() <= form.items():
                return form
    raise AssertionError(f"no {what} like {wanted}")


async def test_a_station_is_asked_and_told_of() -> None:
    async with served() as (_, port), connect_cell(port) as client:
        names = [one["name"] for one in await client.do("stations")]
        assert names == ["store", "vehicle", "robot", "turning", "dispenser", "screwdriver", "gauge", "mill", "meter"]
        (store,) = await client.do("follow", station="store")
        assert store["image"]["Slots/A1"]["value"] == "store-0001"
        await client.ask("store", "fetch", slot="A1")
        await client.do("advance", until=20 * SECOND)
        assert (await _until(client, "reading", path="Counter/Carrier"))["value"] == "store-0001"


async def test_a_job_is_told_from_its_start_to_its_end() -> None:
    async with served() as (server, port), connect_cell(port) as client:
        await client.do("follow")
        store, turning = server.plant.stations["store"], server.plant.stations["turning"]
        turning.load(store.slots["A1"])  # type: ignore[attr-defined]  # what a robot's hand does
        job = await client.ask("turning", "turn", job_id="one")
        assert (job["state"], job["serial"]) == ("Running", "store-0001")
        await client.do("advance", until=90 * SECOND)
        ended = await _until(client, "job", id="one", state="Ended")
        assert ended["result"] == {"parts": 1}
        truth = await client.do("truth")
        assert [one["what"] for one in truth] == ["job", "part", "job"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"do": "dance"}, "there is no dance"),
        ({"do": "ask", "station": "moon", "verb": "turn"}, "there is no station moon"),
        ({"do": "ask", "station": "turning", "verb": "inject"}, "cannot inject; it can abort"),
        ({"do": "ask", "station": "turning", "verb": "turn", "with": {"job_id": "a"}}, "there is no part in turning"),
        ({"do": "ask", "station": "turning", "verb": "set_offset", "with": {"micrometres": "far"}}, "should be a valid number"),
        ({"do": "ask", "station": "turning", "verb": "set_offset", "with": {"micrometres": float("nan")}}, "offsets up to"),
        ({"do": "ask", "station": "turning", "verb": "turn", "with": {}}, "job_id: Missing required argument"),
        ({"do": "inject", "station": "turning", "fault": "rust"}, "there is no fault rust; there are blocked-edge"),
        ({"do": "advance", "until": -1}, "is over"),
        ({"do": "advance"}, "advance: KeyError"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_reason(question: dict[str, Any], said: str) -> None:
    async with served() as (_, port), connect_cell(port) as client:
        with pytest.raises(CellRefusal, match=said):
            await client.do(question.pop("do"), **question)
        assert await client.do("time") == {"now": 0, "sequence": 0, "lock_step": True}, "nothing changed"


async def test_lines_that_are_none_do_not_end_the_connection() -> None:
    async with served() as (_, port), await anyio.connect_tcp("127.0.0.1", port) as stream:
        for bad in (b"\n", b"{\n", b"[]\n", b'{"do":"time"}\n', b"\xff\xfe\n"):
            await stream.send(bad)
            assert b"refused" in await stream.receive()
        await stream.send(b'{"id":7,"do":"time"}\n')
        assert json.loads(await stream.receive())["id"] == 7


async def test_time_moves_by_a_driver_once_all_is_handled() -> None:
    async with served() as (_, port), connect_cell(port) as face, connect_cell(port) as driver:
        await face.do("follow")
        await face.do("handled", sequence=0)
        sequence = (await driver.do("advance", until=3 * SECOND))["sequence"]
        assert sequence > 0
        settled = anyio.Event()

        async def wait() -> None:
            assert (await driver.do("settled"))["sequence"] == sequence
            settled.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await driver.do("time")
            assert not settled.is_set(), "the face has not handled what it was told"
            await face.do("handled", sequence=sequence)
        assert settled.is_set()


async def test_a_face_that_goes_holds_nobody_up() -> None:
    async with served() as (_, port), connect_cell(port) as driver:
        async with connect_cell(port) as face:
            await face.do("follow")
            await face.do("handled", sequence=0)
            await driver.do("advance", until=2 * SECOND)
        with anyio.fail_after(2):
            await driver.do("settled")


async def test_who_does_not_read_is_cut_off_and_the_plant_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "MOST", 50)
    async with served() as (_, port), connect_cell(port) as driver, await anyio.connect_tcp("127.0.0.1", port) as slow:
        await slow.send(b'{"id":1,"do":"follow"}\n')
        await slow.receive()
        await driver.do("advance", until=1000 * SECOND)
        with anyio.fail_after(2):
            assert sum([chunk.count(b"\n") async for chunk in slow]) <= 60
        assert (await driver.do("time"))["now"] == 1000 * SECOND


async def test_a_fault_is_injected_told_and_mended() -> None:
    async with served() as (_, port), connect_cell(port) as client:
        await client.do("follow", station="meter")
        await client.do("inject", station="meter", fault="step", signal="Power", value=100.0, at=2.5)
        await client.do("advance", until=3 * SECOND)
        fault = await _until(client, "fault", broken=True)
        assert (fault["kind"], fault["since"], fault["signal"]) == ("step", 2 * SECOND + SECOND // 2, "Power")
        assert await client.do("clear", station="meter", fault="step") == 1
        await _until(client, "fault", broken=False)


async def test_it_runs_by_itself_as_fast_as_it_is_told() -> None:
    plant = build(read_layout(DEFAULT))
    wall = 0

    def clock() -> int:
        nonlocal wall
        wall += SECOND // 10
        return wall

    reached = anyio.Event()
    plant.stations["meter"].heard.append(lambda one: reached.set() if one.time >= 10 * SECOND else None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(paced, plant, 20.0, clock)
        with anyio.fail_after(3):
            await reached.wait()
        tasks.cancel_scope.cancel()
    assert plant.timeline.now == pytest.approx((wall - SECOND // 10) * 20, abs=SECOND // 10 * 20)
    with pytest.raises(ValueError, match="1 to 20"):
        await paced(plant, 21.0)


async def test_without_lock_step_nobody_moves_its_time() -> None:
    async with served(lock_step=False) as (_, port), connect_cell(port) as client:
        with pytest.raises(CellRefusal, match="runs by itself"):
            await client.do("advance", until=SECOND)


async def test_where_no_cell_is(unused_tcp_port: int) -> None:
    with pytest.raises(CellRefusal, match="dtios sim up"):
        async with connect_cell(unused_tcp_port):
            pass
