"""Skills of a PLC: by trigger, busy, done and error bits, and by set-points that are read back."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from dtios.mapping.profiles.flags import FlagRule, SwitchRule
from dtios.mapping.profiles.skill_base import Rule, SkillBase

__all__ = ["ConfirmRule", "HandshakeRule", "WriteRule"]


class HandshakeRule(SkillBase):
    """Runs by the bits of a PLC: `trigger` is raised, `busy` and `done` (or `error`) answer.

    `trigger_until`: what lets the trigger be taken back; `machine`: it does so itself. `state`: a number or text instead of bits,
    with `states`: its values, and whether they are idle, busy, done, error or paused. `acknowledge` is raised at done until done
    falls. `reset` is raised by a start that finds error up, with `reset_before_start`. `start_within`, `done_within`: seconds.
    """

    binding: Literal["handshake"]
    trigger: SwitchRule
    busy: FlagRule | None = None
    done: FlagRule | None = None
    error: FlagRule | None = None
    paused: FlagRule | None = None
    ready: FlagRule | None = None
    state: str | None = None
    states: dict[int | str, Literal["idle", "busy", "done", "error", "paused"]] = Field({})
    error_code: str | None = None
    error_texts: dict[int | str, str] = Field({})
    acknowledge: SwitchRule | None = None
    reset: SwitchRule | None = None
    stop: SwitchRule | None = None
    abort: SwitchRule | None = None
    pause: SwitchRule | None = None
    trigger_until: Literal["busy", "done", "machine"] = "done"
    start_within: float = Field(5.0, gt=0, allow_inf_nan=False)
    done_within: float | None = Field(None, gt=0, allow_inf_nan=False)
    reset_before_start: bool = False

    @property
    def target(self) -> str:
        return f"{self.trigger.path}#{self.trigger.bit}" if self.trigger.bit is not None else self.trigger.path

    @property
    def read(self) -> dict[str, FlagRule]:
        """By role; what `state` tells among them."""
        own = {"busy": self.busy, "done": self.done, "error": self.error, "paused": self.paused, "ready": self.ready}
        flags = {role: rule for role, rule in own.items() if rule is not None}
        if self.state is None:
            return flags
        meant: dict[str, list[Any]] = {}
        for value, role in self.states.items():
            for each in ("busy", "paused") if role == "paused" else (role,):
                meant.setdefault(each, []).append(value)
        told = {role: FlagRule(path=self.state, equals=values) for role, values in meant.items() if role != "idle"}
        return told | flags

    @property
    def written(self) -> dict[str, SwitchRule]:
        own = {"trigger": self.trigger, "acknowledge": self.acknowledge, "reset": self.reset}
        own |= {"stop": self.stop, "abort": self.abort, "pause": self.pause}
        return {role: rule for role, rule in own.items() if rule is not None}

    def paths(self) -> Iterator[str]:
        yield self.trigger.path
        yield from list(super().paths())[1:]
        yield from (rule.path for rule in (*self.read.values(), *self.written.values()))
        yield from (p for p in (self.error_code,) if p)

    def flaws(self) -> Iterator[tuple[str, str]]:
        read = self.read
        if (self.state is None) != (not self.states):
            yield "`state` and `states` belong together", "give both"
        if "busy" not in read and "done" not in read:
            yield "nothing tells its end", "give `busy`, `done` or both"
        elif "busy" not in read and self.done_within is None:
            yield "without `busy` a job that nobody took would be waited for for ever", "give `busy` or `done_within`"
        if self.trigger_until == "busy" and "busy" not in read:
            yield "`trigger_until: busy` needs `busy`", "give `busy`"
        if "done" in read and read["done"].stays and "busy" not in read:
            yield "a done that stays up does not tell of which job it is", "give `busy`"


class ConfirmRule(Rule):
    """Where a set-point shows, and how far it may be off, in the machine's unit."""

    path: str
    tolerance: float = Field(0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class WriteRule(SkillBase):
    """Writes set-points: its parameters, each with a `path`. Done when all are confirmed: each by the point that `confirm` names,
    else by the set-point itself. `within`: seconds."""

    binding: Literal["write"]
    name: str
    confirm: dict[str, ConfirmRule] = Field({})
    within: float = Field(10.0, gt=0, allow_inf_nan=False)

    @property
    def target(self) -> str:
        return next((rule.path for rule in self.parameters.values() if rule.path), "")

    def paths(self) -> Iterator[str]:
        yield from super().paths()
        yield from (rule.path for rule in self.confirm.values())

    def over(self, parent: Any) -> dict[str, Any]:
        return {**super().over(parent), "confirm": {**parent.confirm, **self.confirm}}
