"""Plain MQTT topics in profiles: which topics belong to a machine, and where the values lie in their payloads."""

from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from dtios.mapping.json_paths import JsonPath
from dtios.mapping.topic_patterns import TopicPattern
from dtios.model.datatypes import BuiltinType
from dtios.model.units import unit_from_code

__all__ = ["MessageRule", "TimeRule", "TopicValueRule", "TopicWriteRule", "TopicsRule"]

TOPIC_TYPES: Final = frozenset({
    "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double", "String", "DateTime",
    "ByteString", "Variant",
})  # fmt: skip


def _path(text: str) -> str:
    JsonPath(text)
    return text


def _pattern(text: str) -> str:
    TopicPattern(text)
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


JsonPathText = Annotated[str, AfterValidator(_path)]
JsonPaths = Annotated[tuple[JsonPathText, ...], BeforeValidator(_listed)]
TopicText = Annotated[str, AfterValidator(_pattern)]


def _filter(text: str) -> str:
    levels = text.split("/")
    if any(set("+#{}") & set(level) and level not in ("+", "#") for level in levels) or "#" in levels[:-1]:
        raise ValueError(f"{text!r} is no topic filter, as factory/+/state or factory/#")
    return text


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimeRule(_Rule):
    """Where a payload tells the time of its values. Without `format` it is ISO 8601; `zone` is that of times without one. The
    first of several paths that is there holds."""

    path: JsonPaths = Field(min_length=1)
    format: Literal["iso", "s", "ms", "us", "ns"] = "iso"
    zone: str = "UTC"

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no time zone, as Europe/Berlin") from None
        return value


class TopicWriteRule(_Rule):
    """How a value is written: `payload` to `topic`, with `{value}` in it. Unless `confirm` is false it counts as written when the
    value has come back as the machine's own, `within` seconds."""

    topic: TopicText
    payload: Any = "{value}"
    confirm: bool = True
    within: float = Field(5.0, gt=0, allow_inf_nan=False)


class TopicValueRule(_Rule):
    """One value in a message. Of several `path`s the first that is there holds. `each`: the entries of a list or an object, each
    a value of its own, whose `path` and `name_at` (its name) begin in the entry; `names` renames them. `values`: what the machine
    writes for a value. `nulls`: what it writes for none. `decimal`: the sign in numbers that come as texts."""

    name: str | None = None
    path: JsonPaths = ("$",)
    each: JsonPathText | None = None
    name_at: JsonPathText | None = None
    names: dict[str, str] = {}
    type: str = "Variant"
    unit: str | None = None
    range: tuple[float, float] | None = None
    values: dict[str | int | float | bool, Any] = {}
    nulls: tuple[Any, ...] = ()
    decimal: Literal[".", ","] = "."
    time: TimeRule | None = None
    write: TopicWriteRule | None = None
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("type")
    @classmethod
    def _builtin(cls, value: str) -> str:
        if value not in TOPIC_TYPES or value not in BuiltinType.__members__:
            raise ValueError(f"{value!r} is no type of a value here; the types are {', '.join(sorted(TOPIC_TYPES))}")
        return value

    @field_validator("unit")
    @classmethod
    def _unit(cls, value: str | None) -> str | None:
        if value is not None and unit_from_code(value) is None:
            raise ValueError(f"{value!r} is no UNECE common code known here, as MTR or CEL")
        return value

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.each is None and (self.name_at is not None or self.names):
            raise ValueError("`name_at` and `names` belong to `each`")
        if self.each is not None and (self.name is not None or self.write is not None):
            raise ValueError("with `each` the payload names the values: give neither `name` nor `write`")
        if self.each is None and not self.signal:
            raise ValueError("give the value a `name`")
        if self.range is not None and not self.range[0] <= self.range[1]:
            raise ValueError("the low end comes first")
        return self

    @property
    def signal(self) -> str:
        """The signal's name: without one of its own the last name of its path."""
        return self.name or JsonPath(self.path[0]).last_name


class MessageRule(_Rule):
    """The messages of one topic (and of `also`). `whole`: the message itself is a signal of this name, as answers to skills are.
    `ignore`: fields that may be there and are of no interest."""

    topic: TopicText
    also: Annotated[tuple[TopicText, ...], BeforeValidator(_listed)] = ()
    format: Literal["json", "csv", "text", "raw"] = "json"
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    separator: str = Field(",", min_length=1, max_length=1)
    columns: tuple[str, ...] = ()
    time: TimeRule | None = None
    values: tuple[TopicValueRule, ...] = ()
    whole: str | None = None
    ignore: tuple[str, ...] = ()

    @property
    def topics(self) -> tuple[str, ...]:
        return (self.topic, *self.also)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.values and self.whole is None:
            raise ValueError("give its `values`, or a name for the `whole` message")
        if self.format == "raw" and any(v.path != ("$",) or v.each for v in self.values):
            raise ValueError("a raw payload is one value: its `path` is $")
        if self.columns and self.format != "csv":
            raise ValueError("`columns` belong to the format csv")
        return self


class TopicsRule(_Rule):
    """The topics of machines of one kind. `identity`: the levels that tell one machine from another; the last one is its name.
    `commands`: name -> topic that takes messages, for skills. `known`: machines that are there before anything was heard of them.
    `listen`: further topic filters; what comes there and fits no message is counted. `silent_after`: seconds without a message
    after which a machine's values are Bad."""

    identity: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(min_length=1)
    messages: tuple[MessageRule, ...] = Field(min_length=1)
    commands: dict[str, TopicText] = {}
    known: tuple[dict[str, str], ...] = ()
    listen: Annotated[tuple[Annotated[str, AfterValidator(_filter)], ...], BeforeValidator(_listed)] = ()
    silent_after: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _identifies(self) -> Self:
        for topic in (t for m in self.messages for t in m.topics):
            for name in self.identity:
                if name not in TopicPattern(topic).certain:
                    raise ValueError(f"the topic {topic!r} does not tell {name!r}, so nobody knows whose message it is")
        for machine in self.known:
            if any(name not in machine for name in self.identity):
                raise ValueError(f"a known machine needs {', '.join(self.identity)}")
        return self

    @model_validator(mode="after")
    def _names(self) -> Self:
        wholes = [m.whole for m in self.messages if m.whole is not None]
        if len(set(wholes)) != len(wholes) or set(wholes) & self.commands.keys():
            raise ValueError("two messages have one name")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        """What is sent needs a topic without any level that nobody names."""
        sent = [*self.commands.values(), *(v.write.topic for m in self.messages for v in m.values if v.write is not None)]
        heard = {name for m in self.messages for topic in m.topics for name in TopicPattern(topic).names}
        for topic in sent:
            pattern = TopicPattern(topic)
            if pattern.fill(dict.fromkeys(pattern.names, "x")) is None or not pattern.certain <= heard:
                raise ValueError(f"the topic {topic!r} has a level that no message of the machine tells")
        return self
