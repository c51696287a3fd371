"""Turning: what an uncorrected machine makes, against published figures, and that chance is seeded."""

import math
import statistics

import pytest

from dtios_cell.plant.chance import stream
from dtios_cell.plant.processes.turning import Turning, TurningModel

PARTS = 400
TOLERANCE = 15.0


def _shift(seed: int) -> tuple[list[float], int]:
    """Errors of an uncorrected shift, with a break before part 150 and a badly seated fixture from part 250 on; tool changes."""
    process = Turning(stream(seed, "turning"))
    errors, changes = [], 0
    for part in range(PARTS):
        if part == 150:
            process.rest(40.0)
        if part == 250:
            process.fixture = 8.0
        if process.is_worn:
            process.change_tool()
            changes += 1
        errors.append(process.turn())
    return errors, changes


def test_uncorrected_turning_is_as_bad_as_published() -> None:
    shifts = [_shift(seed) for seed in range(1, 21)]
    errors = [error for one, _ in shifts for error in one]
    mean, spread = statistics.mean(errors), statistics.pstdev(errors)
    rmse = math.hypot(mean, spread)
    # Sampling error over 20 seeds: the spread of the figure between seeds, by the square root of their number, three of them.
    each = [math.sqrt(statistics.mean(e * e for e in one)) for one, _ in shifts]
    outs = [sum(abs(e) > TOLERANCE for e in one) / PARTS for one, _ in shifts]
    assert rmse == pytest.approx(24.95, abs=3 * statistics.stdev(each) / math.sqrt(20))
    assert statistics.mean(outs) == pytest.approx(0.60, abs=3 * statistics.stdev(outs) / math.sqrt(20))
    assert min(TOLERANCE - mean, TOLERANCE + mean) / (3 * spread) == pytest.approx(-0.09, abs=0.05)
    assert 4 <= statistics.mean(changes for _, changes in shifts) <= 6


def test_a_tool_lives_as_long_as_taylor_says() -> None:
    model = TurningModel()
    assert model.life == pytest.approx(72.4, abs=0.1)
    assert model.wear(0.0) == 0.0
    assert model.wear(model.life) == pytest.approx(model.wear_limit)


def test_the_same_seed_is_the_same_history_and_another_station_has_its_own() -> None:
    assert _shift(7) == _shift(7)
    assert _shift(7) != _shift(8)
    assert stream(7, "turning").random() != stream(7, "dispenser").random()


def test_a_machine_that_rests_cools_and_cuts_bigger() -> None:
    quiet = TurningModel(noise=0.0, seat=0.0, life_spread=0.0, run_in=0.0, steady_wear=0.0)
    process = Turning(stream(1, "turning"), quiet)
    for _ in range(200):
        warm = process.turn()
    assert warm == pytest.approx(-22.0, abs=0.1)
    process.rest(25.0)
    assert process.turn() == pytest.approx(-22.0 * (1 - (1 - math.exp(-1)) * math.exp(-1.5 / 25)), abs=0.1)


def test_a_correction_is_added() -> None:
    assert Turning(stream(5, "turning")).turn(10.0) == pytest.approx(Turning(stream(5, "turning")).turn() + 10.0)
