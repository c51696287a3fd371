"""Skills in profiles: which binding runs a skill, over which nodes."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from dtios.mapping.profiles.plc import HandshakeRule, WriteRule
from dtios.mapping.profiles.skill_base import (
    CapabilityRule,
    ConstraintRule,
    LockRule,
    ParameterRule,
    ResultRule,
    SkillBase,
    as_list,
)
from dtios.mapping.profiles.state_machines import OpenSMIRule, ProgramRule
from dtios.mapping.profiles.topic_skills import TopicRule
from dtios.mapping.profiles.vda import VdaOrderRule
from dtios.model.packml import PackMLState

__all__ = [
    "CapabilityRule",
    "ConstraintRule",
    "HandshakeRule",
    "JobOrderRule",
    "LockRule",
    "MethodRule",
    "OpenSMIRule",
    "PackMLRule",
    "ParameterRule",
    "ProgramRule",
    "ResultRule",
    "SkillRule",
    "TopicRule",
    "VdaOrderRule",
    "WriteRule",
]


CommandName = Literal[
    "Reset", "ResetStopped", "Start", "Stop", "Hold", "Unhold", "Suspend", "Unsuspend", "Abort", "Clear", "ToComplete"
]


def _state_name(name: str) -> str:
    if name and name not in PackMLState.__members__:
        raise ValueError(f"{name!r} is no PackML state, as Idle or Execute")
    return name


PackMLStateName = Annotated[str, AfterValidator(_state_name)]


class MethodRule(SkillBase):
    """Calls `method` (a path)."""

    binding: Literal["method"]
    method: str

    @property
    def target(self) -> str:
        return self.method


class JobOrderRule(SkillBase):
    """Drives the ISA95JobOrderReceiver at `at`. `responses`: the path of its response provider, else the nearest one of
    `responses_type`. `work_master` is given with every job order; without it the parameter `WorkMasterID` may choose.
    """

    binding: Literal["job_order"]
    at: str = ""
    responses: str | None = None
    responses_type: str | None = None
    work_master: str | None = None

    @property
    def target(self) -> str:
        return self.at

    def paths(self) -> Iterator[str]:
        yield from super().paths()
        yield from (p for p in (self.responses,) if p)

    def types(self) -> Iterator[str]:
        yield from super().types()
        yield from (t for t in (self.responses_type,) if t)


class PackMLRule(SkillBase):
    """Drives the PackML state machine at `at`.

    `states`: paths of the CurrentState of the nested state machines, outermost first, or of a number as Status.StateCurrent.
    `state_names`: the machine's values for the PackML states, where they are not the standard's numbers and names; an empty name
    says that the machine nested in that state tells. `commands`: the path of each command's method (ResetStopped: of the Reset
    that leads from Stopped, where it is another one); or, for classic PackTags, `command` and `change_request`: the paths of
    CntrlCmd and CmdChangeRequest. `reset_before_start`: Reset is issued where a start finds Complete or Stopped.
    """

    binding: Literal["packml"]
    at: str = ""
    states: tuple[str, ...] = ()
    state_names: dict[int | str, PackMLStateName] = Field({})
    commands: dict[CommandName, str] = Field({})
    command: str | None = None
    change_request: str | None = None
    reset_before_start: bool = False

    @property
    def target(self) -> str:
        return self.at

    def paths(self) -> Iterator[str]:
        yield from super().paths()
        yield from (*self.states, *self.commands.values(), *(p for p in (self.command, self.change_request) if p))

    def flaws(self) -> Iterator[tuple[str, str]]:
        if not self.states:
            yield "a PackML skill needs to see its state", "give `states`, the path of CurrentState or StateCurrent"
        if "Start" not in self.commands and self.command is None:
            yield "a PackML skill needs a way to start", "give `commands` with Start, or the path of CntrlCmd as `command`"

    def over(self, parent: Any) -> dict[str, Any]:
        return {**super().over(parent), "commands": {**parent.commands, **self.commands}}

    @field_validator("states", mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return as_list(value)


SkillRule = Annotated[
    MethodRule | JobOrderRule | PackMLRule | ProgramRule | OpenSMIRule | HandshakeRule | WriteRule | TopicRule | VdaOrderRule,
    Field(discriminator="binding"),
]
