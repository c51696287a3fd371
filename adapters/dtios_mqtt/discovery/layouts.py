"""Which level of the topics names the machine: the one at which neighbours say the same things.

    plant/line1/press1/temperature      press1 and press2 have the same topics below: the third level
    zigbee2mqtt/lamp                    lamp and plug have documents with the same fields: the second level

Where nothing has neighbours, it is the last level that all topics of the group share, or the second one.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dtios_mqtt.discovery.shapes import Shape

__all__ = ["Group", "groups"]

Levels: TypeAlias = tuple[str, ...]
_DEEPEST: Final = 6
_ENOUGH: Final = 0.5
"""Share of the topics that must have a neighbour."""


@dataclass(slots=True)
class Group:
    """Topics of machines of one kind. `at`: which level names the machine; `varying`: which levels above it differ too."""

    at: int
    topics: dict[Levels, Shape]
    varying: tuple[int, ...] = ()
    evidence: list[str] = field(default_factory=list)

    def machine(self, levels: Levels) -> Levels:
        """What tells one machine from another: the levels that vary, the machine's name last."""
        return (*(levels[at] for at in self.varying), levels[self.at])

    @property
    def machines(self) -> dict[Levels, list[Levels]]:
        found: dict[Levels, list[Levels]] = defaultdict(list)
        for levels in self.topics:
            found[self.machine(levels)].append(levels)
        return dict(found)


def groups(topics: Mapping[str, Shape]) -> list[Group]:
    """Of all topics that are no Sparkplug's and no vehicle's."""
    roots: dict[str, dict[Levels, Shape]] = defaultdict(dict)
    for topic, shape in topics.items():
        levels = tuple(topic.split("/"))
        roots[levels[0] if len(levels) > 1 else ""][levels] = shape
    made = [_group(root) for root in roots.values()]
    return _joined([one for one in made if one is not None])


def _group(topics: dict[Levels, Shape]) -> Group | None:
    deepest = max(map(len, topics))
    scores = {at: _score(topics, at) for at in range(1, min(deepest, _DEEPEST + 1))}
    at = max(scores, key=lambda level: (scores[level], level), default=0)
    evidence = []
    if scores.get(at, 0.0) >= _ENOUGH:
        evidence.append(f"level {at + 1} of the topics names machines: neighbours there say the same")
    else:
        at = _shared(topics)
        evidence.append(f"level {at + 1} of the topics is taken for the machine's name: it has no neighbour that says the same")
    kept = {levels: shape for levels, shape in topics.items() if len(levels) > at}
    if not kept:
        return None
    group = Group(at, kept, evidence=evidence)
    group.varying = tuple(above for above in range(at) if len({levels[above] for levels in kept}) > 1)
    if left := len(topics) - len(kept):
        group.evidence.append(f"{left} topics are too short to name a machine, and are left out")
    return group


def _score(topics: dict[Levels, Shape], at: int) -> float:
    """Share of the topics with a neighbour: another machine at this level that says a similar thing at the same place."""
    places: dict[Levels, list[tuple[str, Shape]]] = defaultdict(list)
    for levels, shape in topics.items():
        if len(levels) > at and (len(levels) > at + 1 or shape.is_document):
            places[(str(at), *levels[at + 1 :])].append((levels[at], shape))
    neighbours = 0
    for there in places.values():
        for name, shape in there:
            neighbours += any(other != name and shape.similar(theirs) for other, theirs in there[:50])
    return neighbours / len(topics)


def _shared(topics: dict[Levels, Shape]) -> int:
    """The last level that all share, where there is one below the first; else the second, else the first."""
    all_levels = list(topics)
    common = 0
    while all(len(levels) > common for levels in all_levels) and len({levels[common] for levels in all_levels}) == 1:
        common += 1
    if common > 1:
        return common - 1 if len(all_levels) > 1 or all(s.is_document for s in topics.values()) else common - 2
    return min(1, min(map(len, all_levels)) - 1)


def _joined(found: list[Group]) -> list[Group]:
    """`tele/plug/...` and `stat/plug/...` are one machine's."""
    made: list[Group] = []
    for group in found:
        like = next((one for one in made if _same_machines(one, group)), None)
        if like is None:
            made.append(group)
        else:
            like.topics |= group.topics
            like.evidence.append(f"{next(iter(group.topics))[0]}/ has the same machines")
    return made


def _same_machines(one: Group, other: Group) -> bool:
    plain = one.at == other.at == 1 and not one.varying and not other.varying
    return plain and bool(one.machines.keys() & other.machines.keys())
