"""A cell as a file: what is wrong in it is said in one sentence, and up to 200 stations stand in one."""

from pathlib import Path

import pytest
import yaml

from dtios_cell.layout import DEFAULT, CellLayout, LayoutError, read_layout
from dtios_cell.plant.cell import build
from dtios_cell.plant.timeline import SECOND


def _written(path: Path, change: dict[str, object]) -> Path:
    form = yaml.safe_load(DEFAULT.read_text("utf-8"))
    form.update(change)
    file = path / "cell.yaml"
    file.write_text(yaml.safe_dump(form), "utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stations": {}}, "stations: Dictionary should have at least 1 item"),
        ({"stations": {"a": {"kind": "oven"}}}, "stations.a"),
        ({"stations": {"r": {"kind": "robot", "reaches": ["moon"]}}, "graph": {}}, "no place is called moon"),
        ({"stations": {"v": {"kind": "vehicle", "at": [0.4, 0, 0], "home": "x"}}}, "no node is called x"),
        ({"graph": {"nodes": {"a": [0, 0]}, "edges": [["a", "b"]]}}, "home: no node is called store"),
        ({"seed": "many"}, "seed: Input should be a valid integer"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(LayoutError, match=said) as error:
        read_layout(_written(tmp_path, change))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="No such file"):
        read_layout(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("stations: {a: [", "utf-8")
    with pytest.raises(LayoutError, match=r"no YAML.*bad\.yaml"):
        read_layout(tmp_path / "bad.yaml")


def test_figures_that_a_process_does_not_have(tmp_path: Path) -> None:
    stations = {"t": {"kind": "turning", "at": [0.4, 0.0, 0.1], "model": {"speed": 3}}}
    with pytest.raises(LayoutError, match=r"stations\.t\.model: a turning has the figures .*noise"):
        build(read_layout(_written(tmp_path, {"stations": stations, "graph": {}})))


def test_two_hundred_stations_stand_in_one_cell() -> None:
    stations = {f"gauge{number}": {"kind": "gauge", "at": [0.4, 0.0, 0.1]} for number in range(200)}
    plant = build(CellLayout.model_validate({"stations": stations}))
    plant.advance(60 * SECOND)
    assert len(plant.stations) == 201, "and the meter"
    assert plant.meter.joules == pytest.approx(200 * 25 * 60, rel=0.001)
