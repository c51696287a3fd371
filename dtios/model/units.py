"""Units of measure: UNECE Recommendation 20 common codes, their SI unit, and the OPC UA unit id (Part 8, 5.6.4.3).

Only units of one dimension, written in the same canonical unit here, convert; an unknown unit is never converted.
"""

from typing import Final, NamedTuple

from dtios.model.machine import Unit
from dtios.model.unit_table import UNITS, UnitEntry

__all__ = ["UNECE_NAMESPACE", "Factors", "code_from_id", "conversion", "id_from_code", "unit_from_code", "unit_from_id"]

UNECE_NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
"""NamespaceUri of an EUInformation whose unitId is a UNECE code."""


class Factors(NamedTuple):
    """target = value * scale + offset"""

    scale: float
    offset: float


def _entry(code: str) -> UnitEntry | None:
    return UNITS.get(code)


def unit_from_code(code: str) -> Unit | None:
    """The unit of a common code; None for one that is not listed."""
    entry = _entry(code)
    return None if entry is None else Unit(code, entry.symbol)


def id_from_code(code: str) -> int:
    """Part 8: the code's ASCII bytes, the first one most significant. Raises ValueError for what can be no code."""
    if not 1 <= len(code) <= 3 or not code.isascii():
        raise ValueError(f"{code!r} is no UNECE common code")
    return int.from_bytes(code.encode("ascii"), "big")


def code_from_id(unit_id: int) -> str | None:
    """The common code of a unitId; None for a number that stands for none (as -1, no unit)."""
    if not 0 < unit_id < 2**24:
        return None
    raw = unit_id.to_bytes((unit_id.bit_length() + 7) // 8, "big")
    text = raw.decode("ascii", "replace")
    return text if text.isalnum() and text.isascii() and text == text.upper() else None


def unit_from_id(unit_id: int, symbol: str = "", namespace: str = UNECE_NAMESPACE) -> Unit | None:
    """The unit that an EUInformation names. `symbol` is its DisplayName and is kept; a unit nobody listed, or of a vendor's
    namespace, has no code. None where it names no unit at all."""
    code = code_from_id(unit_id) if namespace in ("", UNECE_NAMESPACE) else None
    if code is not None and (code in UNITS or namespace == UNECE_NAMESPACE):
        return Unit(code, symbol or (UNITS[code].symbol if code in UNITS else code))
    return Unit(None, symbol) if symbol else None


def conversion(source: str, target: str) -> Factors | None:
    """How a number in `source` becomes one in `target` (common codes); None if they do not convert into each other."""
    if source == target:
        return Factors(1.0, 0.0)
    a, b = _entry(source), _entry(target)
    if a is None or b is None or a.canonical != b.canonical:
        return None
    return Factors(a.scale / b.scale, (a.offset - b.offset) / b.scale)
