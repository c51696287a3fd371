"""A machine that cannot tell how a job stands: the job says Unknown with the reason, and not its last state for ever."""

import anyio
import pytest
from scripted import LOST, Job, ScriptedPoints, answer

from dtios.mapping.bindings import job_order_follow, packml
from dtios.mapping.bindings.job_order import JobOrderBinding, ReceiverMethod, ReceiverNodes
from dtios.mapping.bindings.packml import PackMLBinding
from dtios.mapping.bindings.packml_points import CallPoint, Commands, StateLevel
from dtios.mapping.state_names import PACKML_STATES
from dtios.model.job import JobState
from dtios.model.packml import PackMLCommand
from dtios.model.status import BAD_DECODING_ERROR

NODES = ReceiverNodes("receiver", "list", {"StoreAndStart": ReceiverMethod("StoreAndStart")})
UNIT = PackMLBinding([StateLevel("state", PACKML_STATES)], Commands({c: CallPoint("unit", c.value) for c in PackMLCommand}))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_order_follow, "APPEAR", 0.1)
    monkeypatch.setattr(packml, "APPEAR", 0.1)


async def test_a_job_list_that_cannot_be_decoded_makes_the_job_unknown() -> None:
    points = ScriptedPoints()
    points.set("list", None, BAD_DECODING_ERROR)
    points.on["StoreAndStart"] = answer(1)
    outcome = await Job(JobOrderBinding(NODES), points).run()
    assert outcome.state is JobState.UNKNOWN
    assert "BadDecodingError" in outcome.reason


async def test_a_list_that_is_lost_with_the_connection_is_waited_for() -> None:
    points = ScriptedPoints()
    points.set("list", None, LOST)
    points.on["StoreAndStart"] = answer(1)
    with anyio.move_on_after(0.4) as waited:
        await Job(JobOrderBinding(NODES), points).run()
    assert waited.cancelled_caught


@pytest.mark.parametrize(("value", "status"), [(None, BAD_DECODING_ERROR), (77, 0)])
async def test_a_unit_that_tells_no_state_is_not_resumed_for_ever(value: int | None, status: int) -> None:
    points = ScriptedPoints()
    points.set("state", value, status)
    outcome = await Job(UNIT, points).resume()
    assert outcome.state is JobState.UNKNOWN
    assert "does not tell its state" in outcome.reason


async def test_a_unit_whose_state_goes_bad_at_its_start_is_unknown() -> None:
    points = ScriptedPoints(state=4)

    async def started() -> list[object]:
        points.set("state", None, BAD_DECODING_ERROR)
        return []

    points.on["Start"] = started
    outcome = await Job(UNIT, points).run()
    assert outcome.state is JobState.UNKNOWN
    assert "BadDecodingError" in outcome.reason
