"""Skills over messages: a request to one topic, and answers that carry the job's mark on others."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from dtios.mapping.profiles.skill_base import Rule, SkillBase, as_list
from dtios.mapping.profiles.topics import JsonPaths
from dtios.model.job import JobVerb

__all__ = ["AnswerRule", "RequestRule", "TopicRule"]

Role = Literal["accepted", "running", "paused", "done", "stopped", "failed", "refused", "unknown"]


class RequestRule(Rule):
    """A message to the command at `path`. In `payload`: `{job}`, `{time}` (ISO 8601), `{time_ms}` and the parameters by name."""

    path: str
    payload: Any


class AnswerRule(Rule):
    """What the machine answers on the messages at `path`. `job`: where the job's id is; left out, it is the correlation data of
    MQTT 5, and the request says so. `state`: where its state is, and in `states` what that means; left out, an answer is the end.
    `error`: where an error is told; null, false, 0 and an empty text are none. `reason`: where it says why.
    """

    path: Annotated[tuple[str, ...], BeforeValidator(as_list)] = Field(min_length=1)
    job: JsonPaths = ()
    state: JsonPaths = ()
    states: dict[str | int | bool, Role] = Field({})
    error: JsonPaths = ()
    reason: JsonPaths = ()

    @model_validator(mode="after")
    def _together(self) -> Self:
        if bool(self.state) != bool(self.states):
            raise ValueError("`state` and `states` belong together")
        if self.states and not {"done", "failed"} & set(self.states.values()):
            raise ValueError("one of the `states` must be the end: done or failed")
        return self


class TopicRule(SkillBase):
    """Sends `request` once and follows the `answer`. `ask`: a message that has the machine tell the state of a job again: with it
    a job can be found after a sudden end. `commands`: a message for each further verb. `start_within`: seconds to the first
    answer, `done_within` to the last one. Results have as `id` the JSON path in the last answer."""

    binding: Literal["topic"]
    request: RequestRule
    answer: AnswerRule
    ask: RequestRule | None = None
    commands: dict[JobVerb, RequestRule] = Field({})
    start_within: float = Field(5.0, gt=0, allow_inf_nan=False)
    done_within: float | None = Field(None, gt=0, allow_inf_nan=False)

    @property
    def target(self) -> str:
        return self.name or self.request.path

    def paths(self) -> Iterator[str]:
        yield from list(super().paths())[1:]
        yield from (self.request.path, *self.answer.path, *(rule.path for rule in self.commands.values()))
        yield from (self.ask.path,) if self.ask is not None else ()

    def over(self, parent: Any) -> dict[str, Any]:
        return {**super().over(parent), "commands": {**parent.commands, **self.commands}}

    @model_validator(mode="after")
    def _sent(self) -> Self:
        if JobVerb.START in self.commands or JobVerb.STORE in self.commands:
            raise ValueError("the `request` is what starts it")
        return self
