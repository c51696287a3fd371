"""A cell as a file: its stations, how many of what, where they stand, how they are joined, and the figures of their processes."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

__all__ = [
    "DEFAULT",
    "MOST",
    "CellLayout",
    "Graph",
    "LayoutError",
    "PlacedLayout",
    "RobotLayout",
    "StationLayout",
    "StoreLayout",
    "TableLayout",
    "VehicleLayout",
    "read_layout",
]

MOST: Final = 200
"""Stations in one cell."""
DEFAULT: Final = Path(__file__).parent / "housing.yaml"
Point: TypeAlias = tuple[float, float, float]


class LayoutError(Exception):
    """The file is no cell. One sentence: what, where, and the mend."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlacedLayout(_Form):
    """A station with one place that a robot reaches, `at` metres from the robot's base; `model`: figures of its process."""

    kind: Literal["turning", "dispenser", "screwdriver", "gauge", "mill"]
    at: Point
    model: dict[str, float] = {}


class TableLayout(_Form):
    """No station of its own: a place where `room` parts can lie."""

    kind: Literal["table"]
    at: Point
    room: int = Field(4, ge=1, le=1000)


class StoreLayout(_Form):
    """Slots A1, A2 ... in `rows` and `columns`; the last `empty` rows have nothing in them at the beginning."""

    kind: Literal["store"]
    rows: int = Field(3, ge=1, le=26)
    columns: int = Field(8, ge=1, le=99)
    empty: int = Field(1, ge=0)


class RobotLayout(_Form):
    """`reaches`: which places it serves; all, unless it says so."""

    kind: Literal["robot"]
    reaches: tuple[str, ...] | None = None


class VehicleLayout(_Form):
    """`at`: where its deck is when it stands in the cell, `home`: the node at which it begins."""

    kind: Literal["vehicle"]
    at: Point
    home: str


StationLayout: TypeAlias = Annotated[
    PlacedLayout | TableLayout | StoreLayout | RobotLayout | VehicleLayout, Field(discriminator="kind")
]


class Graph(_Form):
    """Where vehicles drive: `nodes` in metres; `edges` both ways; `stops`: the store or table at a node."""

    nodes: dict[str, tuple[float, float]] = {}
    edges: tuple[tuple[str, str], ...] = ()
    stops: dict[str, str] = {}


class CellLayout(_Form):
    """One cell. `seed` decides all chance in it."""

    name: str = "cell"
    seed: int = 1
    stations: dict[str, StationLayout] = Field(min_length=1, max_length=MOST)
    graph: Graph = Graph()

    @model_validator(mode="after")
    def _joined(self) -> "CellLayout":
        known = set(self.stations)
        for name, station in self.stations.items():
            if isinstance(station, RobotLayout) and (lost := set(station.reaches or ()) - self.places):
                raise ValueError(f"stations.{name}.reaches: no place is called {sorted(lost)[0]}")
            if isinstance(station, VehicleLayout) and station.home not in self.graph.nodes:
                raise ValueError(f"stations.{name}.home: no node is called {station.home}")
        for edge in self.graph.edges:
            if lost := set(edge) - set(self.graph.nodes):
                raise ValueError(f"graph.edges: no node is called {sorted(lost)[0]}")
        for node, stop in self.graph.stops.items():
            if node not in self.graph.nodes or stop not in known:
                raise ValueError(f"graph.stops.{node}: there is no such {'node' if node not in self.graph.nodes else 'station'}")
        return self

    @property
    def places(self) -> set[str]:
        """What a robot can reach."""
        return {name for name, one in self.stations.items() if isinstance(one, PlacedLayout | TableLayout | VehicleLayout)}


def read_layout(path: Path) -> CellLayout:
    """Raises LayoutError."""
    try:
        form: Any = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise LayoutError(f"the cell cannot be read: {reason} ({path}); name a file that `dtios sim new` wrote") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise LayoutError(f"the cell is no YAML: {getattr(error, 'problem', error)} ({path}{line}); correct that line") from None
    try:
        return CellLayout.model_validate(form)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise LayoutError(f"the cell is not right: {f'{where}: ' if where else ''}{what} ({path})") from None
