"""Set-points that are written and confirmed, over scripted points."""

from typing import Any

import anyio
import pytest
from mapping_space import value_type
from scripted import Job, ScriptedPoints, settle

from dtios.mapping.bindings.variables import WritePoint, Written
from dtios.mapping.bindings.write import Confirmed, WriteBinding
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobOutcome, JobState, JobSubstate, JobVerb

REAL = value_type("Float")
DONE = JobOutcome(JobState.ENDED, JobSubstate.COMPLETED)


def binding(within: float = 0.2, tolerance: float = 0.5, **more: Any) -> WriteBinding:
    speed = Written("speed", WritePoint("Set", REAL), required=True, **more)
    mode = Written("mode", WritePoint("Mode", value_type("Int16")))
    confirmed = Confirmed(mode, WritePoint("Mode", value_type("Int16")))
    return WriteBinding([Confirmed(speed, WritePoint("Actual", REAL), tolerance), confirmed], within=within)


def drive(*way: float, **values: Any) -> ScriptedPoints:
    points = ScriptedPoints(**{"Set": 0.0, "Actual": 0.0, "Mode": 1, **values})

    async def follows(_: Any) -> None:
        for actual in way:
            points.set("Actual", actual)

    points.on_write["Set"] = follows
    return points


async def test_confirmed_within_the_tolerance() -> None:
    points = drive(20.0, 60.0, 99.6)
    job = Job(binding(), points, speed=100.0)
    assert await job.run() == DONE
    assert points.sent == [("Set", 100.0)]
    assert job.states == [(JobState.RUNNING, None)]


async def test_later_than_the_write() -> None:
    points, came = drive(), list[JobOutcome]()

    async def go() -> None:
        came.append(await Job(binding(within=5), points, speed=100.0).run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go)
        await settle()
        assert came == []
        points.set("Actual", 100.0)
    assert came == [DONE]


async def test_all_set_points_are_confirmed() -> None:
    points = drive(5.0)
    assert await Job(binding(), points, speed=5.0, mode=7).run() == DONE
    assert points.sent == [("Set", 5.0), ("Mode", 7)]


async def test_a_float_is_as_exact_as_it_is() -> None:
    assert await Job(binding(tolerance=0.0), drive(0.10000000149011612), speed=0.1).run() == DONE


async def test_not_confirmed_in_time() -> None:
    outcome = await Job(binding(), drive(50.0), speed=100.0).run()
    assert outcome == JobOutcome(JobState.ABORTED, reason="not confirmed within 0.2 s: speed reads 50.0")


async def test_a_readback_that_does_not_tell_is_unknown() -> None:
    points = drive()
    points.set("Actual", None, 0x80070000)
    outcome = await Job(binding(), points, speed=1.0).run()
    assert (outcome.state, "does not tell" in outcome.reason) == (JobState.UNKNOWN, True)


async def test_refused_and_half_written() -> None:
    points = drive(5.0)

    async def refused(_: Any) -> None:
        raise RefusedError("BadOutOfRange")

    points.on_write["Mode"] = refused
    outcome = await Job(binding(), points, speed=5.0, mode=99).run()
    assert (outcome.state, outcome.reason) == (JobState.ABORTED, "speed was written, mode was not: BadOutOfRange")
    points.on_write["Set"] = refused
    with pytest.raises(RefusedError):
        await Job(binding(), points, speed=5.0).run()


async def test_offline_and_no_answer() -> None:
    points = drive()
    points.online = False
    with pytest.raises(TemporaryError):
        await Job(binding(), points, speed=5.0).run()

    async def broken(_: Any) -> None:
        raise OutcomeUnknown("no answer")

    points = drive()
    points.on_write["Set"] = broken
    with pytest.raises(OutcomeUnknown):
        await Job(binding(), points, speed=5.0).run()


async def test_found_again_by_its_set_point() -> None:
    points = drive(Set=100.0, Actual=100.2)
    points.only_settling = True
    assert await Job(binding(), points, speed=100.0).resume() == DONE
    other = await Job(binding(), points, speed=50.0).resume()
    assert (other.state, "the set-point of speed is 100.0" in other.reason) == (JobState.UNKNOWN, True)
    assert points.sent == []


async def test_without_a_set_point_and_verbs() -> None:
    with pytest.raises(RefusedError, match="no set-point"):
        await Job(binding(), drive()).run()
    assert binding().verbs == {JobVerb.START}
    with pytest.raises(RefusedError):
        await binding().command(JobVerb.ABORT, Job(binding(), drive()).order, drive())
