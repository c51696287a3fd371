"""What follows from a message, for the speaker to carry out."""

from dataclasses import dataclass, field
from typing import Literal

from dtios_mqtt.image import Readings
from dtios_mqtt.sparkplug.metric import Metric
from dtios_mqtt.sparkplug.topics import Topic

__all__ = ["Step"]

Kind = Literal[
    "readings", "described", "born", "died", "missed", "undecodable", "rebirth", "say-online", "complaint"
]  # fmt: skip


@dataclass(slots=True)
class Step:
    """One consequence; several are carried out in order. `timestamp` in ms as on the wire, `since` in ns by our clock.

    readings: `metrics` of one device by name, or what was `told` where they are plain. described: what is there has changed, and
    `metrics` are gone. born: the part `topic.device` is there (again); it was dead since `since`. died: these `parts` (device
    names, "" the node) are offline. missed: values of the whole node are lost since `since`. undecodable: a value of each of
    `metrics` is lost. rebirth: ask the node for one. say-online: our STATE was overwritten. complaint: `cause` in few words.
    """

    kind: Kind
    topic: Topic
    metrics: list[tuple[str, Metric]] = field(default_factory=list)
    timestamp: int | None = None
    parts: list[str] = field(default_factory=list)
    cause: str = ""
    since: int | None = None
    told: Readings | None = None
