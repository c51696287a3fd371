"""Results: from a machine's event through its profile to who follows them, and what is said where some are missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from dtios.model.condition import Condition
from dtios.model.gap import Gap, GapCause
from dtios.model.result import Result, ResultEvaluation
from dtios.model.values import QualifiedName, Record
from dtios.runtime.core import Runtime
from dtios.runtime.links import results as board
from dtios.runtime.links.machines import LiveMachine
from dtios.runtime.links.results import ResultQueue, Row
from dtios.sdk import App, AppConfig, Context
from dtios.sdk.client import Client
from dtios.sdk.observing import follow_results, results
from dtios.testing import MemoryServer, VirtualClock, app_under_test, method_machine
from tests.runtimes import client_of, running

OWN = "urn:test:gauge"
MEASURED = QualifiedName(OWN, "MeasuredEventType")
OTHER = QualifiedName(OWN, "CalibratedEventType")
PROFILE = """
profile: gauge
namespaces: {g: "urn:test:gauge", t: "urn:dtios:testing:methods"}
match: {type: t:FillerType}
role: machine
results:
  - event: g:MeasuredEventType
    result: g:Number
    part: g:Part/Serial
    evaluation: {path: g:Verdict, values: {PASS: OK, FAIL: NotOK}}
    content: {Length: g:Length}
"""


def measure(server: MemoryServer, number: int, verdict: str = "PASS") -> None:
    fields = {"Number": str(number), "Part": Record("PartType", {"Serial": f"p{number}"}), "Verdict": verdict, "Length": 12.5}
    server.event(server.find("Machines/gauge"), MEASURED, {**fields, "NotAsked": 1}, message="measured", time=1000 + number)


@asynccontextmanager
async def gauge(state: Path) -> AsyncIterator[tuple[MemoryServer, Runtime, Client]]:
    profile = state / "gauge.yaml"
    profile.write_text(PROFILE)
    machines = {"gauge": {"endpoint": "memory:gauge", "profiles": [str(profile)]}}
    async with (
        method_machine("gauge") as server,
        running(state, server, machines=machines) as runtime,
        client_of(runtime) as client,
    ):
        yield server, runtime, client


async def test_an_event_becomes_a_result_by_the_profile(tmp_path: Path) -> None:
    async with gauge(tmp_path) as (server, _, client), results(client, "gauge") as found:
        server.event(server.find("Machines/gauge"), OTHER, {"Number": "0"})
        measure(server, 1, "FAIL")
        with anyio.fail_after(5):
            result = await anext(found)
        assert result == Result(
            "gauge", "1", part="p1", evaluation=ResultEvaluation.NotOK, created=1001, content={"Length": 12.5}
        )


async def test_after_a_lost_connection_the_next_result_says_that_some_may_be_missing(tmp_path: Path) -> None:
    async with gauge(tmp_path) as (server, _, client), follow_results(client, "gauge") as told:
        measure(server, 1)
        with anyio.fail_after(10):
            assert (await anext(told))[1] is not None
            server.drop()
            measure(server, 2)  # nobody hears it
            _, nothing, gap = await anext(told)
            assert nothing is None
            assert gap is not None
            assert gap.cause is GapCause.CONNECTION_LOST
            assert gap.receive_from is not None
            assert gap.receive_to is not None
            assert gap.receive_from <= gap.receive_to
            measure(server, 3)
            result = (await anext(told))[1]
            assert result is not None
            assert result.result == "3"


async def test_every_result_is_delivered_or_counted_as_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gauge(tmp_path) as (server, _, client), follow_results(client, "gauge") as told:
        for number in range(5_000):  # more than the queues hold, and faster than they are emptied
            measure(server, number)
        seen, missing = [], 0
        with anyio.fail_after(30):
            while not seen or seen[-1] != "4999":
                _, result, gap = await anext(told)
                if gap is not None:
                    assert gap.cause is GapCause.QUEUE_OVERFLOW
                    assert gap.count is not None
                    missing += gap.count
                if result is not None:
                    seen.append(result.result)
        assert len(seen) + missing == 5_000
        assert seen == sorted(seen, key=int)
        rows = [row for row in await client.counters("gauge") if row[2] == "(results)"]
        ((_, _, _, received, delivered, _, dropped, pending),) = rows
        assert received == delivered + dropped + pending == 5_000


async def test_a_queue_drops_the_oldest_and_tells_it_before_what_is_left(tmp_path: Path) -> None:
    async with gauge(tmp_path) as (_, runtime, _):
        machine: LiveMachine = runtime.kernel.machines.get("gauge")
        queue = ResultQueue("test", lambda _: True, capacity=3)
        for number in range(5):
            queue.put(Row(machine, Result("gauge", str(number)), None))
        first = await queue.take()
        assert first.gap == Gap(GapCause.QUEUE_OVERFLOW, count=2)
        left = [await queue.take() for _ in range(3)]
        assert [row.result.result for row in left if row.result is not None] == ["2", "3", "4"]
        assert (queue.received["gauge"], queue.delivered["gauge"], queue.dropped["gauge"]) == (5, 3, 2)
        assert board.CAPACITY > 3


class Config(AppConfig):
    pass


app = App("sorter", config=Config)
measuring = app.needs("measuring", signals=["Speed"])


@app.on_result(measuring)
async def sort(ctx: Context[Config], result: Result) -> None:
    ctx.log.info("sorted", part=result.part, good=result.evaluation is ResultEvaluation.OK, gap=result.gap is not None)


@app.on_condition(measuring)
async def complained(ctx: Context[Config], condition: Condition) -> None:
    machine = ctx.handle(condition.machine)
    if not condition.acknowledged:
        await machine.acknowledge(condition, "by the sorter")
    ctx.log.info("condition", name=condition.name, acknowledged=condition.acknowledged, retain=condition.retain)


async def test_an_app_is_called_with_each_result(tmp_path: Path) -> None:
    machine = method_machine("gauge", clock=VirtualClock())
    async with app_under_test(app, [machine], profiles=[PROFILE]) as test:
        await test.until(lambda: machine.sessions == 1)
        measure(machine, 1)
        measure(machine, 2, "FAIL")
        await test.until(lambda: test.said.count("sorted") == 2)
        machine.drop()
        await test.until(lambda: machine.sessions == 1)
        await test.clock.advance(5)
        measure(machine, 3)
        await test.until(lambda: test.said.count("sorted") == 3)
        assert [f for _, event, f in test.log if event == "sorted"] == [
            {"part": "p1", "good": True, "gap": False},
            {"part": "p2", "good": False, "gap": False},
            {"part": "p3", "good": True, "gap": True},
        ]


async def test_an_app_acknowledges_what_it_is_told(tmp_path: Path) -> None:
    machine = method_machine("gauge", clock=VirtualClock())
    async with app_under_test(app, [machine], profiles=[PROFILE]) as test:
        alarm = Condition("", "lens", "Lens", "dirty", 300, active=False, acknowledged=False, name="LensAlarm")
        machine.condition(machine.find("Machines/gauge"), alarm)
        await test.until(lambda: test.said.count("condition") == 2)
        assert [f["retain"] for _, event, f in test.log if event == "condition"] == [True, False]
        assert [(r.address, r.value[:2]) for r in machine.commands] == [("lens", ["acknowledge", "by the sorter"])]
