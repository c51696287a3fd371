"""From what stands in a payload to a value of the type that the profile gives, and back. Nothing is cut or guessed."""

import math
import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from dtios.mapping.profiles.topics import TimeRule, TopicValueRule
from dtios.model.datatypes import INTEGER_RANGES, BuiltinType
from dtios.model.values import DateTime

__all__ = ["NULL", "converter", "read_time", "written"]

NULL: Final = object()
_SCALES: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_TRUE: Final = frozenset({"true", "on", "yes", "1"})
_FALSE: Final = frozenset({"false", "off", "no", "0"})
_LATEST: Final = 253_402_300_800 * 10**9
"""The year 10000, in ns."""


def converter(rule: TopicValueRule) -> Callable[[Any], Any]:
    """The value, or NULL where the machine says that it has none. The function raises ValueError for what does not fit."""
    convert = _CONVERTERS.get(rule.type)
    integers = INTEGER_RANGES.get(BuiltinType[rule.type])
    mapped = {_key(said): value for said, value in rule.values.items()}
    nulls = {_key(said) for said in rule.nulls}

    def plain(raw: Any) -> Any:
        assert convert is not None
        return NULL if raw is None else convert(raw, rule)

    def converted(raw: Any) -> Any:
        if raw is None:
            return NULL
        if (nulls or mapped) and not isinstance(raw, list | dict):
            key = _key(raw)
            if key in nulls:
                return NULL
            if mapped:
                raw = mapped.get(key, raw)
        if integers is not None:
            return _integer(raw, integers, rule.decimal)
        return raw if convert is None else convert(raw, rule)

    return converted if nulls or mapped or integers is not None or convert is None else plain


def _key(said: Any) -> tuple[bool, Any]:
    """`True` is not 1 here; a number and its text are the same."""
    return (isinstance(said, bool), said if isinstance(said, bool) else str(said))


def written(value: Any, rule: TopicValueRule) -> Any:
    """As the machine writes it."""
    if isinstance(value, DateTime):
        return datetime.fromtimestamp(int(value) / 1e9, ZoneInfo("UTC")).isoformat()
    return next((said for said, meant in rule.values.items() if meant == value and type(meant) is type(value)), value)


# --- types -------------------------------------------------------------------------------------------------------------------


def _number(raw: Any, decimal: str) -> int | float:
    if isinstance(raw, str):
        text = raw.strip()
        if decimal == "," and "." not in text:
            text = text.replace(",", ".")
        if "_" in text:
            raise ValueError("no number")
        try:
            return int(text)
        except ValueError:
            return float(text)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise ValueError("no number")  # noqa: TRY004  # the caller knows one kind of error
    return raw


def _integer(raw: Any, limits: tuple[int, int], decimal: str) -> int:
    number = _number(raw, decimal)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError("no whole number")
    if not limits[0] <= number <= limits[1]:
        raise ValueError("out of its range")
    return int(number)


def _double(raw: Any, rule: TopicValueRule) -> float:
    number = raw if type(raw) is float else float(_number(raw, rule.decimal))
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _float(raw: Any, rule: TopicValueRule) -> float:
    number = _double(raw, rule)
    struct.pack("<f", number)
    return number


def _boolean(raw: Any, rule: TopicValueRule) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower() if isinstance(raw, str | int | float) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("neither true nor false")


def _string(raw: Any, rule: TopicValueRule) -> str:
    if isinstance(raw, list | dict | bytes):
        raise ValueError("no text")  # noqa: TRY004  # the caller knows one kind of error
    return raw if isinstance(raw, str) else str(raw).lower() if isinstance(raw, bool) else str(raw)


def _time(raw: Any, rule: TopicValueRule) -> DateTime:
    return DateTime(_nanoseconds(raw, rule.time or _ISO))


def _bytes(raw: Any, rule: TopicValueRule) -> bytes:
    if isinstance(raw, bytes):
        return raw
    raise ValueError("no bytes")


def _any(raw: Any, rule: TopicValueRule) -> Any:
    """Numbers, texts, true and false, and lists of them."""
    if isinstance(raw, dict) or (isinstance(raw, list) and any(isinstance(one, dict | list) for one in raw)):
        raise ValueError("an object, not a value")
    if isinstance(raw, float) and not math.isfinite(raw):
        raise ValueError("no finite number")
    if isinstance(raw, int) and not -(2**63) <= raw < 2**64:
        raise ValueError("out of its range")
    return raw


_CONVERTERS: Final[dict[str, Callable[[Any, TopicValueRule], Any]]] = {
    "Double": _double, "Float": _float, "Boolean": _boolean, "String": _string, "DateTime": _time, "ByteString": _bytes,
    "Variant": _any,
}  # fmt: skip


# --- times -------------------------------------------------------------------------------------------------------------------

_ISO: Final = TimeRule(path=("$",))


def read_time(raw: Any, rule: TimeRule) -> int:
    """int ns UTC. Raises ValueError."""
    return _nanoseconds(raw, rule)


def _nanoseconds(raw: Any, rule: TimeRule) -> int:
    if rule.format == "iso":
        if not isinstance(raw, str):
            raise ValueError("no time")
        moment = datetime.fromisoformat(raw.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(rule.zone))
        whole = moment.replace(microsecond=0)
        made = int(whole.timestamp()) * 1_000_000_000 + moment.microsecond * 1_000
    else:
        number = _number(raw, ".")
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError("no time")
        made = number * _SCALES[rule.format] if isinstance(number, int) else round(number * _SCALES[rule.format])
    if not 0 <= made < _LATEST:
        raise ValueError("no time")
    return made
