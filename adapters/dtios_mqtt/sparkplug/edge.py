"""What a host knows of one edge node and its devices: from births, until deaths."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dtios_mqtt.sparkplug.decoding import Malformed, as_datatype
from dtios_mqtt.sparkplug.metric import Metric, Template

__all__ = ["Born", "EdgeNode", "Unborn"]


class Unborn(Exception):
    """Data of what no birth told of: the host must ask for a rebirth."""


@dataclass(slots=True)
class Born:
    """An edge node's own metrics or those of a device, as the last birth told them."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    online: bool = False
    generation: int = 0
    """Counts births that changed what is there."""

    def birth(self, metrics: Iterable[Metric]) -> bool:
        """Whether the description changed (names, types, properties); values do not count."""
        told = {metric.name: metric for metric in metrics if metric.name}
        changed = not self.generation or _outline(told) != _outline(self.metrics)
        self.metrics, self.online = told, True
        self.generation += changed
        return changed


def _outline(metrics: dict[str, Metric]) -> object:
    return {name: (one.datatype, one.properties, _shape(one)) for name, one in metrics.items()}


def _shape(metric: Metric) -> object:
    value = metric.value
    return [(one.name, one.datatype, _shape(one)) for one in value.metrics] if isinstance(value, Template) else None


class EdgeNode:
    """One (group, edge node). Device "" is the node itself."""

    def __init__(self) -> None:
        self.bd_seq: int | None = None
        self.born_at: int | None = None
        self.parts: dict[str, Born] = {}
        self._aliases: dict[int, tuple[str, str]] = {}

    @property
    def online(self) -> bool:
        return "" in self.parts and self.parts[""].online

    def birth(self, device: str, metrics: Iterable[Metric]) -> bool:
        """NBIRTH (device "") or DBIRTH. Whether the description changed. Raises Malformed for an alias that is given twice
        (payloads-alias-uniqueness) and Unborn for a device of a node that was not born."""
        told = list(metrics)
        if device and not self.online:
            raise Unborn
        kept = {alias: owner for alias, owner in self._aliases.items() if device and owner[0] != device}
        for metric in told:
            if metric.alias is not None and metric.name:
                if metric.alias in kept:
                    raise Malformed("an alias that is given twice")
                kept[metric.alias] = (device, metric.name)
        self._aliases = kept
        if not device:
            for part in self.parts.values():  # devices are born after their node
                part.online = False
        return self.parts.setdefault(device, Born()).birth(told)

    def resolve(self, device: str, metric: Metric) -> tuple[str, Metric]:
        """The metric's name, and the metric with the type its birth gave. Raises Unborn, or Malformed for a value that
        contradicts its birth."""
        part = self.parts.get(device)
        if part is None or not part.online:
            raise Unborn
        name = metric.name
        if not name:
            owner = self._aliases.get(-1 if metric.alias is None else metric.alias)
            if owner is None or owner[0] != device:
                raise Unborn
            name = owner[1]
        known = part.metrics.get(name)
        if known is None:
            raise Unborn
        if metric.datatype not in (0, known.datatype):
            raise Malformed("a data type that is not its birth's")
        if metric.datatype == 0:
            metric.value = as_datatype(metric.value, known.datatype)
        return name, metric

    def alias(self, device: str, name: str) -> int | None:
        known = self.parts[device].metrics.get(name) if device in self.parts else None
        return None if known is None else known.alias

    def death(self, device: str | None) -> Iterator[str]:
        """The parts that are offline by it and were not before; None: the node with all its devices."""
        for name, part in self.parts.items():
            if part.online and device in (None, name):
                part.online = False
                yield name
