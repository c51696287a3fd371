"""Sparkplug's data types (6.4.16) and the OPC UA built-in types they are here."""

from typing import Final

from dtios.model.datatypes import BuiltinType

__all__ = ["ARRAYS", "BUILTINS", "DATASET", "DATETIME", "INTEGERS", "PROPERTY_SET", "PROPERTY_SETS", "TEMPLATE", "datatype_of"]

DATETIME: Final = 13
DATASET: Final = 16
TEMPLATE: Final = 19
PROPERTY_SET: Final = 20
PROPERTY_SETS: Final = 21

_B = BuiltinType
BUILTINS: Final[dict[int, BuiltinType]] = {
    1: _B.SByte, 2: _B.Int16, 3: _B.Int32, 4: _B.Int64, 5: _B.Byte, 6: _B.UInt16, 7: _B.UInt32, 8: _B.UInt64, 9: _B.Float,
    10: _B.Double, 11: _B.Boolean, 12: _B.String, 13: _B.DateTime, 14: _B.String, 15: _B.Guid, 17: _B.ByteString,
    18: _B.ByteString,
}  # fmt: skip
"""Int8 to File; DataSet and Template are structures."""

INTEGERS: Final[dict[int, tuple[int, bool]]] = {
    1: (8, True), 2: (16, True), 3: (32, True), 4: (64, True), 5: (8, False), 6: (16, False), 7: (32, False), 8: (64, False),
}  # fmt: skip
"""Data type -> (bits, signed). Signed ones travel as the two's complement in an unsigned field."""

ARRAYS: Final[dict[int, tuple[int, str]]] = {
    22: (1, "b"), 23: (2, "h"), 24: (3, "i"), 25: (4, "q"), 26: (5, "B"), 27: (6, "H"), 28: (7, "I"), 29: (8, "Q"), 30: (9, "f"),
    31: (10, "d"), 32: (11, ""), 33: (12, ""), 34: (13, "q"),
}  # fmt: skip
"""Array type -> (its elements' type, their struct format, little-endian; empty for the packed Boolean and the String array)."""

_DATATYPES: Final = {builtin: number for number, builtin in reversed(BUILTINS.items())}
_ARRAY_OF: Final = {element: number for number, (element, _) in ARRAYS.items()}


def datatype_of(builtin: BuiltinType, *, array: bool = False) -> int | None:
    """The Sparkplug type of a built-in type or an array of it, None where there is none."""
    scalar = _DATATYPES.get(builtin)
    return scalar if scalar is None or not array else _ARRAY_OF.get(scalar)
