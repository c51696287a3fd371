"""What a host knows of one edge node and its devices: from births, until deaths."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from dtios_mqtt.sparkplug.datatypes import TEMPLATE
from dtios_mqtt.sparkplug.decoding import as_datatype
from dtios_mqtt.sparkplug.fitting import fits
from dtios_mqtt.sparkplug.metric import Malformed, Metric, Template
from dtios_mqtt.sparkplug.plain import NO_SLOTS, Slots

__all__ = ["PROPERTIES", "Born", "EdgeNode", "Unborn", "partial"]

PROPERTIES = "Properties/"
"""Metrics below it say what a machine is: their values are part of its description."""


class Unborn(Exception):
    """Data of what no birth told of: the host must ask for a rebirth."""


@dataclass(slots=True)
class Born:
    """An edge node's own metrics or those of a device, as the last birth told them.

    `online`: its birth is of the present session of its node. `since`: it is dead, and was heard of then for the last time (ns).
    """

    metrics: dict[str, Metric] = field(default_factory=dict)
    online: bool = False
    generation: int = 0
    """Counts births that changed what is there."""
    since: int | None = None
    points: int = 0
    """How many there are, members of templates among them; a part without any counts as one."""
    removed: list[tuple[str, Metric]] = field(default_factory=list)
    """What the last birth no longer has of the one before."""
    _slots: Slots | None = None

    def birth(self, metrics: Iterable[Metric]) -> bool:
        """Whether the description changed (names, types, properties); values do not count."""
        told = {metric.name: metric for metric in metrics if metric.name}
        changed = not self.generation or _outline(told) != _outline(self.metrics)
        self.removed = [(name, metric) for name, metric in self.metrics.items() if name not in told]
        self.metrics, self.online = told, True
        self.generation += changed
        self._slots = None
        return changed

    def slots(self, above: str) -> Slots:
        """Of its plain metrics, at addresses that begin with `above`. None of them while it is offline."""
        if not self.online:
            return NO_SLOTS
        if self._slots is None:
            self._slots = Slots(self.metrics.values(), above)
        return self._slots


def _outline(metrics: dict[str, Metric]) -> object:
    return {name: (one.datatype, one.properties, _shape(one)) for name, one in metrics.items()}


def _shape(metric: Metric) -> object:
    value = metric.value
    if isinstance(value, Template):
        return [(one.name, one.datatype, _shape(one)) for one in value.metrics]
    return value if metric.name.startswith(PROPERTIES) else None


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
        name = metric.name
        if not name:
            owner = self._aliases.get(-1 if metric.alias is None else metric.alias)
            name = owner[1] if owner is not None and owner[0] == device else ""
        known = part.metrics.get(name) if part is not None and part.online else None
        if known is None:
            raise Unborn
        return name, _typed(metric, known)

    def name_of(self, device: str, alias: int | None) -> str:
        """The name behind an alias of this part; "" where there is none."""
        owner = self._aliases.get(-1 if alias is None else alias)
        return owner[1] if owner is not None and owner[0] == device else ""

    def death(self, device: str | None) -> Iterator[str]:
        """The parts that are offline by it and were not before; None: the node with all its devices."""
        for name, part in self.parts.items():
            if part.online and device in (None, name):
                part.online = False
                yield name


def _typed(metric: Metric, known: Metric) -> Metric:
    """In data the type may be left out (payloads-metric-datatype-not-req), also of a template's members, of which only those
    that changed are there (payloads-template-instance-members-data)."""
    if metric.datatype not in (0, known.datatype):
        raise Malformed("a data type that is not its birth's")
    if known.datatype == TEMPLATE:
        _check_members(metric, known)
    elif metric.datatype == 0:
        metric.value = as_datatype(metric.value, known.datatype)
    metric.datatype = known.datatype
    if not fits(metric.value, metric.datatype):
        raise Malformed("a value that is not of its data type")
    return metric


def _check_members(metric: Metric, known: Metric) -> None:
    if not isinstance(metric.value, Template) or not isinstance(known.value, Template):
        return
    members = {one.name: one for one in known.value.metrics}
    for member in metric.value.metrics:
        if member.name not in members:
            raise Unborn
        _typed(member, members[member.name])


def partial(known: Metric, member: str, change: Metric) -> Metric | None:
    """A template instance that holds this change of a member alone (`member`: names with `#` between)."""
    if not isinstance(known.value, Template):
        return None
    first, _, rest = member.partition("#")
    found = next((one for one in known.value.metrics if one.name == first), None)
    inner = None if found is None else partial(found, rest, change) if rest else change
    if inner is None:
        return None
    template = replace(known.value, metrics=[replace(inner, name=first)])
    return Metric(known.name, datatype=TEMPLATE, timestamp=change.timestamp, value=template)
