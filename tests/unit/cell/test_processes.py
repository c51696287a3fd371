"""Dispensing, screwing and measuring: what follows from their models, and that the driver cannot see the preload."""

import math
import statistics

import pytest

from dtios_cell.plant.chance import stream
from dtios_cell.plant.processes.dispensing import Dispensing, DispensingModel
from dtios_cell.plant.processes.measuring import GaugeModel, Measuring
from dtios_cell.plant.processes.screwing import Screwing

STILL = DispensingModel(swing=0.0, noise=0.0, hall=24.85)


def test_adhesive_thickens_by_two_in_its_doubling_time_and_flows_better_when_warm() -> None:
    process = Dispensing(stream(1, "dispenser"), STILL)
    fresh = process.dispense(0.0, 20.0)
    assert fresh == pytest.approx(20.0, rel=1e-3)
    assert process.dispense(120.0, 20.0) == pytest.approx(fresh / 2)
    assert process.is_over(120.0)
    process.fill(120.0)
    assert process.dispense(120.0, 20.0) == pytest.approx(fresh)
    process.warmth = 4.0
    assert process.dispense(120.0, 20.0) / fresh == pytest.approx(math.exp(35_000 / 8.314 * (1 / 298 - 1 / 302)), rel=1e-3)


def test_uncorrected_dispensing_is_a_third_off() -> None:
    errors = []
    for seed in range(1, 21):
        process = Dispensing(stream(seed, "dispenser"))
        for part in range(400):
            now = part * 1.5
            if process.is_over(now):
                process.fill(now)
            errors.append(process.dispense(now, 20.0) / 20.0 - 1.0)
    assert math.sqrt(statistics.mean(e * e for e in errors)) == pytest.approx(0.336, abs=0.03)
    assert sum(abs(e) > 0.05 for e in errors) / len(errors) > 0.7


def test_a_dry_screw_has_the_same_torque_and_less_preload() -> None:
    def shift(extra: float) -> tuple[float, float]:
        process = Screwing(stream(1, "screwdriver"))
        process.extra = extra
        driven = [process.drive() for _ in range(200)]
        assert all(one.is_ok for one in driven)
        return statistics.mean(one.preload for one in driven), statistics.mean(one.torque for one in driven)

    (oiled, torque), (dry, same) = shift(0.0), shift(0.05)
    assert torque == pytest.approx(9.0, abs=0.01)
    assert same == pytest.approx(torque, abs=0.01)
    assert oiled == pytest.approx(7500, rel=0.02)
    assert dry == pytest.approx(6000, rel=0.02)


def test_the_curve_rises_from_where_the_head_touches_to_the_target() -> None:
    one = Screwing(stream(2, "screwdriver")).drive()
    angles = [angle for angle, _ in one.curve]
    assert angles == sorted(angles)
    assert angles[-1] == one.angle
    assert all(torque < 1.0 for angle, torque in one.curve if angle < 720.0)
    assert one.curve[-1][1] == one.torque
    jammed = Screwing(stream(2, "screwdriver")).drive(jammed=True)
    assert not jammed.is_ok
    assert jammed.angle < one.angle
    assert jammed.preload == 0.0


def test_a_gauge_has_noise_and_bias() -> None:
    gauge = Measuring(stream(1, "gauge"), GaugeModel(bias=2.0))
    found = [gauge.measure(10.0) for _ in range(2000)]
    assert statistics.mean(found) == pytest.approx(12.0, abs=0.1)
    assert statistics.stdev(found) == pytest.approx(0.8, rel=0.1)
