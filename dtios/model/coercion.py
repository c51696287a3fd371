"""Exact-width checking of a value against its type, before it is written: nothing is cut, wrapped or guessed."""

import math
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dtios.model.datatypes import INTEGER_RANGES, BuiltinType, ValueType
from dtios.model.errors import RefusedError
from dtios.model.values import EARLIEST, LATEST, DateTime, LocalizedText, NodeId, QualifiedName, Record, XmlElement

__all__ = ["check"]

_Check = Callable[[Any, ValueType, str], Any]
_Outer = Mapping[str, ValueType]
_SCALAR_OR_ARRAY: Final = -3


def check(value: Any, type: ValueType, where: str = "") -> Any:
    """The value as it goes on the wire: an int for integers and enumerations, a float for Float and Double, and so on.

    Raises RefusedError for overflow, NaN, infinity, a fraction into an integer, a number no member of the enumeration has,
    a missing or unknown field, a wrong rank or length, or another type altogether.
    """
    return _check(value, type, where, {})


def _check(value: Any, type: ValueType, where: str, outer: _Outer) -> Any:
    if isinstance(value, list | tuple) and not isinstance(value, LocalizedText | QualifiedName):
        return _check_array(value, type, where, outer)
    if type.rank >= 0:
        raise _refused(value, type, where, "give a list")
    return _check_scalar(value, type, where, outer)


def _refused(value: Any, type: ValueType, where: str, mend: str) -> RefusedError:
    return RefusedError(f"{value!r} does not fit in {type.label()}", where=where, mend=mend)


# --- arrays ------------------------------------------------------------------------------------------------------------------


def _check_array(value: Sequence[Any], type: ValueType, where: str, outer: _Outer) -> list[Any]:
    if type.rank == -1:
        raise _refused(value, type, where, "give a single value")
    shape = _shape(value, type, where)
    wanted = {_SCALAR_OR_ARRAY: 1}.get(type.rank, type.rank)
    # An empty list says nothing of the dimensions inside it (Part 6, 5.2.5), so only its own length is held against the type.
    if wanted > 0 and len(shape) != wanted and 0 not in shape:
        raise _refused(value, type, where, f"give {wanted} dimension{'s' if wanted > 1 else ''}, not {len(shape)}")
    if type.rank > 0:
        for length, limit in zip(shape, type.dimensions, strict=False):
            if limit and length > limit:
                raise _refused(value, type, where, f"give at most {limit} elements, not {length}")
    return _check_elements(value, type, where, outer)


def _shape(value: Any, type: ValueType, where: str) -> list[int]:
    """Lengths of the dimensions; every row of a matrix must be as long as the first."""
    if not isinstance(value, list | tuple) or isinstance(value, LocalizedText | QualifiedName):
        return []
    shapes = [_shape(v, type, where) for v in value]
    if any(s != shapes[0] for s in shapes):
        raise _refused(value, type, where, "give rows of equal length")
    return [len(value), *(shapes[0] if shapes else [])]


def _check_elements(value: Sequence[Any], type: ValueType, where: str, outer: _Outer) -> list[Any]:
    return [
        _check_elements(v, type, f"{where}[{i}]", outer)
        if isinstance(v, list | tuple) and not isinstance(v, LocalizedText | QualifiedName)
        else _check_scalar(v, type, f"{where}[{i}]", outer)
        for i, v in enumerate(value)
    ]


# --- scalars -----------------------------------------------------------------------------------------------------------------


def _check_scalar(value: Any, type: ValueType, where: str, outer: _Outer) -> Any:
    if value is None and type.builtin in _NULLABLE:
        return None
    if type.builtin in INTEGER_RANGES:
        return _check_integer(value, type, where)
    if type.builtin in (BuiltinType.Float, BuiltinType.Double):
        return _check_float(value, type, where)
    if type.builtin is BuiltinType.ExtensionObject:
        return _check_record(value, type.opened(outer), where, outer)
    return _CHECKS.get(type.builtin, _unwritable)(value, type, where)


_NULLABLE: Final = frozenset(
    {
        BuiltinType.String,
        BuiltinType.ByteString,
        BuiltinType.XmlElement,
        BuiltinType.Variant,
        BuiltinType.LocalizedText,
        BuiltinType.QualifiedName,
    }
)
"""Types whose null is a value (Part 6, 5.2.2)."""


