"""Skills in profiles: which binding runs a skill, over which nodes."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from dtios.mapping.profiles.units import UnitRule
from dtios.model.datatypes import BuiltinType
from dtios.model.machine import Capability, OnOwnerLost, PropertyConstraint
from dtios.model.packml import PackMLState

__all__ = [
    "CapabilityRule",
    "ConstraintRule",
    "JobOrderRule",
    "MethodRule",
    "PackMLRule",
    "ParameterRule",
    "ResultRule",
    "SkillRule",
]


CommandName = Literal[
    "Reset", "ResetStopped", "Start", "Stop", "Hold", "Unhold", "Suspend", "Unsuspend", "Abort", "Clear", "ToComplete"
]


def _state_name(name: str) -> str:
    if name and name not in PackMLState.__members__:
        raise ValueError(f"{name!r} is no PackML state, as Idle or Execute")
    return name


PackMLStateName = Annotated[str, AfterValidator(_state_name)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConstraintRule(_Rule):
    low: float | None = None
    high: float | None = None
    values: tuple[str | int | float | bool, ...] = ()
    unit: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, list):
            return {"values": value}
        return value if isinstance(value, dict) else {"values": [value]}


class CapabilityRule(_Rule):
    """An IRI, and what can be done of each property: `{low, high, unit}`, a list of values, or one value."""

    iri: str = Field(min_length=1)
    properties: dict[str, ConstraintRule] = {}

    @model_validator(mode="before")
    @classmethod
    def _plain_iri(cls, value: object) -> object:
        return {"iri": value} if isinstance(value, str) else value

    @property
    def capability(self) -> Capability:
        return Capability(
            self.iri, tuple(PropertyConstraint(n, c.low, c.high, c.values, c.unit) for n, c in self.properties.items())
        )


class ParameterRule(_Rule):
    """Where a parameter goes.

    `argument`: the method's argument of that name (methods, and with `call` a method called before the start). `path`: a variable
    that is written before the start. `id`: the job order's parameter ID, or the PackML descriptor's name. `type`: a built-in
    type where the machine does not tell one. `value`: given always, and not for the app to choose.
    """

    argument: str | None = None
    path: str | None = None
    call: str | None = None
    id: str | None = None
    number: int = 0
    type: str | None = None
    unit: UnitRule | None = None
    low: float | None = None
    high: float | None = None
    required: bool | None = None
    value: Any = None
    description: str = ""

    @field_validator("type")
    @classmethod
    def _builtin(cls, value: str | None) -> str | None:
        if value is not None and value not in BuiltinType.__members__:
            raise ValueError(f"{value!r} is no built-in type, as Double or String")
        return value


class ResultRule(_Rule):
    """Where a result comes from: an output `argument`, a variable at `path` read at the end, or a job response's `id`."""

    argument: str | None = None
    path: str | None = None
    id: str | None = None
    unit: UnitRule | None = None


class _Skill(_Rule):
    """`name` replaces the path that the skill has by itself: that of the method or object it drives."""

    name: str | None = None
    description: str = ""
    capability: CapabilityRule | None = None
    parameters: dict[str, ParameterRule] = {}
    results: dict[str, ResultRule] = {}
    on_owner_lost: OnOwnerLost = OnOwnerLost.HOLD

    @field_validator("parameters", "results", mode="before")
    @classmethod
    def _names_alone(cls, value: object) -> object:
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, dict) else value


class MethodRule(_Skill):
    """Calls `method` (a path)."""

    binding: Literal["method"]
    method: str


class JobOrderRule(_Skill):
    """Drives the ISA95JobOrderReceiver at `at`. `responses`: the path of its response provider, else the nearest one of
    `responses_type`. `work_master` is given with every job order; without it the parameter `WorkMasterID` may choose.
    """

    binding: Literal["job_order"]
    at: str = ""
    responses: str | None = None
    responses_type: str | None = None
    work_master: str | None = None


class PackMLRule(_Skill):
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
    state_names: dict[int | str, PackMLStateName] = {}
    commands: dict[CommandName, str] = {}
    command: str | None = None
    change_request: str | None = None
    reset_before_start: bool = False

    @field_validator("states", mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


SkillRule = Annotated[MethodRule | JobOrderRule | PackMLRule, Field(discriminator="binding")]
