"""What a topic's payloads are, from samples of them: documents with fields, single values, columns, or bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from dtios.mapping.json_paths import parse_json

__all__ = ["Field", "Shape", "shape_of"]

Format: TypeAlias = Literal["json", "csv", "text", "raw"]
_DEPTH: Final = 5
_FIELDS: Final = 200
"""Fields of one payload that are proposed; what is beyond stays unnamed, and is counted when the profile is in use."""
_SHOWN: Final = 40
_NUMBER: Final = re.compile(r"[+-]?\d+(?P<sign>[.,]\d+)?(?:[eE][+-]?\d+)?")
_PLAIN: Final = re.compile(r"[^.\[\]()'\"\s$?@]+")
_TIME_NAMES: Final = re.compile(r"(ts|time|timestamp|datetime|date|t|.*(time|timestamp|_ts))", re.IGNORECASE)
_EPOCHS: Final = (("s", 1e9, 1e10), ("ms", 1e12, 1e13), ("us", 1e15, 1e16), ("ns", 1e18, 1e19))
"""Formats of TimeRule and between which numbers they lie, from 2001 to 2286."""


@dataclass(slots=True)
class Field:
    """A value in a document. `path` as profiles write it; `name` of the signal; `values` seen, the first few."""

    path: str
    name: str
    values: list[Any] = field(default_factory=list)
    unit_said: str = ""

    @property
    def type(self) -> str:
        """A built-in type that all its values have."""
        kinds = {type(value) for value in self.values if value is not None}
        if kinds == {bool}:
            return "Boolean"
        if kinds and kinds <= {int, float}:
            return "Double" if float in kinds else "Int64"
        if kinds == {str}:
            texts = [value for value in self.values if value is not None]
            if all(_NUMBER.fullmatch(text) for text in texts):
                return "Double"
            return "DateTime" if all(_is_iso(text) for text in texts) else "String"
        return "Variant"

    @property
    def decimal(self) -> str:
        """The sign in numbers that come as texts."""
        numbers = [found for value in self.values if isinstance(value, str) and (found := _NUMBER.fullmatch(value)) is not None]
        return "," if {number["sign"][:1] for number in numbers if number["sign"]} == {","} else "."

    @property
    def time_format(self) -> str | None:
        """How it tells a time, None where it is none."""
        last = self.name.rpartition("/")[2]
        values = [value for value in self.values if value is not None]
        if not values or not _TIME_NAMES.fullmatch(last):
            return None
        if all(isinstance(value, str) and _is_iso(value) for value in values):
            return "iso"
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            return next((kind for kind, low, high in _EPOCHS if all(low <= value < high for value in values)), None)
        return None

    @property
    def shown(self) -> str:
        return f"{self.values[0]!r}"[:_SHOWN] if self.values else "null"


def _is_iso(text: str) -> bool:
    if len(text) < 10 or not text[:4].isdigit():
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class Each:
    """A list whose entries name their value: its path, and where name and value are in an entry."""

    path: str
    name_at: str
    value_at: str


@dataclass(slots=True)
class Shape:
    """`fields` by path (of a single value one with the path `$`); `columns` of CSV with `separator`."""

    format: Format
    fields: dict[str, Field] = field(default_factory=dict)
    each: dict[str, Each] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    separator: str = ","
    odd: list[str] = field(default_factory=list)
    """What was noticed, for a person."""

    @property
    def is_document(self) -> bool:
        return self.format == "json" and "$" not in self.fields

    def similar(self, other: "Shape") -> bool:
        """Whether both may be the same message of two machines."""
        if self.format != other.format or self.is_document != other.is_document:
            return False
        mine, theirs = self.fields.keys() | self.each.keys(), other.fields.keys() | other.each.keys()
        return not self.is_document or 2 * len(mine & theirs) >= len(mine | theirs)

    def add(self, other: "Shape") -> None:
        """The same message of another machine."""
        for path, one in other.fields.items():
            if path in self.fields:
                self.fields[path].values += one.values
            elif len(self.fields) < _FIELDS:
                self.fields[path] = one
        self.each |= other.each
        self.odd += [one for one in other.odd if one not in self.odd]


def shape_of(samples: list[bytes]) -> Shape | None:
    """None where there is nothing to look at."""
    texts: list[str] = []
    for sample in samples:
        try:
            texts.append(sample.decode("utf-8"))
        except UnicodeDecodeError:
            return Shape("raw", {"$": Field("$", "", [])})
    texts = [text for text in texts if text.strip()]
    if not texts:
        return None
    try:
        documents = [parse_json(text) for text in texts]
    except ValueError:
        return _csv(texts) or Shape("text", {"$": Field("$", "", list(texts))})
    shape = Shape("json")
    for document in documents:
        for found in _walk(document, "$", "", 0, shape):
            known = shape.fields.get(found.path)
            if known is not None:
                known.values += found.values
            elif len(shape.fields) < _FIELDS:
                shape.fields[found.path] = found
    _join_irregular(shape, documents)
    return shape


def _csv(texts: list[str]) -> Shape | None:
    for separator in (";", "\t", ","):
        rows = [text.strip().split(separator) for text in texts]
        if len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
            columns = tuple(f"column{number + 1}" for number in range(len(rows[0])))
            fields = {name: Field(name, name, [row[at].strip() for row in rows]) for at, name in enumerate(columns)}
            return Shape("csv", fields, columns=columns, separator=separator)
    return None


def _step(path: str, key: str) -> str | None:
    """None for a name that a path cannot say."""
    if _PLAIN.fullmatch(key):
        return key if path == "$" else f"{path}.{key}"
    quote = "'" if "'" not in key else '"'
    return None if quote in key else f"{path}[{quote}{key}{quote}]"


def _walk(value: Any, path: str, name: str, depth: int, shape: Shape) -> Iterator[Field]:
    if isinstance(value, dict) and depth < _DEPTH:
        unit = next((value[key] for key in ("unit", "units", "uom") if isinstance(value.get(key), str)), "")
        for key, inner in value.items():
            step = _step(path, key)
            if step is None:
                continue
            for found in _walk(inner, step, f"{name}/{_plain(key)}" if name else _plain(key), depth + 1, shape):
                if key == "value" and unit and found.path == step:
                    found.unit_said = unit
                yield found
        return
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        each = _named_entries(value, path)
        if each is not None:
            shape.each[path] = each
            return
    if isinstance(value, str) and value[:1] == "{" and depth < _DEPTH:
        try:
            inner = parse_json(value)
        except ValueError:
            pass
        else:
            note = f"{path} is a text that holds a JSON document"
            shape.odd += [] if note in shape.odd else [note]
            whole = path if path.startswith("$") else f"$.{path}" if not path.startswith("json(") else path
            for key, one in inner.items() if isinstance(inner, dict) else ():
                if _PLAIN.fullmatch(key) and not isinstance(one, dict | list):
                    yield Field(f"json({whole}).{key}", f"{name}/{_plain(key)}" if name else _plain(key), [one])
            return
    yield Field(path, name, [value])


def _plain(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _named_entries(entries: list[dict[str, Any]], path: str) -> Each | None:
    """A list of `{name: ..., value: ...}`."""
    for name_at in ("name", "id", "key", "metric", "tag"):
        for value_at in ("value", "val", "v"):
            if all(isinstance(one.get(name_at), str) and value_at in one for one in entries):
                return Each(f"{path}[*]" if path.startswith("$") else f"$.{path}[*]", name_at, value_at)
    return None


def _join_irregular(shape: Shape, documents: list[Any]) -> None:
    """A field that is now `state` and now `states`, and never both in one message, is one value."""
    for path in list(shape.fields):
        plural = f"{path}s"
        if (
            plural not in shape.fields
            or any(isinstance(one, dict) and path in one and plural in one for one in documents)
            or "." in path
        ):
            continue
        one, other = shape.fields[path], shape.fields.pop(plural)
        lists = [value for value in other.values if isinstance(value, list)]
        if lists:
            one.values += [value[0] for value in lists if value]
            shape.odd.append(f"{path} is {plural} in some messages, a list there")
            one.path = f"{path}\0{plural}[0]"
        else:
            one.values += other.values
            shape.odd.append(f"{path} is {plural} in some messages")
            one.path = f"{path}\0{plural}"
