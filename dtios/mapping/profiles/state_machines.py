"""Skills that are state machines with methods: programs and OpenSMI skills."""

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from dtios.mapping.profiles.skill_base import SkillBase, as_list

__all__ = ["STATE_METHODS", "OpenSMIRule", "ProgramRule"]

STATE_METHODS: Final = ("Start", "Suspend", "Resume", "Halt", "Reset")


class _StateMachine(SkillBase):
    """`methods`: paths of the methods where they have other names. `results_at`: the object whose variables are the results,
    where the profile names none."""

    at: str = ""
    states: tuple[str, ...] = ()
    methods: dict[str, str] = Field({})
    results_at: str = "FinalResultData"

    @property
    def target(self) -> str:
        return self.at

    def paths(self) -> Iterator[str]:
        yield from super().paths()
        yield from (*self.states, *self.methods.values(), self.results_at)

    def over(self, parent: Any) -> dict[str, Any]:
        return {**super().over(parent), "methods": {**parent.methods, **self.methods}}

    @field_validator("methods")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value.keys() - set(STATE_METHODS):
            raise ValueError(f"{name!r} is none of the methods {', '.join(STATE_METHODS)}")
        return value

    @field_validator("states", mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return as_list(value)


class ProgramRule(_StateMachine):
    """Drives the program (Part 10) at `at`: Start, Suspend, Resume and Halt, as far as it has them.

    `states`: paths of what tells its state, below `at` unless given: the Number or Id of CurrentState, and CurrentState.
    `state_names`: its values for Halted, Ready, Running and Suspended, where they are not the standard's. `reset_before_start`:
    Reset is given where a start finds it Halted. `ends_halted`: it comes to Halted when it is through, too.
    """

    binding: Literal["program"]
    state_names: dict[int | str, Literal["Halted", "Ready", "Running", "Suspended"]] = Field({})
    reset_before_start: bool = False
    ends_halted: bool = False


class OpenSMIRule(_StateMachine):
    """Drives the OpenSMI skill at `at`, a SkillElementType as SkillExecution. `parameters_at`: the object whose variables are the
    parameters, where the profile names none. `reset_before_start`: states in which a start gives Reset first."""

    binding: Literal["opensmi"]
    parameters_at: str = "ParameterSet"
    reset_before_start: tuple[Literal["Completed", "Halted"], ...] = ()

    def paths(self) -> Iterator[str]:
        yield from super().paths()
        yield self.parameters_at
