"""What is measured, against what, and what it may cost."""

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FIGURES", "Figure", "Run", "Sizes", "Unit"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of it: `rounds` of everything, of which the medians count."""

    rounds: int
    values: int
    items: int
    trips: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Run:
    """One command: a scenario of `benchmarks.ours` or `benchmarks.peers`, or any arguments to Python.

    `weight` scales the number of values, so that a quick one is not over before it is measured.
    """

    name: str
    module: Literal["ours", "ledger", "peers", "mqtt_peers", "north", "python"]
    arguments: tuple[str, ...]
    weight: float = 1.0
    at_most: float | None = None
    quick: bool = True


@dataclass(frozen=True, slots=True)
class Unit:
    """What of a run's JSON object counts, and how it is shown: `key`, divided by `per` where there is one, times `scale`."""

    title: str
    key: str
    scale: float = 1.0
    per: str | None = None
    bounded: bool = False

    def number(self, found: dict[str, Any]) -> float:
        return float(found[self.key]) / (float(found[self.per]) if self.per else 1.0) * self.scale


@dataclass(frozen=True, slots=True)
class Figure:
    """`ours` beside the first of `peers`. `at_most` of a run bounds its ratio in the unit that is `bounded`."""

    title: str
    server: Literal["replay", "live", "tree", "sparkplug", "json"]
    units: tuple[Unit, ...]
    ours: tuple[Run, ...]
    peers: tuple[Run, ...]
    rounds: int | None = None
    batch: int = 0
    """MQTT: values in a message."""
    items: int | None = None
    """Variables that the server has; else as `Sizes` says."""


_CPU = Unit("CPU s / million", "cpu", 1e6, "values", bounded=True)
_RATE = Unit("values / s", "values", 1.0, "wall")
_TRIP = Unit("ms", "seconds", 1e3)
_TIME = Unit("ms", "seconds", 1e3, bounded=True)
_GROWTH = Unit("MiB more", "bytes", 2**-20)
_ELAPSED = Unit("ms", "elapsed", 1e3)
_START = Unit("ms to start", "start", 1e3)
_MEMORY = Unit("MiB with every item", "bytes", 2**-20)


def _ours(name: str, scenario: str, weight: float = 1.0, at_most: float | None = None, quick: bool = True) -> Run:
    return Run(name, "ours", (scenario,), weight, at_most, quick)


def _peer(name: str, scenario: str, weight: float = 1.0, quick: bool = True) -> Run:
    return Run(name, "peers", (scenario,), weight, None, quick)


def _mqtt(title: str, server: Literal["sparkplug", "json"], batch: int, weight: float) -> Figure:
    """One value a message costs most: fewer values then."""
    return Figure(
        title,
        server,
        (_CPU, _RATE),
        (
            _ours("app inline, a call for each message", "batches-inline", weight, 1.5),
            _ours("app inline, a call for each value", "changes-inline", weight, quick=False),
        ),
        (Run("paho, the same decode", "mqtt_peers", (server,), weight),),
        batch=batch,
    )


FIGURES: tuple[Figure, ...] = (
    Figure(
        "values",
        "replay",
        (_CPU, _RATE),
        (
            _ours("app inline, a call for each value", "changes-inline", 2, 1.0),
            _ours("app inline, a call for each message", "batches-inline", 3, 1.0, quick=False),
            _ours("app in a process, a call for each value", "changes-process", 2, 1.5),
            _ours("app in a process, a call for each message", "batches-process", 3, 1.5, quick=False),
            _ours("adapter alone", "connection", 6, quick=False),
        ),
        (_peer("asyncua, iterator", "iterator"), _peer("asyncua, handler", "handler", 0.5, quick=False)),
    ),
    *(
        Figure(
            f"the ledger, {size} in a message",
            "replay",
            (_CPU,),
            (Run("router to app, with it", "ledger", (f"with-{size}",), weight, 1.1),),
            (Run("router to app, without", "ledger", (f"without-{size}",), weight),),
        )
        for size, weight in ((1, 1), (100, 6))
    ),
    Figure(
        "latency: server's change -> app",
        "live",
        (_TRIP,),
        (_ours("app inline", "ticker-inline"), _ours("app in a process", "ticker-process", quick=False)),
        (_peer("asyncua, handler", "latency"),),
        rounds=2,
    ),
    Figure(
        "closed loop: server -> app -> write -> server",
        "live",
        (_TRIP,),
        (_ours("app inline", "looper-inline"), _ours("app in a process", "looper-process", quick=False)),
        (_peer("asyncua, handler", "loop"),),
        rounds=2,
    ),
    Figure(
        "browse and describe",
        "tree",
        (_TIME, _GROWTH),
        (
            _ours("adapter, browse alone", "browse"),
            _ours("browse, describe and keep", "describe", at_most=1.0),
            _ours("describe from what was kept", "cached", at_most=0.2),
        ),
        (_peer("asyncua, recursion", "browse"),),
        rounds=1,
    ),
    Figure(
        "the command line's start",
        "live",
        (_ELAPSED,),
        (Run("dtios --help", "python", ("-m", "dtios.cli", "--help")),),
        (Run("python, import click", "python", ("-c", "import click")),),
    ),
    Figure(
        "a description, from nothing",
        "live",
        (_ELAPSED,),
        (Run("dtios describe URL", "python", ("-m", "dtios.cli", "describe", "{url}", "--json")),),
        (_peer("asyncua, recursion", "browse"),),
    ),
    Figure(
        "the runtime's start and memory",
        "replay",
        (_START, _MEMORY),
        (_ours("app inline", "idle-inline"), _ours("app in a process, both", "idle-process", quick=False)),
        (_peer("asyncua, connect and subscribe", "idle"),),
        rounds=1,
    ),
    _mqtt("Sparkplug, 1 metric a message", "sparkplug", 1, 1),
    _mqtt("Sparkplug, 10 metrics a message", "sparkplug", 10, 2),
    _mqtt("Sparkplug, 100 metrics a message", "sparkplug", 100, 4),
    _mqtt("JSON, 10 values a message", "json", 10, 2),
    Figure(
        "OPC UA upwards to MQTT, 1,000 variables",
        "replay",
        (_CPU, _RATE),
        (Run("publisher json, in a process", "north", ("json",), 4, 0.4),),
        (Run("asyncua and paho, a message for each value", "north", ("bridge",), 0.2),),
        rounds=2,
        items=1_000,
    ),
)
