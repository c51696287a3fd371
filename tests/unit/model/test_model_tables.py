"""The transition tables against tables written out independently from the standards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtios.model.job import FINAL_STATES, TRANSITIONS, JobState, JobVerb, allowed_verbs, next_states
from dtios.model.packml import ACTING, PackMLCommand, PackMLState, UnitMode, allowed_commands, next_state

# One line for each state: what each command leads to. From ISA-TR88.00.02, figure of the state machine.
PACKML = """
Clearing      | Abort:Aborting
Stopped       | Reset:Resetting Abort:Aborting
Starting      | Hold:Holding Stop:Stopping Abort:Aborting
Idle          | Start:Starting Stop:Stopping Abort:Aborting
Suspended     | Hold:Holding Unsuspend:Unsuspending Stop:Stopping Abort:Aborting
Execute       | Hold:Holding Suspend:Suspending ToComplete:Completing Stop:Stopping Abort:Aborting
Stopping      | Abort:Aborting
Aborting      |
Aborted       | Clear:Clearing
Holding       | Stop:Stopping Abort:Aborting
Held          | Unhold:Unholding Stop:Stopping Abort:Aborting
Unholding     | Hold:Holding Stop:Stopping Abort:Aborting
Suspending    | Hold:Holding Stop:Stopping Abort:Aborting
Unsuspending  | Hold:Holding Stop:Stopping Abort:Aborting
Resetting     | Stop:Stopping Abort:Aborting
Completing    | Stop:Stopping Abort:Aborting
Complete      | Reset:Resetting Stop:Stopping Abort:Aborting
"""
NUMBERS = [
    "Clearing", "Stopped", "Starting", "Idle", "Suspended", "Execute", "Stopping", "Aborting", "Aborted", "Holding", "Held",
    "Unholding", "Suspending", "Unsuspending", "Resetting", "Completing", "Complete",
]  # fmt: skip
ACTING_ENDS = (
    "Clearing:Stopped Resetting:Idle Starting:Execute Execute:Completing Completing:Complete Holding:Held Unholding:Execute "
    "Suspending:Suspended Unsuspending:Execute Stopping:Stopped Aborting:Aborted"
)

# OPC 10031-4, 6.2.2: verb -> target for each state.
JOBS = """
NotAllowedToStart | start:AllowedToStart update:NotAllowedToStart abort:Aborted cancel:
AllowedToStart    | update:AllowedToStart abort:Aborted cancel:
Running           | pause:Interrupted stop:Ended abort:Aborted
Interrupted       | resume:Running stop:Ended abort:Aborted
Ended             |
Aborted           |
"""
BY_ITSELF = {
    "AllowedToStart": {"Running"},
    "Running": {"Ended", "Interrupted", "Aborted"},
    "Interrupted": {"Running", "Ended", "Aborted"},
}


def table(text: str) -> dict[str, dict[str, str]]:
    lines = [line.partition("|") for line in text.strip().splitlines()]
    return {at.strip(): dict(pair.split(":") for pair in pairs.split()) for at, _, pairs in lines}


def test_packml_numbers_are_the_standards() -> None:
    assert [s.name for s in sorted(PackMLState)] == NUMBERS
    assert [int(s) for s in sorted(PackMLState)] == list(range(1, 18))
    assert {m.name: int(m) for m in UnitMode} == {"Invalid": 0, "Produce": 1, "Maintenance": 2, "Manual": 3}


@pytest.mark.parametrize("state", PackMLState)
@pytest.mark.parametrize("command", PackMLCommand)
def test_packml_every_state_and_command(state: PackMLState, command: PackMLCommand) -> None:
    wanted = table(PACKML)[state.name].get(command.value)
    found = next_state(state, command)
    assert (found.name if found is not None else None) == wanted
    assert (command in allowed_commands(state)) == (wanted is not None)


def test_packml_acting_states() -> None:
    assert {a.name: b.name for a, b in ACTING.items()} == dict(pair.split(":") for pair in ACTING_ENDS.split())


@pytest.mark.parametrize("state", [s for s in JobState if s is not JobState.UNKNOWN])
@pytest.mark.parametrize("verb", JobVerb)
def test_jobs_every_state_and_verb(state: JobState, verb: JobVerb) -> None:
    wanted = table(JOBS)[state.value].get(verb.value)
    assert {s.value for s in next_states(state, verb)} == ({wanted} if wanted else set())
    assert (verb in allowed_verbs(state)) == (wanted is not None)


@pytest.mark.parametrize("state", JobState)
def test_jobs_what_a_machine_does_by_itself(state: JobState) -> None:
    assert {s.value for s in next_states(state, None)} == BY_ITSELF.get(state.value, set())


def test_unknown_leads_only_towards_standing_still() -> None:
    assert allowed_verbs(JobState.UNKNOWN) == {JobVerb.STOP, JobVerb.ABORT}
    assert all(JobState.UNKNOWN not in (at, to) for at, _, to in TRANSITIONS)
    assert {JobState.ENDED, JobState.ABORTED} == FINAL_STATES


@given(st.lists(st.sampled_from(list(PackMLCommand)), max_size=60))
def test_packml_a_stop_or_abort_is_always_open_while_something_moves(commands: list[PackMLCommand]) -> None:
    state = PackMLState.Idle
    for command in commands:
        state = next_state(state, command) or ACTING.get(state, state)
        if state in ACTING and state not in (PackMLState.Aborting,):
            assert PackMLCommand.ABORT in allowed_commands(state)
