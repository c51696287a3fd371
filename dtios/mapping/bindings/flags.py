"""Flags of a PLC: a Boolean, a bit of a word, or a number that means something; read as up or down, some also written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dtios.mapping.points import Points
from dtios.model.datatypes import ValueType
from dtios.model.values import DataValue

__all__ = ["Flag", "Readings", "Switch"]

Readings = Mapping[str, DataValue]


def _value(reading: DataValue | None) -> Any:
    """None where it does not tell. An enumeration and a text with a locale count as what they show."""
    return reading.value if reading is not None and reading.is_good else None


@dataclass(frozen=True, slots=True)
class Flag:
    """Up when the Boolean at `address` is true, `bit` of the word there is set, or its value is one of `equals`; `inverted` turns
    that round. `counts`: no level, but a number that changes once for each event. `stays`: it is up until the next start.
    """

    address: str
    bit: int | None = None
    equals: tuple[Any, ...] = ()
    inverted: bool = False
    counts: bool = False
    stays: bool = False

    def value(self, readings: Readings) -> Any:
        return _value(readings.get(self.address))

    def up(self, readings: Readings) -> bool | None:
        """None where it cannot be told."""
        value = self.value(readings)
        if value is None:
            return None
        if self.equals:
            raised = _among(value, self.equals)
        elif self.bit is not None:
            if not isinstance(value, int):
                return None
            raised = bool(value >> self.bit & 1)
        elif isinstance(value, int | float):
            raised = bool(value)
        else:
            return None
        return raised is not self.inverted


def _among(value: Any, wanted: Sequence[Any]) -> bool:
    """As a number, or by a name: a text, a LocalizedText's text, an enumeration's name."""
    shown = getattr(value, "text", None) or getattr(value, "name", None)
    return any(value == one or (isinstance(one, str) and shown == one) for one in wanted)


@dataclass(frozen=True, slots=True)
class Switch:
    """A flag that we write. A Boolean or number takes `on` and `off`; a bit is changed in its word, the others left as read."""

    flag: Flag
    type: ValueType
    on: Any = True
    off: Any = False

    @property
    def address(self) -> str:
        return self.flag.address

    def up(self, readings: Readings) -> bool | None:
        if self.flag.bit is not None:
            return self.flag.up(readings)
        value = self.flag.value(readings)
        return None if value is None else bool(value == self.on)

    async def set(self, up: bool, points: Points, *, settling: bool = False) -> None:
        """Raises as `Points.write` does."""
        if self.flag.bit is not None:
            await points.write_bit(self.address, self.flag.bit, up is not self.flag.inverted, self.type, settling=settling)
        else:
            await points.write(self.address, self.on if up else self.off, self.type, settling=settling)
