"""A skill over messages, over scripted points."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from scripted import Job, ScriptedPoints, settle

from dtios.mapping.bindings.arguments import Input
from dtios.mapping.bindings.topic import Request, TopicBinding, TopicParts, TopicTimes
from dtios.mapping.bindings.topic_answers import AnswerReader
from dtios.mapping.json_paths import JsonPath
from dtios.mapping.points import Publish
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.values import Record

STATES = {
    "taken": "accepted", "busy": "running", "held": "paused", "ok": "done", "halted": "stopped", "nok": "failed", "no": "refused",
    "who?": "unknown", 7: "running",
}  # fmt: skip
RUNNING = (JobState.RUNNING, None)


def binding(*, ask: bool = True, start: float = 0.3, done: float | None = None, by_mark: bool = False) -> TopicBinding:
    reader = AnswerReader(
        () if by_mark else (JsonPath("id"), JsonPath("job")), (JsonPath("state"),), STATES, (JsonPath("error"),),
        (JsonPath("why"),), {"made": JsonPath("$.made")},
    )  # fmt: skip
    return TopicBinding(
        TopicParts(
            Request("cmd", {"id": "{job}", "count": "{count}", "speed": "{speed}"}),
            ("answer",),
            reader,
            [Input("count", ValueType(BuiltinType.Int32)), Input("speed", ValueType(BuiltinType.Double))],
            frozenset({"speed"}),
            Request("ask", {"ask": "{job}"}) if ask else None,
            {JobVerb.CANCEL: Request("cmd", {"cancel": "{job}"})},
            TopicTimes(start, done),
        )
    )


class Machine(ScriptedPoints):
    """Says what is in its script when it gets a request, and `of[address]` for others."""

    def __init__(self, *script: dict[str, Any], **of: Sequence[dict[str, Any]]) -> None:
        super().__init__(answer=None)
        self._scripts = {"cmd": script, **of}
        self.on_publish = self._answer

    async def _answer(self, message: Publish) -> None:
        for said in self._scripts.get(message.address, ()):
            self.say(**said)

    def say(self, mark: str = "", status: int = 0, **said: Any) -> None:
        self.set("answer", Record("Message", {"Payload": json.dumps({"id": "j1", **said}), "Correlation": mark}), status)

    @property
    def told(self) -> list[tuple[str, Any]]:
        return [(message.address, json.loads(message.payload)) for message in self.published]


async def test_from_the_request_to_the_last_answer() -> None:
    machine = Machine({"state": "taken"}, {"state": "busy"}, {"state": "busy"}, {"state": "held"}, {"state": "ok", "made": 3})
    job = Job(binding(), machine, count=3)
    assert await job.run() == JobOutcome(JobState.ENDED, JobSubstate.COMPLETED, {"made": 3})
    assert job.states == [RUNNING, (JobState.INTERRUPTED, JobSubstate.HELD)]
    assert machine.told == [("cmd", {"id": "j1", "count": 3})]
    (message,) = machine.published
    assert (message.expiry, message.reply_to, message.correlation) == (0.3, None, None)


async def test_a_quick_end_was_running_too() -> None:
    job = Job(binding(), Machine({"state": "ok"}, {"state": "ok"}), count=3)
    assert (await job.run()).state is JobState.ENDED
    assert job.states == [RUNNING]


async def test_other_jobs_and_nonsense_are_passed_over() -> None:
    machine = Machine(
        {"id": "j0", "state": "ok"}, {"state": "gone"}, {"id": 1, "job": "j1", "state": "ok"}, {"state": "ok", "made": 1}
    )
    machine.values["answer"] = machine.values["answer"].__class__(Record("Message", {"Payload": "{", "Correlation": ""}))
    assert (await Job(binding(), machine, count=3).run()).results == {"made": 1}


async def test_by_correlation_data() -> None:
    machine = Machine({"mark": "j0", "state": "ok"}, {"mark": "j1", "state": "ok", "made": 2})
    assert (await Job(binding(by_mark=True), machine, count=3).run()).results == {"made": 2}
    assert (machine.published[0].reply_to, machine.published[0].correlation) == ("answer", b"j1")


async def test_refused_before_it_began_and_after() -> None:
    with pytest.raises(RefusedError, match="too many"):
        await Job(binding(), Machine({"state": "no", "why": "too many"}), count=3).run()
    late = await Job(binding(), Machine({"state": "busy"}, {"state": "no", "why": "door"}), count=3).run()
    assert late == JobOutcome(JobState.ABORTED, reason="door")


@pytest.mark.parametrize(
    ("said", "reason"),
    [({"state": "nok", "why": "jam"}, "jam"), ({"state": "nok"}, "nok"), ({"error": {"code": 3}}, "{'code': 3}")],
)
async def test_failed(said: dict[str, Any], reason: str) -> None:
    assert await Job(binding(), Machine(said), count=3).run() == JobOutcome(JobState.ABORTED, reason=reason)


async def test_no_error_is_no_error() -> None:
    outcome = await Job(binding(), Machine({"error": None, "state": "ok"}, {"error": "", "state": "ok"}), count=3).run()
    assert outcome.state is JobState.ENDED


async def test_no_answer_is_unknown() -> None:
    outcome = await Job(binding(start=0.05), Machine(), count=3).run()
    assert outcome == JobOutcome(JobState.UNKNOWN, reason="no answer came within 0.05 s")
    outcome = await Job(binding(done=0.05), Machine({"state": "busy"}), count=3).run()
    assert outcome.state is JobState.UNKNOWN
    assert outcome.reason.endswith("the machine said busy")


async def test_nothing_is_sent_offline_or_with_a_wrong_parameter() -> None:
    machine = Machine()
    machine.online = False
    with pytest.raises(TemporaryError):
        await Job(binding(), machine, count=3).run()
    with pytest.raises(RefusedError):
        await Job(binding(), Machine(), count=3.5).run()
    assert machine.published == []


async def lost_and_back(job: Job, machine: Machine) -> JobOutcome:
    ended: list[JobOutcome] = []

    async def run() -> None:
        ended.append(await job.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await job.until(*RUNNING)
        machine.lose("answer")
        await settle()
        machine.online = True
        machine.set("answer", None, 0x80320000)
    return ended[0]


async def test_after_a_lost_connection_it_is_asked() -> None:
    machine = Machine({"state": "busy"}, ask=[{"state": "ok", "made": 3}])
    outcome = await lost_and_back(Job(binding(), machine, count=3), machine)
    assert outcome.results == {"made": 3}
    assert [address for address, _ in machine.told] == ["cmd", "ask"]


async def test_who_cannot_be_asked_and_says_nothing_is_unknown() -> None:
    machine = Machine({"state": "busy"})
    outcome = await lost_and_back(Job(binding(ask=False, start=0.1), machine, count=3), machine)
    assert outcome.state is JobState.UNKNOWN
    assert [address for address, _ in machine.told] == ["cmd"]


async def test_a_request_that_may_have_arrived_is_asked_about() -> None:
    class Deaf(Machine):
        async def publish(self, message: Publish, *, settling: bool = False) -> None:
            await super().publish(message, settling=settling)
            if message.address == "cmd":
                raise OutcomeUnknown("nobody acknowledged")

    with pytest.raises(OutcomeUnknown):
        await Job(binding(ask=False), Deaf({"state": "ok"}), count=3).run()
    assert (await Job(binding(), Deaf({"state": "ok"}), count=3).run()).state is JobState.ENDED


@pytest.mark.parametrize(
    ("said", "state"),
    [("ok", JobState.ENDED), ("halted", JobState.ENDED), ("nok", JobState.ABORTED), ("who?", JobState.ABORTED)],
)
async def test_found_again(said: str, state: JobState) -> None:
    machine = Machine(ask=[{"state": said}])
    machine.only_settling = True
    outcome = await Job(binding(), machine, count=3).resume()
    assert outcome.state is state
    assert machine.told == [("ask", {"ask": "j1"})]
    assert (outcome.reason == "never started") == (said == "who?")


async def test_what_cannot_be_asked_is_never_started_again() -> None:
    machine = Machine({"state": "ok"})
    outcome = await Job(binding(ask=False, start=0.05), machine, count=3).resume()
    assert outcome.state is JobState.UNKNOWN
    assert machine.told == []
    assert (binding(ask=False).identity, binding().identity) == (JobIdentity.NONE, JobIdentity.NATIVE)


async def test_verbs() -> None:
    machine = Machine()
    job = Job(binding(), machine, count=3)
    assert job.binding.verbs == {JobVerb.START, JobVerb.CANCEL}
    await job.binding.command(JobVerb.CANCEL, job.order, machine)
    assert machine.told == [("cmd", {"cancel": "j1"})]
    with pytest.raises(RefusedError):
        await job.binding.command(JobVerb.PAUSE, job.order, machine)


def test_parameters() -> None:
    assert binding().parameters["required"] == ["count"]
    assert set(binding().parameters["properties"]) == {"count", "speed"}
    assert set(binding().results["properties"]) == {"made"}
