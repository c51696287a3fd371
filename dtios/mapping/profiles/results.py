"""Results in profiles: which event is a Result, and which of its fields is what."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dtios.model.result import ResultEvaluation

__all__ = ["EvaluationRule", "ResultEventRule"]

_Path = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def _evaluation_name(name: str) -> str:
    if name not in ResultEvaluation.__members__:
        raise ValueError(f"{name!r} is no evaluation, they are {', '.join(ResultEvaluation.__members__)}")
    return name


EvaluationName = Annotated[str, AfterValidator(_evaluation_name)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvaluationRule(_Rule):
    """Where the evaluation stands, and the machine's values where they are not OPC 40001-101's own numbers and names."""

    path: _Path
    values: dict[bool | int | str, EvaluationName] = {}

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class ResultEventRule(_Rule):
    """Events of the type `event` are Results.

    Paths are BrowseNames below the event type. The first name of each is the field that is asked of the machine, with a prefix,
    and the rest leads into its value: the fields of a structure. `fields` names fields that lie deeper below the event type.
    """

    event: str = Field(min_length=1)
    fields: tuple[_Path, ...] = ()
    result: _Path | None = None
    part: _Path | None = None
    job: _Path | None = None
    step: _Path | None = None
    evaluation: EvaluationRule | None = None
    partial: _Path | None = None
    created: _Path | None = None
    content: dict[str, _Path] = {}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.paths:
            raise ValueError("give at least one path, as `result`")
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        evaluation = None if self.evaluation is None else self.evaluation.path
        named = (self.result, self.part, self.job, self.step, evaluation, self.partial, self.created)
        return (*(p for p in named if p), *self.content.values())
