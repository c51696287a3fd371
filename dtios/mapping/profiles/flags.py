"""Flags in profiles: which bit, and what it looks like when it is up."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["FlagRule", "SwitchRule"]


class _Flag(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    bit: int | None = Field(None, ge=0, le=63)
    inverted: bool = False

    @model_validator(mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class FlagRule(_Flag):
    """A Boolean at `path`, or a `bit` of the word there (0 is the least), or a value that is one of `equals`. `inverted`: up when
    it is low. `counts`: a number that changes at each event. `stays`: it is up until the next start."""

    equals: tuple[int | float | bool | str, ...] = ()
    counts: bool = False
    stays: bool = False

    @field_validator("equals", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return value if isinstance(value, list | tuple) else [value]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.bit is not None, bool(self.equals), self.counts]
        if sum(ways) > 1 or (self.counts and (self.inverted or self.stays)):
            raise ValueError("give one of bit, equals and counts, and nothing else to a counter")
        return self


class SwitchRule(_Flag):
    """A Boolean at `path`, or a number that takes `up` and `down`; or a `bit` of a word. A word is read, changed and written
    back, which loses what others change in it meanwhile: `own_word` says that nobody else writes it."""

    up: Any = None
    down: Any = None
    own_word: bool = False

    @model_validator(mode="after")
    def _ours(self) -> Self:
        if self.bit is not None and not self.own_word:
            raise ValueError(
                "writing one bit rewrites the whole word; say `own_word: true` if nobody else writes it, "
                "or have the PLC give a Boolean"
            )
        if self.bit is not None and (self.up is not None or self.down is not None):
            raise ValueError("a bit takes no `up` and `down`; say `inverted` if it is up when low")
        if (self.up is None) != (self.down is None):
            raise ValueError("give both `up` and `down`")
        return self
