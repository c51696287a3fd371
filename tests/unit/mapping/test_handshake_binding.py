"""Handshakes over scripted points: every order of levels and edges, refusals, time-outs, and loss in the middle."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mapping_space import value_type
from scripted import LOST, Job, ScriptedPoints, settle

from dtios.mapping.bindings.flags import Flag, Switch
from dtios.mapping.bindings.handshake import HandshakeBinding
from dtios.mapping.bindings.handshake_points import Handshake
from dtios.mapping.bindings.variables import ResultPoint, WritePoint, Written
from dtios.model.errors import OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.job import JobIdentity, JobOutcome, JobState, JobSubstate, JobVerb

BOOL = value_type("Boolean")
INT = value_type("Int16")
WORD = value_type("UInt16")
DONE = JobOutcome(JobState.ENDED, JobSubstate.COMPLETED)
RUNNING = (JobState.RUNNING, None)
HELD = (JobState.INTERRUPTED, JobSubstate.HELD)
VERBS = {v: Switch(Flag(v.value), BOOL) for v in (JobVerb.STOP, JobVerb.ABORT, JobVerb.PAUSE)}


def binding(**more: Any) -> HandshakeBinding:
    plan = {"busy": Flag("busy"), "done": Flag("done"), "error": Flag("error"), **more}
    return HandshakeBinding(Handshake(Switch(Flag("trigger"), BOOL), start_within=0.3, **plan))


class Plc(ScriptedPoints):
    """Bits at rest; `react[bit]` is what the machine does when that bit is written."""

    def __init__(self, **values: Any) -> None:
        bits = dict.fromkeys(("trigger", "busy", "done", "error", "ack", "reset", "stop", "abort", "pause"), False)
        super().__init__(**{**bits, **values})

    def react(self, bit: str, up: Callable[[], None], down: Callable[[], None] = lambda: None) -> None:
        async def written(value: Any) -> None:
            up() if value else down()

        self.on_write[bit] = written

    def bits(self, **values: Any) -> None:
        for name, value in values.items():
            self.set(name, value)

    @property
    def ours(self) -> list[str]:
        """What we wrote, as `+bit` and `-bit`."""
        return [f"{'+' if value else '-'}{name}" for name, value in self.sent]


def quick(**values: Any) -> Plc:
    """Works at once; done falls with the trigger."""
    plc = Plc(**values)
    plc.react("trigger", lambda: (plc.bits(busy=True), plc.bits(busy=False, done=True))[0], lambda: plc.bits(done=False))
    return plc


async def going(job: Job, tasks: Any, came: list[JobOutcome], *, resume: bool = False) -> None:
    async def go() -> None:
        came.append(await (job.resume() if resume else job.run()))

    tasks.start_soon(go)
    await settle()


async def test_trigger_busy_done() -> None:
    plc = quick()
    job = Job(binding(), plc)
    assert await job.run() == DONE
    assert plc.ours == ["+trigger", "-trigger"]
    assert job.states == [RUNNING]
    assert plc.values["done"].value is False


async def test_parameters_first_and_results_while_done_is_up() -> None:
    plc = quick(Depth=0, Made=0)
    plc.values["Made"] = plc.values["Depth"]
    read_at: list[Any] = []
    original = plc.read

    async def read(addresses: Any) -> Any:
        if addresses == ["Made"]:
            read_at.append(plc.values["done"].value)
        return await original(addresses)

    plc.read = read  # type: ignore[method-assign]  # the test's script
    plan = {
        "parameters": [Written("depth", WritePoint("Depth", INT), required=True)],
        "results": [ResultPoint("made", "Made", INT)],
    }
    outcome = await Job(binding(**plan), plc, depth=7).run()
    assert plc.sent[:2] == [("Depth", 7), ("trigger", True)]
    assert outcome.results == {"made": 0}
    assert read_at == [True]


async def test_the_trigger_falls_with_busy_and_done_is_acknowledged() -> None:
    plc = Plc()
    plc.react("trigger", lambda: plc.bits(busy=True), lambda: plc.bits(busy=False, done=True))
    plc.react("ack", lambda: plc.bits(done=False))
    job = Job(binding(trigger_until="busy", acknowledge=Switch(Flag("ack"), BOOL)), plc)
    assert await job.run() == DONE
    assert plc.ours == ["+trigger", "-trigger", "+ack", "-ack"]


async def test_a_trigger_that_the_machine_takes_back() -> None:
    plc = Plc()

    def taken() -> None:
        plc.bits(trigger=False, busy=True)
        plc.bits(busy=False, done=True)

    plc.react("trigger", taken)
    assert (await Job(binding(trigger_until="machine"), plc).run()).state is JobState.ENDED
    assert plc.ours == ["+trigger"]


async def test_busy_alone_tells_the_end() -> None:
    plc, came = Plc(), list[JobOutcome]()
    plc.react("trigger", lambda: plc.bits(busy=True))
    job = Job(binding(done=None, trigger_until="busy"), plc)
    async with anyio.create_task_group() as tasks:
        await going(job, tasks, came)
        assert (came, job.states) == ([], [RUNNING])
        plc.bits(busy=False)
    assert came == [DONE]


async def test_done_alone_and_a_counter() -> None:
    plc, came = Plc(Parts=41), list[JobOutcome]()
    job = Job(binding(busy=None, done=Flag("Parts", counts=True), done_within=5.0), plc)
    async with anyio.create_task_group() as tasks:
        await going(job, tasks, came)
        assert (came, job.states, plc.ours) == ([], [RUNNING], ["+trigger"])
        plc.set("Parts", 42)
    assert came == [DONE]
    assert plc.ours == ["+trigger", "-trigger"]


async def test_a_counter_that_moved_before_the_trigger_is_not_ours() -> None:
    plc, came = Plc(Parts=1), list[JobOutcome]()
    original = plc.read

    async def read(addresses: Any) -> Any:
        if not plc.sent and plc.values["Parts"].value < 3:
            plc.set("Parts", 2)
            plc.set("Parts", 3)
        return await original(addresses)

    plc.read = read  # type: ignore[method-assign]  # the test's script
    job = Job(binding(done=Flag("Parts", counts=True)), plc)
    plc.react("trigger", lambda: plc.bits(busy=True))
    async with anyio.create_task_group() as tasks:
        await going(job, tasks, came)
        assert came == []
        plc.set("Parts", 4)
    assert came == [DONE]


async def test_inverted_bits_in_words() -> None:
    """Bit 3 of the command word triggers; of the status word bit 0 is `not busy`, bit 1 done."""
    plc = ScriptedPoints(Command=0b1000_0001, Status=0b01)
    switch = Switch(Flag("Command", bit=3), WORD)
    plan = Handshake(switch, busy=Flag("Status", bit=0, inverted=True), done=Flag("Status", bit=1), start_within=0.3)

    async def written(word: int) -> None:
        for status in (0b00, 0b11) if word & 0b1000 else (0b01,):
            plc.set("Status", status)

    plc.on_write["Command"] = written
    assert await Job(HandshakeBinding(plan), plc).run() == DONE
    assert plc.sent == [("Command", 0b1000_1001), ("Command", 0b1000_0001)]


async def test_a_state_as_a_number_with_names() -> None:
    plc = ScriptedPoints(Cmd=0, State=10)
    plan = Handshake(
        Switch(Flag("Cmd"), INT, on=5, off=0),
        busy=Flag("State", equals=(20, 25)),
        done=Flag("State", equals=(30, "Finished")),
        error=Flag("State", equals=(99,)),
        start_within=0.3,
    )

    async def written(command: int) -> None:
        for state in (20, 25, 30) if command == 5 else (10,):
            plc.set("State", state)

    plc.on_write["Cmd"] = written
    assert await Job(HandshakeBinding(plan), plc).run() == DONE
    assert plc.sent == [("Cmd", 5), ("Cmd", 0)]


async def test_a_done_that_stays_until_the_next_start() -> None:
    plc, came = Plc(done=True), list[JobOutcome]()
    job = Job(binding(done=Flag("done", stays=True)), plc)
    async with anyio.create_task_group() as tasks:
        await going(job, tasks, came)
        assert plc.ours == ["+trigger"]
        plc.bits(busy=True)
        await settle()
        assert came == []
        plc.bits(done=False, busy=False)
        plc.bits(done=True)
    assert came == [DONE]


# --- what may not be started ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "why"), [
    ({"busy": True}, "busy"), ({"done": True}, "done is still up"), ({"error": True}, "error is up"),
    ({"trigger": True}, "trigger is up already"), ({"abort": True}, "abort is still up"), ({"ready": False}, "not ready"),
])  # fmt: skip
async def test_a_start_is_refused_while(bits: dict[str, bool], why: str) -> None:
    plc = quick(**{"ready": True, **bits})
    with pytest.raises(RefusedError, match=why):
        await Job(binding(verbs=VERBS, ready=Flag("ready")), plc).run()
    assert plc.sent == []


async def test_a_bit_that_does_not_tell_refuses_a_start() -> None:
    plc = quick()
    plc.set("busy", None, 0x80340000)
    with pytest.raises(RefusedError, match="busy does not tell"):
        await Job(binding(), plc).run()
    assert plc.sent == []


async def test_error_is_reset_only_where_the_profile_says_so() -> None:
    plc = quick(error=True)
    plc.react("reset", lambda: plc.bits(error=False))
    reset = Switch(Flag("reset"), BOOL)
    with pytest.raises(RefusedError, match="error is up"):
        await Job(binding(reset=reset), plc).run()
    assert plc.sent == []
    assert await Job(binding(reset=reset, reset_before_start=True), plc).run() == DONE
    assert plc.ours == ["+reset", "-reset", "+trigger", "-trigger"]


async def test_an_error_that_stays_after_its_reset() -> None:
    plc = quick(error=True)
    with pytest.raises(RefusedError, match="error is up"):
        await Job(binding(reset=Switch(Flag("reset"), BOOL), reset_before_start=True), plc).run()
    assert plc.ours == ["+reset", "-reset"]


async def test_offline_nothing_is_sent() -> None:
    plc = quick()
    plc.online = False
    with pytest.raises(TemporaryError):
        await Job(binding(), plc).run()
    assert plc.sent == []


async def test_lost_after_the_parameters_and_before_the_trigger() -> None:
    plc = quick(Depth=0)

    async def breaks(_: Any) -> None:
        plc.lose("trigger", "busy", "done", "error")

    plc.on_write["Depth"] = breaks
    outcome = await Job(binding(parameters=[Written("depth", WritePoint("Depth", INT))]), plc, depth=1).run()
    assert outcome.state is JobState.ABORTED
    assert outcome.reason.startswith("never started")
    assert plc.sent == [("Depth", 1)]


# --- how it ends ---------------------------------------------------------------------------------------------------------


async def test_no_answer_is_unknown_and_the_trigger_is_taken_back() -> None:
    plc = Plc()
    outcome = await Job(binding(), plc).run()
    assert outcome.state is JobState.UNKNOWN
    assert "no answer came within 0.3 s" in outcome.reason
    assert plc.ours == ["+trigger", "-trigger"]


async def test_an_end_that_never_comes_is_unknown() -> None:
    plc = Plc()
    plc.react("trigger", lambda: plc.bits(busy=True))
    outcome = await Job(binding(done_within=0.1), plc).run()
    assert (outcome.state, "no end came" in outcome.reason) == (JobState.UNKNOWN, True)
    assert plc.ours == ["+trigger", "-trigger"]


async def test_busy_falls_and_nothing_follows() -> None:
    plc = Plc()
    plc.react("trigger", lambda: (plc.bits(busy=True), plc.bits(busy=False))[0])
    outcome = await Job(binding(), plc).run()
    assert (outcome.state, "busy fell" in outcome.reason) == (JobState.UNKNOWN, True)


async def test_done_a_little_after_busy_fell() -> None:
    plc, came = Plc(), list[JobOutcome]()
    plc.react("trigger", lambda: (plc.bits(busy=True), plc.bits(busy=False))[0], lambda: plc.bits(done=False))
    async with anyio.create_task_group() as tasks:
        await going(Job(binding(), plc), tasks, came)
        plc.bits(done=True)
    assert came == [DONE]


async def test_an_error_with_its_code() -> None:
    plc = Plc(Code=17)
    plc.react("trigger", lambda: (plc.bits(busy=True), plc.bits(busy=False, error=True))[0])
    plan = {"error_code": WritePoint("Code", INT), "error_texts": {17: "no part"}, "acknowledge": Switch(Flag("ack"), BOOL)}
    outcome = await Job(binding(**plan), plc).run()
    assert outcome.state is JobState.ABORTED
    assert outcome.reason == "the machine raised its error bit, code 17 (no part)"
    assert plc.ours == ["+trigger", "-trigger"], "an error is not acknowledged by itself"


async def test_a_done_that_does_not_fall_is_said() -> None:
    plc = Plc()
    plc.react("trigger", lambda: (plc.bits(busy=True), plc.bits(busy=False, done=True))[0])
    outcome = await Job(binding(), plc).run()
    assert (outcome.state, outcome.substate) == (JobState.ENDED, JobSubstate.COMPLETED)
    assert "done did not fall" in outcome.reason


@pytest.mark.parametrize(("verb", "state", "substate"), [
    (JobVerb.ABORT, JobState.ABORTED, None), (JobVerb.STOP, JobState.ENDED, JobSubstate.CLOSED),
])  # fmt: skip
async def test_stopped_by_its_bit(verb: JobVerb, state: JobState, substate: Any) -> None:
    plc, came = Plc(), list[JobOutcome]()
    plc.react("trigger", lambda: plc.bits(busy=True))
    plc.react(verb.value, lambda: plc.bits(busy=False))
    job = Job(binding(verbs=VERBS), plc)
    async with anyio.create_task_group() as tasks:
        await going(job, tasks, came)
        await job.binding.command(verb, job.order, plc)
    assert (came[0].state, came[0].substate) == (state, substate)
    assert plc.ours == ["+trigger", f"+{verb.value}", "-trigger", f"-{verb.value}"]


async def test_held_and_resumed() -> None:
    plc, came = Plc(paused=False), list[JobOutcome]()
    plc.react("trigger", lambda: plc.bits(busy=True), lambda: plc.bits(done=False))
    plc.react("pause", lambda: plc.bits(paused=True), lambda: plc.bits(paused=False))
    job = Job(binding(verbs=VERBS, paused=Flag("paused")), plc)
    async with anyio.create_task_group() as tasks:
        await going(job, tasks, came)
        await job.binding.command(JobVerb.PAUSE, job.order, plc)
        await job.until(*HELD)
        await job.binding.command(JobVerb.RESUME, job.order, plc)
        await settle()
        plc.bits(busy=False, done=True)
    assert job.states == [RUNNING, HELD, RUNNING]
    assert came == [DONE]


async def test_verbs_are_those_whose_bits_are_there() -> None:
    assert binding().verbs == {JobVerb.START}
    assert binding(verbs=VERBS).verbs == {JobVerb.START, JobVerb.STOP, JobVerb.ABORT, JobVerb.PAUSE, JobVerb.RESUME}
    with pytest.raises(RefusedError, match="no bit"):
        await binding().command(JobVerb.ABORT, Job(binding(), Plc()).order, Plc())


# --- loss, and found again -----------------------------------------------------------------------------------------------


async def test_a_loss_is_waited_out_however_long() -> None:
    plc, came = Plc(), list[JobOutcome]()
    plc.react("trigger", lambda: plc.bits(busy=True), lambda: plc.bits(done=False))
    async with anyio.create_task_group() as tasks:
        await going(Job(binding(done_within=0.2), plc), tasks, came)
        plc.lose("trigger", "busy", "done", "error")
        await anyio.sleep(0.4)
        assert came == []
        plc.recover(trigger=True, busy=True, done=False, error=False)
        await settle()
        plc.bits(busy=False, done=True)
    assert came == [DONE]


@pytest.mark.parametrize(("back", "state"), [
    ({"done": True}, JobState.ENDED), ({"error": True}, JobState.ABORTED), ({}, JobState.UNKNOWN),
])  # fmt: skip
async def test_over_when_it_is_back(back: dict[str, bool], state: JobState) -> None:
    plc, came = Plc(), list[JobOutcome]()
    plc.react("trigger", lambda: plc.bits(busy=True), lambda: plc.bits(done=False))
    async with anyio.create_task_group() as tasks:
        await going(Job(binding(), plc), tasks, came)
        plc.lose("trigger", "busy", "done", "error")
        plc.recover(**{"trigger": True, "busy": False, "done": False, "error": False, **back})
    assert came[0].state is state


async def test_an_unanswered_trigger_is_unknown_and_not_given_again() -> None:
    plc = Plc()

    async def broken(_: Any) -> None:
        raise OutcomeUnknown("no answer")

    plc.on_write["trigger"] = broken
    with pytest.raises(OutcomeUnknown):
        await Job(binding(), plc).run()
    assert plc.ours == ["+trigger"]


@pytest.mark.parametrize(("bits", "state", "ours"), [
    ({"trigger": True, "busy": True}, None, ["-trigger"]),
    ({"trigger": True, "done": True}, JobState.ENDED, ["-trigger"]),
    ({"trigger": True, "error": True}, JobState.ABORTED, ["-trigger"]),
    ({"trigger": True}, JobState.UNKNOWN, ["-trigger"]),
    ({}, JobState.UNKNOWN, []),
])  # fmt: skip
async def test_found_again(bits: dict[str, bool], state: JobState | None, ours: list[str]) -> None:
    plc, came = Plc(**bits), list[JobOutcome]()
    plc.only_settling = True
    plc.react("trigger", lambda: None, lambda: plc.bits(done=False))
    async with anyio.create_task_group() as tasks:
        await going(Job(binding(), plc), tasks, came, resume=True)
        if state is None:
            assert came == []
            plc.bits(busy=False, done=True)
    assert came[0].state is (state or JobState.ENDED)
    assert plc.ours == ours


async def test_without_busy_nothing_is_found_again() -> None:
    one = binding(busy=None, done_within=1.0)
    assert (one.identity, binding().identity) == (JobIdentity.NONE, JobIdentity.INFERABLE)
    plc = Plc(trigger=True, done=True)
    assert (await Job(one, plc).resume()).state is JobState.UNKNOWN
    assert plc.sent == []


async def test_bits_that_stay_bad_at_a_resume() -> None:
    plc = Plc(busy=True)
    plc.set("busy", None, 0x80070000)
    assert (await Job(binding(), plc).resume()).state is JobState.UNKNOWN
    assert LOST != 0x80070000
