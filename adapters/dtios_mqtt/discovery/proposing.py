"""A group of topics as a profile: signals alone, nothing that is sent. What is proposed is tried on what was heard."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from dtios.mapping.profiles.file import parse_profile
from dtios.model.errors import ConfigurationError
from dtios.model.units import unit_from_code
from dtios_mqtt.discovery.layouts import Group, Levels
from dtios_mqtt.discovery.shapes import Field, Shape

__all__ = ["profile_of"]

_SYMBOLS: Final = {
    "°c": "CEL", "degc": "CEL", "celsius": "CEL", "°f": "FAH", "k": "KEL", "%": "P1", "w": "WTT", "kw": "KWT", "wh": "WHR",
    "kwh": "KWH", "v": "VLT", "a": "AMP", "ma": "4K", "mv": "2Z", "hz": "HTZ", "bar": "BAR", "mbar": "MBR", "hpa": "A97",
    "pa": "PAL", "kpa": "KPA", "mm": "MMT", "m": "MTR", "um": "4H", "kg": "KGM", "g": "GRM", "s": "SEC", "ms": "C26",
    "min": "MIN", "h": "HUR", "nm": "NU", "n": "NEW", "rpm": "RPM", "1/min": "RPM", "l": "LTR", "m/s": "MTS", "mm/s": "C16",
    "lx": "LUX", "lux": "LUX",
}  # fmt: skip
_TAIL: Final = re.compile(r"_(degC|C|W|kW|Wh|kWh|V|A|mA|Hz|bar|mbar|mm|kg|rpm)$")
"""Units at the end of a name, where nothing else says one."""


def profile_of(group: Group, name: str) -> tuple[str, list[str]]:
    """YAML and the evidence. Raises ConfigurationError where no profile can say it."""
    evidence = list(group.evidence)
    messages = list(_messages(group, evidence))
    if not messages:
        raise ConfigurationError("nothing was heard that a profile could say", where=name)
    names = [f"level{at + 1}" for at in group.varying]
    form = {"profile": name, "topics": {"identity": [*names, "machine"], "messages": messages}}
    text = yaml.safe_dump(form, sort_keys=False, allow_unicode=True, width=120)
    notes = "".join(f"# {one}\n" for one in evidence)
    parse_profile(text, name)
    return notes + text, evidence


def _pattern(group: Group, levels: Levels) -> str:
    written = list(levels)
    for at in group.varying:
        written[at] = f"{{level{at + 1}}}"
    written[group.at] = "{machine}"
    return "/".join(written)


def _messages(group: Group, evidence: list[str]) -> Iterator[dict[str, Any]]:
    shapes: dict[str, Shape] = {}
    for levels, shape in group.topics.items():
        pattern = _pattern(group, levels)
        if pattern not in shapes:
            shapes[pattern] = shape
        elif shapes[pattern].format == shape.format and shapes[pattern].is_document == shape.is_document:
            shapes[pattern].add(shape)
        else:
            evidence.append(f"{'/'.join(levels)} has other payloads ({shape.format}) than its neighbours, and is left out")
    for pattern, shape in shapes.items():
        evidence += [f"{pattern}: {one}" for one in shape.odd]
        below = pattern.partition("{machine}")[2].strip("/")
        message = _message(pattern, shape, below if len(shapes) > 1 or not shape.is_document else "", evidence)
        if message["values"]:
            yield message


def _message(pattern: str, shape: Shape, below: str, evidence: list[str]) -> dict[str, Any]:
    message: dict[str, Any] = {"topic": pattern}
    if shape.format != "json":
        message["format"] = shape.format
    if shape.format == "csv":
        message |= {"separator": shape.separator, "columns": list(shape.columns)}
    fields = dict(shape.fields)
    time = next((one for one in fields.values() if one.time_format is not None and "/" not in one.name), None)
    if time is not None:
        message["time"] = {"path": time.path, "format": time.time_format}
        evidence.append(f"{pattern}: {time.path} is the time ({time.time_format}), as {time.shown}")
        del fields[next(path for path, one in fields.items() if one is time)]
    values: list[dict[str, Any]] = [_value(one, shape, below, pattern, evidence) for one in fields.values()]
    values += [{"each": each.path, "name_at": each.name_at, "path": each.value_at} for each in shape.each.values()]
    message["values"] = values
    return message


def _value(one: Field, shape: Shape, below: str, pattern: str, evidence: list[str]) -> dict[str, Any]:
    name = "/".join(part for part in (below, one.name) if part) or "Value"
    paths = one.path.split("\0")
    said: dict[str, Any] = {"path": paths[0] if len(paths) == 1 else paths, "name": name}
    kind = "ByteString" if shape.format == "raw" else one.type
    if kind != "Variant":
        said["type"] = kind
    if kind == "Double" and one.decimal == ",":
        said["decimal"] = ","
    unit = _unit(one)
    if unit is not None and kind in ("Double", "Int64"):
        said["unit"] = unit[0]
        evidence.append(f"{pattern}: {name} is in {unit[0]}, by {unit[1]}")
    return said


def _unit(one: Field) -> tuple[str, str] | None:
    """The code and what says so."""
    if one.unit_said:
        code = one.unit_said if unit_from_code(one.unit_said) is not None else _SYMBOLS.get(one.unit_said.lower())
        if code is not None and unit_from_code(code) is not None:
            return code, f"the field beside it ({one.unit_said})"
    tail = _TAIL.search(one.name)
    code = _SYMBOLS.get(tail[1].lower()) if tail is not None else None
    return (code, "its name") if code is not None and unit_from_code(code) is not None else None


def name_for(levels: Mapping[int, str], taken: set[str]) -> str:
    """A profile's name, from words of the topics."""
    base = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", one).strip("-").lower() for one in levels.values()) or "topics"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name
