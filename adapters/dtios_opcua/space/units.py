"""EUInformation (Part 8, 5.6.3) as a unit."""

from dtios.model.machine import Unit
from dtios.model.values import Record

__all__ = ["UNECE", "unit_of"]

UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"


def unit_of(information: Record) -> Unit | None:
    """The UNECE code stands in unitId, its characters as bytes (Part 8, 5.6.3.3); other name spaces give no code."""
    symbol = information["DisplayName"].text
    code = _code(information["UnitId"]) if information["NamespaceUri"] == UNECE else None
    return Unit(code, symbol or code or "") if symbol or code else None


def _code(number: int) -> str | None:
    if not 0 < number < 2**31:
        return None
    text = number.to_bytes(4, "big").lstrip(b"\0").decode("ascii", "replace")
    return text if text.isalnum() else None
