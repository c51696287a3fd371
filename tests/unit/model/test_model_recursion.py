"""A structure that lies inside itself: all its levels are shown, read and checked by its one description."""

import pytest

from dtios.model.coercion import check
from dtios.model.datatypes import BuiltinType, Field, ValueType
from dtios.model.errors import RefusedError
from dtios.model.values import DateTime, Record
from dtios.model.wire import from_json, to_json

COLOUR = ValueType(BuiltinType.Int32, "Colour", members=((1, "Red"), (2, "Blue")))
AGAIN = ValueType(BuiltinType.ExtensionObject, "Part", rank=1, identifier="nsu=urn:x;i=1")
HOLDER = ValueType(BuiltinType.ExtensionObject, "Holder", fields=(Field("Parts", AGAIN),), identifier="nsu=urn:x;i=2")
PART = ValueType(
    BuiltinType.ExtensionObject,
    "Part",
    fields=(
        Field("Colour", COLOUR),
        Field("Made", ValueType(BuiltinType.DateTime, "DateTime"), optional=True),
        Field("Below", HOLDER, optional=True),
    ),
    identifier="nsu=urn:x;i=1",
)


def part(colour: int, made: int | None = None, *below: Record) -> Record:
    fields = {"Colour": colour, **({} if made is None else {"Made": DateTime(made)})}
    return Record("Part", {**fields, "Below": Record("Holder", {"Parts": list(below)})} if below else fields)


VALUE = part(1, None, part(2, 10**9, part(2)), part(1))
JSON = {
    "Colour": {"value": 1, "name": "Red"}, "Made": None,
    "Below": {"Parts": [
        {"Colour": {"value": 2, "name": "Blue"}, "Made": "1970-01-01T00:00:01Z",
         "Below": {"Parts": [{"Colour": {"value": 2, "name": "Blue"}, "Made": None, "Below": None}]}},
        {"Colour": {"value": 1, "name": "Red"}, "Made": None, "Below": None},
    ]},
}  # fmt: skip


def test_all_levels_as_json_and_back() -> None:
    assert to_json(VALUE, PART) == JSON
    assert check(from_json(JSON, PART), PART) == VALUE


def test_an_inner_level_is_checked_like_the_outermost() -> None:
    with pytest.raises(RefusedError, match="no field 'Weight'"):
        check(part(1, None, Record("Part", {"Colour": 1, "Weight": 2})), PART)
    with pytest.raises(RefusedError, match="does not fit"):
        check(part(1, None, part(7)), PART)