def _check_integer(value: Any, type: ValueType, where: str) -> int:
    low, high = INTEGER_RANGES[type.builtin]
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, DateTime):
        raise _refused(value, type, where, "give a whole number")
    if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
        raise _refused(value, type, where, "give a whole number")
    whole = int(value)
    if not low <= whole <= high:
        raise _refused(value, type, where, f"stay within {low} and {high}")
    if type.is_enumeration and all(whole != number for number, _ in type.members):
        raise _refused(value, type, where, "give one of " + ", ".join(f"{n} ({name})" for n, name in type.members))
    if type.option_set and type.members and whole & ~sum(1 << bit for bit, _ in type.members):
        raise _refused(value, type, where, "set only the bits " + ", ".join(f"{bit} ({name})" for bit, name in type.members))
    return whole


def _check_float(value: Any, type: ValueType, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(value, DateTime):
        raise _refused(value, type, where, "give a number")
    try:
        number = float(value)
        if type.builtin is BuiltinType.Float:
            struct.pack("<f", number)
    except OverflowError:
        raise _refused(value, type, where, f"it is beyond the range of {type.builtin.name}") from None
    if not math.isfinite(number):
        raise _refused(value, type, where, "give a finite number")
    return number


def _check_record(value: Any, type: ValueType, where: str, outer: _Outer) -> Record:
    if not isinstance(value, Record):
        raise _refused(value, type, where, "give a structure")
    if not type.fields:
        return value
    if value.type and type.name and value.type != type.name and not type.abstract:
        raise RefusedError(f"a {value.type} is not a {type.label()}", where=where, mend=f"give a {type.name}")
    names = {f.name for f in type.fields}
    unknown = sorted(value.fields.keys() - names)
    if unknown and not type.abstract:
        raise RefusedError(
            f"{type.label()} has no field {unknown[0]!r}", where=where, mend=f"its fields are {', '.join(sorted(names))}"
        )
    if type.union and len(value.fields) > 1:
        raise RefusedError(f"{type.label()} is a union and holds one field", where=where, mend="give one field only")
    checked = dict(value.fields) if type.abstract else {}
    outer = type.around(outer)
    for f in type.fields:
        if f.optional and value.fields.get(f.name) is None:
            checked.pop(f.name, None)  # null says that it is absent
        elif f.name in value.fields:
            checked[f.name] = _check(value.fields[f.name], f.type, f"{where}/{f.name}" if where else f.name, outer)
        elif not type.union:
            raise RefusedError(f"the field {f.name!r} of {type.label()} is missing", where=where, mend=f"give a {f.type.label()}")
    return Record(value.type or type.name, checked)


def _instance(wanted: type | tuple[type, ...], mend: str, make: Callable[[Any], Any] | None = None) -> _Check:
    def checked(value: Any, type: ValueType, where: str) -> Any:
        if not isinstance(value, wanted):
            raise _refused(value, type, where, mend)
        return value if make is None else make(value)

    return checked


def _check_time(value: Any, type: ValueType, where: str) -> DateTime:
    if isinstance(value, bool) or not isinstance(value, int) or not EARLIEST <= value <= LATEST:
        raise _refused(value, type, where, "give a time from 1601 to 9999, as nanoseconds since 1970 in UTC")
    return DateTime(value)


def _check_variant(value: Any, type: ValueType, where: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(value, type, where, "give a finite number")
    return value


def _unwritable(value: Any, type: ValueType, where: str) -> Any:
    raise RefusedError(f"a {type.label()} cannot be written", where=where, mend="write another signal")


_CHECKS: Final[dict[BuiltinType, _Check]] = {
    BuiltinType.Boolean: _instance(bool, "give true or false"),
    BuiltinType.String: _instance(str, "give a text"),
    BuiltinType.ByteString: _instance(bytes, "give bytes"),
    BuiltinType.XmlElement: _instance(str, "give XML", XmlElement),
    BuiltinType.NodeId: _instance(str, "give a NodeId as nsu=URI;s=name", NodeId),
    BuiltinType.ExpandedNodeId: _instance(str, "give a NodeId as nsu=URI;s=name", NodeId),
    BuiltinType.Guid: _instance(uuid.UUID, "give a GUID"),
    BuiltinType.QualifiedName: _instance(QualifiedName, "give a name with its namespace"),
    BuiltinType.LocalizedText: _instance(LocalizedText, "give a text with its locale"),
    BuiltinType.DateTime: _check_time,
    BuiltinType.Variant: _check_variant,
}
