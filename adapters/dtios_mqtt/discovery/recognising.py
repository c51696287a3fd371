"""From what was heard to machines: Sparkplug by its topics, vehicles by theirs, everything else by what it looks like."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dtios.model.errors import ConfigurationError
from dtios.sdk.adapter import Endpoint
from dtios_mqtt.discovery.layouts import Group, groups
from dtios_mqtt.discovery.listening import Heard, Topic
from dtios_mqtt.discovery.proposing import name_for, profile_of
from dtios_mqtt.discovery.shapes import Shape, shape_of
from dtios_mqtt.sparkplug.decoding import decode
from dtios_mqtt.sparkplug.metric import Malformed
from dtios_mqtt.sparkplug.topics import Topic as SparkplugTopic
from dtios_mqtt.sparkplug.topics import parse_topic

__all__ = ["recognise"]

_VEHICLE: Final = re.compile(
    r"(?P<interface>[^/]+)/(?P<version>v\d+)/(?P<maker>[^/]+)/(?P<serial>[^/]+)/"
    r"(?P<what>connection|state|factsheet|visualization|order|instantActions)"
)
_EXAMPLES: Final = 5
_SHOWN: Final = 60


def recognise(url: str, heard: Heard) -> list[Endpoint]:
    """Each machine as an Endpoint at the broker: `details` has `kind`, `machine` (what `machine:` in dtios.yaml is), `messages`,
    `evidence`, and for plain topics `profile` with the proposed YAML."""
    births, vehicles, plain = _sorted(heard)
    found = [*_sparkplug(url, births), *_vehicles(url, vehicles), *_plain(url, plain)]
    if heard.beyond:
        note = f"{heard.beyond} messages came on topics that were not looked at: there are more than {len(heard.topics)}"
        for one in found:
            one.details.setdefault("notes", []).append(note)
    return found


def _sorted(
    heard: Heard,
) -> tuple[dict[tuple[str, str, str], dict[str, Topic]], dict[tuple[str, ...], dict[str, Topic]], dict[str, Topic]]:
    births: dict[tuple[str, str, str], dict[str, Topic]] = {}
    vehicles: dict[tuple[str, ...], dict[str, Topic]] = {}
    plain: dict[str, Topic] = {}
    for text, topic in heard.topics.items():
        sparkplug, vehicle = parse_topic(text), _VEHICLE.fullmatch(text)
        if sparkplug is not None:
            if sparkplug.kind not in ("STATE", "NCMD", "DCMD"):
                births.setdefault(_key(sparkplug), {})[sparkplug.kind] = topic
        elif vehicle is not None:
            key = (vehicle["interface"], vehicle["version"], vehicle["maker"], vehicle["serial"])
            vehicles.setdefault(key, {})[vehicle["what"]] = topic
        elif not text.startswith(("$", "spBv1.0/")):
            plain[text] = topic
    return births, vehicles, plain


def _key(topic: SparkplugTopic) -> tuple[str, str, str]:
    return topic.group, topic.node, topic.device


def _sparkplug(url: str, births: Mapping[tuple[str, str, str], dict[str, Topic]]) -> Iterator[Endpoint]:
    for (group, node, device), kinds in sorted(births.items()):
        birth = kinds.get("DBIRTH" if device else "NBIRTH")
        counted = ", ".join(f"{topic.count} {kind}" for kind, topic in sorted(kinds.items()))
        evidence = [f"{counted} on spBv1.0/{group}"]
        if birth is not None and birth.samples:
            evidence.append(_born(birth.samples[-1]))
        else:
            evidence.append("it was not born since; its metrics are known when it is (a connected runtime asks for that)")
        if not device and birth is not None and not _has_metrics(birth.samples[-1]):
            continue  # a node that only stands for its devices is no machine
        name = device or node
        where = "/".join(part for part in (group, node, device) if part)
        yield Endpoint(url, name, {"kind": "Sparkplug B", "machine": where, "evidence": evidence})


def _metrics(payload: bytes) -> list[str] | None:
    try:
        return [metric.name for metric in decode(payload).metrics]
    except Malformed:
        return None


def _has_metrics(payload: bytes) -> bool:
    names = _metrics(payload) or []
    return any(name != "bdSeq" and not name.startswith("Node Control/") for name in names)


def _born(payload: bytes) -> str:
    names = _metrics(payload)
    if names is None:
        return "its birth is not understood"
    return f"its birth has {len(names)} metrics: {', '.join(names[:_EXAMPLES])}" + (" ..." if len(names) > _EXAMPLES else "")


def _vehicles(url: str, vehicles: Mapping[tuple[str, ...], dict[str, Topic]]) -> Iterator[Endpoint]:
    for (interface, _, maker, serial), whats in sorted(vehicles.items()):
        if not whats.keys() & {"connection", "state", "factsheet"}:
            continue  # orders without a vehicle
        evidence = [f"{topic.count} {what} messages" for what, topic in sorted(whats.items())]
        for what in ("factsheet", "state", "connection"):
            said = _document(whats.get(what))
            if "version" in said:
                evidence.append(f"{what} says version {str(said['version'])[:_SHOWN]}")
                break
        connection = _document(whats.get("connection")).get("connectionState")
        if isinstance(connection, str):
            evidence.append(f"connection says {connection[:_SHOWN]}")
        details: dict[str, Any] = {"kind": "VDA 5050", "machine": f"{maker}/{serial}", "evidence": evidence}
        if interface != "uagv":
            details["notes"] = [f"it needs `vda_interfaces: [{interface}]` in the settings"]
        yield Endpoint(url, serial, details)


def _document(topic: Topic | None) -> dict[str, Any]:
    if topic is None or not topic.samples:
        return {}
    try:
        said = json.loads(topic.samples[-1])
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _plain(url: str, topics: Mapping[str, Topic]) -> Iterator[Endpoint]:
    shapes: dict[str, Shape] = {}
    for text, topic in topics.items():
        shape = shape_of(topic.samples)
        if shape is not None and not set(text) & set("{}"):
            shapes[text] = shape
    taken: set[str] = set()
    for group in groups(shapes):
        yield from _machines(url, group, topics, taken)


def _machines(url: str, group: Group, topics: Mapping[str, Topic], taken: set[str]) -> Iterator[Endpoint]:
    first = next(iter(group.topics))
    fixed = {at: level for at, level in enumerate(first[: group.at]) if at not in group.varying}
    name = name_for(fixed or {0: first[group.at]}, taken)
    machines = group.machines
    try:
        text, evidence = profile_of(group, name)
    except ConfigurationError as why:
        text, evidence = "", [*group.evidence, f"no profile is proposed: {why}"]
    for identity, levels in sorted(machines.items()):
        heard = ["/".join(one) for one in levels]
        counts = Counter({one: topics[one].count for one in heard})
        said = [f"{count} messages on {topic}" for topic, count in counts.most_common(_EXAMPLES)]
        if len(heard) > _EXAMPLES:
            said.append(f"and {len(heard) - _EXAMPLES} topics more")
        kept = sum(topics[one].retained for one in heard)
        if kept and kept == sum(counts.values()):
            said.append("all of it was kept by the broker: it may be gone")
        details = {"kind": "plain topics", "machine": "/".join(identity), "evidence": [*said, *evidence], "profile": text}
        yield Endpoint(url, identity[-1], details)
