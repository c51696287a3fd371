"""Parameters against their schema, and between the app's units and the machine's."""

import json
import math
from typing import Any

import pytest
from mapping_space import value_type

from dtios.mapping.bindings.arguments import Input, Output
from dtios.mapping.bindings.method import MethodBinding
from dtios.mapping.conversion import Conversion
from dtios.mapping.mapped import MappedSkill
from dtios.mapping.skills.parameters import canonical_schema, results_to_canonical, to_machine, validate
from dtios.mapping.skills.schema import schema_of
from dtios.model.datatypes import BuiltinType, Field, ValueType
from dtios.model.errors import ConfigurationError, DtiosError, RefusedError

POINT = ValueType(
    BuiltinType.ExtensionObject,
    "Point",
    fields=(Field("X", value_type()), Field("Note", value_type("String"), optional=True)),
)
COLOUR = ValueType(BuiltinType.Int32, "Colour", members=((0, "Red"), (2, "Blue")))
BINDING = MethodBinding(
    "o", "m",
    [Input("force", value_type("Int16")), Input("at", POINT), Input("colour", COLOUR), Input("many", value_type("Byte", rank=1))],
    [Output("peak", value_type("Int64"))],
)  # fmt: skip
FITTING: dict[str, Any] = {"force": 5, "at": {"X": 1.5}, "colour": "Blue", "many": [1, 2]}


def test_what_fits_is_given_back() -> None:
    assert validate(FITTING, BINDING.parameters, "press stamp") == FITTING
    assert validate({**FITTING, "colour": {"value": 2, "name": "Blue"}}, BINDING.parameters, "p")["colour"]["value"] == 2


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"force": None}, ConfigurationError, "force"),
        ({"force": 40000}, ConfigurationError, "out of range"),
        ({"force": 1.5}, ConfigurationError, "not of type integer"),
        ({"force": "5"}, ConfigurationError, "not of type integer"),
        ({"at": {}}, ConfigurationError, "'X' is missing"),
        ({"at": {"X": 1, "Y": 2}}, ConfigurationError, "no parameter 'Y'"),
        ({"colour": "Green"}, ConfigurationError, "colour"),
        ({"many": [1, 256]}, ConfigurationError, "many/1"),
        ({"speed": 1}, ConfigurationError, "no parameter 'speed'"),
        ({"force": math.nan}, RefusedError, "finite"),
        ({"at": {"X": math.inf}}, RefusedError, "finite"),
    ],
)
def test_what_does_not_fit_is_one_sentence(change: dict[str, Any], error: type[DtiosError], words: str) -> None:
    with pytest.raises(error) as caught:
        validate({**FITTING, **change}, BINDING.parameters, "press stamp")
    assert words in str(caught.value)
    assert str(caught.value).startswith("press stamp")
    assert caught.value.mend
    assert "\n" not in str(caught.value)


def test_missing_ones_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'force' is missing; give a Int16"):
        validate({}, BINDING.parameters, "press stamp")


def test_units() -> None:
    to_newton = Conversion(10.0, 0.0)
    skill = MappedSkill(BINDING, {"force": to_newton}, {"peak": to_newton})
    assert to_machine({**FITTING, "force": 54.0}, skill)["force"] == 5
    with pytest.raises(RefusedError, match="does not fit in Int16"):
        to_machine({"force": 1e9}, skill)
    assert results_to_canonical({"peak": 7, "other": 1}, skill) == {"peak": 70.0, "other": 1}
    assert results_to_canonical({"peak": None}, skill) == {"peak": None}
    assert results_to_canonical({"peak": "NaN"}, skill) == {"peak": "NaN"}
    # A wide integer travels as a string; the canonical value is a number.
    assert results_to_canonical({"peak": "7"}, skill) == {"peak": 70.0}


def test_limits_are_converted_with_the_unit() -> None:
    schema = canonical_schema(BINDING.parameters, {"force": Conversion(-0.5, 1.0)}, {"force": "NEW"})
    force = schema["properties"]["force"]
    assert (force["type"], force["minimum"], force["maximum"], force["x-unit"]) == ("number", -16382.5, 16385.0, "NEW")
    wide = canonical_schema(BINDING.results, {"peak": Conversion(2.0)}, {})["properties"]["peak"]
    assert (wide["type"], wide["minimum"]) == ("number", -(2.0**64))


@pytest.mark.parametrize("builtin", BuiltinType)
@pytest.mark.parametrize("rank", [-3, -2, -1, 0, 1, 2])
def test_every_type_has_a_schema_that_is_json(builtin: BuiltinType, rank: int) -> None:
    schema = schema_of(ValueType(builtin, builtin.name, rank=rank))
    json.dumps(schema, allow_nan=False)
    assert "x-data-type" in schema
