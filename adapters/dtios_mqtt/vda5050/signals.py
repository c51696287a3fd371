"""Which signals a vehicle has, where in its messages they stand (VDA 5050, 6.10 to 6.15), and reading them tolerantly."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dtios.model.datatypes import BuiltinType, Field, ValueType
from dtios.model.status import status_code
from dtios.model.values import Record
from dtios_mqtt.image import Reading
from dtios_mqtt.vda5050.topics import VehicleId

__all__ = ["FACTSHEET", "HEADER", "NAMESPACE", "STATE", "SignalPoint", "read"]

NAMESPACE: Final = "urn:dtios:mqtt:vda5050"
_ABSENT: Final = status_code("BadNoData")
_WRONG: Final = status_code("BadTypeMismatch")
_DOUBLE: Final = ValueType(BuiltinType.Double)
_TEXT: Final = ValueType(BuiltinType.String)
_FLAG: Final = ValueType(BuiltinType.Boolean)
_COUNT: Final = ValueType(BuiltinType.UInt32)
_LOAD_FIELDS: Final = {"loadId": _TEXT, "loadType": _TEXT, "loadPosition": _TEXT, "weight": _DOUBLE}
_MOST_LOADS: Final = 1_000
_LOADS: Final = ValueType(
    BuiltinType.ExtensionObject, "Load", NAMESPACE, rank=1, fields=tuple(Field(n, t, True) for n, t in _LOAD_FIELDS.items())
)


@dataclass(frozen=True, slots=True)
class SignalPoint:
    """`path` in the message is also that of the signal; `unit` a UNECE code. `make` turns what stands there into the value."""

    path: str
    type: ValueType
    unit: str | None = None
    make: Callable[[Any], Any] | None = None
    source: str | None = None


def _counted(level: str) -> Callable[[Any], Any]:
    return lambda errors: sum(1 for one in errors if isinstance(one, dict) and one.get("errorLevel") == level)


def _loads(said: Any) -> list[Record]:
    """What is not of its type is left out."""
    return [
        Record("Load", {name: _fitting(one.get(name), type_) for name, type_ in _LOAD_FIELDS.items()})
        for one in said[:_MOST_LOADS]
        if isinstance(one, dict)
    ]


def _fitting(value: Any, type_: ValueType) -> Any:
    if type_ is _TEXT:
        return value if isinstance(value, str) else None
    return _finite(value)


def _finite(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and abs(value) < 1e300 and math.isfinite(value) else None


STATE: Final = (
    SignalPoint("agvPosition/x", _DOUBLE, "MTR"),
    SignalPoint("agvPosition/y", _DOUBLE, "MTR"),
    SignalPoint("agvPosition/theta", _DOUBLE, "C81"),
    SignalPoint("agvPosition/mapId", _TEXT),
    SignalPoint("agvPosition/positionInitialized", _FLAG),
    SignalPoint("agvPosition/localizationScore", _DOUBLE),
    SignalPoint("agvPosition/deviationRange", _DOUBLE, "MTR"),
    SignalPoint("velocity/vx", _DOUBLE, "MTS"),
    SignalPoint("velocity/vy", _DOUBLE, "MTS"),
    SignalPoint("velocity/omega", _DOUBLE, "2A"),
    SignalPoint("batteryState/batteryCharge", _DOUBLE, "P1"),
    SignalPoint("batteryState/batteryVoltage", _DOUBLE, "VLT"),
    SignalPoint("batteryState/batteryHealth", _DOUBLE, "P1"),
    SignalPoint("batteryState/charging", _FLAG),
    SignalPoint("batteryState/reach", _DOUBLE, "MTR"),
    SignalPoint("safetyState/eStop", _TEXT),
    SignalPoint("safetyState/fieldViolation", _FLAG),
    SignalPoint("driving", _FLAG),
    SignalPoint("paused", _FLAG),
    SignalPoint("newBaseRequest", _FLAG),
    SignalPoint("operatingMode", _TEXT),
    SignalPoint("distanceSinceLastNode", _DOUBLE, "MTR"),
    SignalPoint("lastNodeId", _TEXT),
    SignalPoint("lastNodeSequenceId", _COUNT),
    SignalPoint("orderId", _TEXT),
    SignalPoint("orderUpdateId", _COUNT),
    SignalPoint("zoneSetId", _TEXT),
    SignalPoint("loads", _LOADS, make=_loads),
    SignalPoint("warnings", _COUNT, make=_counted("WARNING"), source="errors"),
    SignalPoint("fatalErrors", _COUNT, make=_counted("FATAL"), source="errors"),
)
HEADER: Final = (
    SignalPoint("manufacturer", _TEXT),
    SignalPoint("serialNumber", _TEXT),
    SignalPoint("version", _TEXT),
)
FACTSHEET: Final = (
    SignalPoint("typeSpecification/seriesName", _TEXT),
    SignalPoint("typeSpecification/seriesDescription", _TEXT),
    SignalPoint("typeSpecification/agvKinematic", _TEXT),
    SignalPoint("typeSpecification/agvClass", _TEXT),
    SignalPoint("typeSpecification/maxLoadMass", _DOUBLE, "KGM"),
    SignalPoint("physicalParameters/speedMin", _DOUBLE, "MTS"),
    SignalPoint("physicalParameters/speedMax", _DOUBLE, "MTS"),
    SignalPoint("physicalParameters/accelerationMax", _DOUBLE, "MSK"),
    SignalPoint("physicalParameters/decelerationMax", _DOUBLE, "MSK"),
    SignalPoint("physicalParameters/heightMax", _DOUBLE, "MTR"),
    SignalPoint("physicalParameters/width", _DOUBLE, "MTR"),
    SignalPoint("physicalParameters/length", _DOUBLE, "MTR"),
)


def read(
    points: tuple[SignalPoint, ...], vehicle: VehicleId, message: Mapping[str, Any], time: int, *, partial: bool = False
) -> Iterator[tuple[Reading, str]]:
    """Each reading, with what is wrong with it (or an empty text). `partial`: what the message leaves out is not told."""
    for point in points:
        found, value = _found(message, point.source or point.path)
        if not found or value is None:
            if not partial:
                yield (vehicle.point(point.path), None, _ABSENT, time), ""
        elif (checked := _checked(point, value)) is None:
            yield (vehicle.point(point.path), None, _WRONG, time), f"{point.path} is {_kind(value)}"
        else:
            yield (vehicle.point(point.path), checked, 0, time), ""


def _found(message: Mapping[str, Any], path: str) -> tuple[bool, Any]:
    value: Any = message
    for name in path.split("/"):
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = value[name]
    return True, value


def _checked(point: SignalPoint, value: Any) -> Any:
    if point.make is not None:
        return point.make(value) if isinstance(value, list) else None
    match point.type.builtin:
        case BuiltinType.Boolean:
            return value if isinstance(value, bool) else None
        case BuiltinType.String:
            return value if isinstance(value, str) else None
        case BuiltinType.UInt32:
            return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 else None
    return _finite(value)


def _kind(value: Any) -> str:
    named = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return named.get(type(value), "of no known kind")
