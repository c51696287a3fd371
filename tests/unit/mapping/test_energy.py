"""The shipped energy profiles: measurement points of OPC 34100 by their BrowseNames, wherever a machine has them."""

from typing import Any

import pytest
from mapping_space import facts, obj, var

from dtios.mapping.facts import Node
from dtios.mapping.mapped import MappedMachine
from dtios.mapping.matcher import map_machines
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.model.machine import Unit

ECM = "http://opcfoundation.org/UA/ECM/#"
KILOWATT, KILOWATT_HOUR = Unit("KWT", "kW"), Unit("KWH", "kW·h")


def described(*points: Node) -> MappedMachine:
    mill = obj("Mill", var("Speed"), obj("Energy", *points))
    (mapped,) = map_machines(facts(mill), ProfileLibrary.builtin())
    return mapped


def test_power_and_energy_are_watts_and_watt_hours_whatever_the_meter_counts_in() -> None:
    mapped = described(
        var("AcActivePowerTotal", unit=KILOWATT),
        var("AcActiveEnergyTotalImportLp", unit=KILOWATT_HOUR),
        var("AcReactivePowerTotal"),
    )
    signals: dict[str, Any] = {s.path: s for s in mapped.machine.signals}
    power, energy = signals["Energy/AcActivePowerTotal"], signals["Energy/AcActiveEnergyTotalImportLp"]
    assert [one.unit.code for one in (power, energy)] == ["WTT", "WHR"]
    assert [one.semantic_id for one in (power, energy)] == [f"{ECM}AcActivePowerTotal", f"{ECM}AcActiveEnergyTotalImportLp"]
    for path in ("Energy/AcActivePowerTotal", "Energy/AcActiveEnergyTotalImportLp"):
        conversion = mapped.signals[path].conversion
        assert conversion is not None
        assert conversion.up(1.5) == pytest.approx(1500)
    assert signals["Energy/AcReactivePowerTotal"].semantic_id == f"{ECM}AcReactivePowerTotal"
    assert mapped.machine.profiles == ("energy",)
    assert mapped.machine.notes == ()  # what this meter does not measure is no flaw


def test_by_phase_it_is_the_profile_that_extends_it() -> None:
    mapped = described(var("AcActivePowerTotal"), var("AcActivePowerPe"), var("AcVoltagePe"), var("AcCurrentPe"))
    semantics = {s.path: s.semantic_id for s in mapped.machine.signals}
    assert "energy-e3" in mapped.machine.profiles
    assert semantics["Energy/AcVoltagePe"] == f"{ECM}AcVoltagePe"
    assert semantics["Energy/AcActivePowerTotal"] == f"{ECM}AcActivePowerTotal"


def test_a_machine_without_a_meter_is_none_of_it() -> None:
    assert described(var("Power", unit=KILOWATT)).machine.profiles == ("generic",)
