"""Units by value, against figures that are not computed the same way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtios.model.unit_table import UNITS
from dtios.model.units import code_from_id, conversion, id_from_code, unit_from_code, unit_from_id


@pytest.mark.parametrize(
    ("value", "source", "target", "wanted"),
    [
        (212.0, "FAH", "CEL", 100.0),
        (-40.0, "FAH", "CEL", -40.0),
        (25.0, "CEL", "KEL", 298.15),
        (0.0, "KEL", "CEL", -273.15),
        (14.5037738, "PS", "PAL", 100_000.0),
        (1.0, "BAR", "PAL", 100_000.0),
        (2.5, "BAR", "MPA", 0.25),
        (1000.0, "MMT", "MTR", 1.0),
        (1.0, "INH", "MMT", 25.4),
        (1.0, "FOT", "INH", 12.0),
        (36.0, "KMH", "MTS", 10.0),
        (600.0, "H81", "MTS", 0.01),
        (60.0, "RPM", "HTZ", 1.0),
        (180.0, "DD", "C81", 3.141592653589793),
        (1.0, "M44", "DD", 360.0),
        (1.0, "KWH", "JOU", 3_600_000.0),
        (3.6, "3B", "KWH", 1.0),
        (1.0, "HUR", "MIN", 60.0),
        (1500.0, "C26", "SEC", 1.5),
        (60.0, "L2", "MQH", 3.6),
        (1.0, "GLL", "LTR", 3.785411784),
        (1.0, "LBR", "KGM", 0.45359237),
        (50.0, "P1", "C62", 0.5),
        (1.0, "KNM_", "NU", None),
        (1.0, "B48", "NU", 1000.0),
        (1.0, "MTR", "SEC", None),
        (1.0, "CEL", "MTR", None),
    ],
)
def test_conversion(value: float, source: str, target: str, wanted: float | None) -> None:
    factors = conversion(source, target)
    if wanted is None:
        assert factors is None
    else:
        assert factors is not None
        assert value * factors.scale + factors.offset == pytest.approx(wanted, rel=1e-8)


@given(st.sampled_from(sorted(UNITS)), st.floats(-1e6, 1e6))
def test_there_and_back(code: str, value: float) -> None:
    there, back = conversion(code, UNITS[code].canonical), conversion(UNITS[code].canonical, code)
    assert there is not None
    assert back is not None
    assert (value * there.scale + there.offset) * back.scale + back.offset == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_the_table_is_sound() -> None:
    assert len(UNITS) >= 150
    for code, entry in UNITS.items():
        base = UNITS[entry.canonical]
        assert (base.canonical, base.scale, base.offset) == (entry.canonical, 1.0, 0.0), code
        assert 2 <= len(code) <= 3
        assert code == code.upper()
        assert entry.scale > 0
        assert entry.symbol


@pytest.mark.parametrize(
    ("code", "number"), [("CEL", 4408652), ("MTR", 5067858), ("C62", 4404786), ("MMT", 5066068), ("P1", 20529)]
)
def test_unit_ids_are_those_of_part_8(code: str, number: int) -> None:
    assert id_from_code(code) == number
    assert code_from_id(number) == code


@pytest.mark.parametrize("number", [-1, 0, 2**31, 5, 0x414243444])
def test_what_is_no_unit_id(number: int) -> None:
    assert code_from_id(number) is None


def test_a_unit_nobody_listed_keeps_its_name_and_is_never_converted() -> None:
    assert unit_from_code("ZZZ") is None
    own = unit_from_id(17, "furlong", "urn:maker:units")
    assert own is not None
    assert (own.code, own.symbol) == (None, "furlong")
    assert conversion("ZZZ", "MTR") is None
    assert unit_from_id(-1) is None
