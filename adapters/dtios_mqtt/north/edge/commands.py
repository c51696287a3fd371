"""What comes from above: one command is honoured, and every other one is refused."""

from dataclasses import dataclass

from dtios_mqtt.north.edge.node import REBIRTH
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.metric import Malformed
from dtios_mqtt.sparkplug.topics import Topic

__all__ = ["Refusal", "commanded"]

_SHOWN = 200
"""Characters of a refused metric's name and of its value that the audit keeps."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One metric that somebody above wanted to set. `device` is the id in the topic, empty for the edge node itself."""

    device: str
    metric: str
    value: str


def commanded(topic: Topic, payload: bytes) -> tuple[bool, list[Refusal]]:
    """Of an NCMD or DCMD: whether a rebirth is asked for, and what is refused."""
    try:
        metrics = decode(payload).metrics
    except Malformed as why:
        return False, [Refusal(topic.device, "", f"not understood: {why}")]
    rebirth, refused = False, list[Refusal]()
    for metric in metrics:
        if topic.kind == "NCMD" and metric.name == REBIRTH:
            rebirth = rebirth or metric.value is True
        else:
            name = metric.name[:_SHOWN] or f"alias {metric.alias}"
            refused.append(Refusal(topic.device, name, str(metric.value)[:_SHOWN]))
    return rebirth, refused
