"""One machine on plain topics: what was heard of it, and how it is drawn as browse facts."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dtios.mapping.bindings.topic_answers import MESSAGE
from dtios.mapping.facts import Node, NodeKind, ReferenceKind
from dtios.mapping.paths import escape
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.machine import Access, Range
from dtios.model.units import unit_from_code
from dtios.model.values import QualifiedName
from dtios_mqtt.topics.layout import Layout, Value

__all__ = ["NAMESPACE", "Machine", "Names"]

NAMESPACE: Final = "urn:dtios:mqtt:topics"
_MOST: Final = 1_000
"""Signals that a machine may name itself."""
_MOST_OF_ALL: Final = 200_000
"""Signals that all machines of a connection may name themselves."""


class Names:
    """How many signals the machines of one connection have named."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def full(self) -> bool:
        return self.count >= _MOST_OF_ALL


class Machine:
    """`levels` are those of the topics it was heard on last. Addresses are `topic:PROFILE/LEVEL/LEVEL`, then `#SIGNAL` or
    `>COMMAND`."""

    def __init__(self, layout: Layout, levels: Mapping[str, str], names: Names | None = None) -> None:
        self._names = Names() if names is None else names
        self.layout = layout
        self.levels = dict(levels)
        self.place = tuple(levels[name] for name in layout.rules.identity)
        self.address = f"topic:{layout.profile}/{'/'.join(self.place)}"
        self.plate: dict[str, Any] = {}
        self.spoke: float | None = None
        """On the monotonic clock, in this session; None as long as it is silent."""
        self.received = 0
        """When its last message was received (ns UTC)."""
        self._own: dict[str, Value] = {}
        self._points: dict[str, str] = {}
        self._drawn: Node | None = None

    @property
    def label(self) -> str:
        """For a person."""
        return "/".join(self.place)

    def point(self, signal: str) -> str:
        address = self._points.get(signal)
        if address is None:
            address = self._points[signal] = f"{self.address}#{signal}"
        return address

    def values(self) -> Iterator[tuple[str, Value]]:
        """Signal and rule of every value, those last that the machine named itself."""
        for message in self.layout.messages:
            yield from ((value.name, value) for value in message.values if value.each is None)
        yield from self._own.items()

    def name(self, signal: str, value: Value) -> bool | None:
        """The machine named this signal: whether it is new; None if it has named too many."""
        if signal in self._own:
            return False
        if len(self._own) >= _MOST or self._names.full:
            return None
        self._names.count += 1
        self._own[signal] = value
        self._drawn = None
        return True

    def told(self, signal: str, value: Any) -> bool:
        """Something that the nameplate may show: whether it is news."""
        if signal not in self.layout.plate or self.plate.get(signal) == value:
            return False
        self.plate[signal] = value
        self._drawn = None
        return True

    def points(self) -> Iterator[str]:
        """Addresses of all that can be read."""
        yield from (self.point(name) for name, _ in self.values())
        yield from (self.point(one.rule.whole) for one in self.layout.messages if one.rule.whole is not None)

    # --- as browse facts ---

    def node(self) -> Node:
        if self._drawn is None:
            self._drawn = self._draw()
        return self._drawn

    def _draw(self) -> Node:
        types = tuple(QualifiedName(NAMESPACE, name) for name in self.layout.types)
        root = Node(self.address, QualifiedName(NAMESPACE, self.place[-1]), NodeKind.OBJECT, types)
        folders = {"": root}
        for name, value in dict(self.values()).items():
            self._hang(folders, name, self._variable(name, value))
        for message in self.layout.messages:
            if message.rule.whole is not None:
                name = message.rule.whole
                self._hang(folders, name, self._node(name, NodeKind.VARIABLE, self.point(name), "Message", MESSAGE))
        for name in self.layout.rules.commands:
            self._hang(folders, name, self._node(name, NodeKind.OBJECT, f"{self.address}>{name}", "Command"))
        return root

    def _hang(self, folders: dict[str, Node], name: str, node: Node) -> None:
        above = name.rpartition("/")[0]
        self._folder(folders, above).children.append((ReferenceKind.COMPONENT, node))

    def _folder(self, folders: dict[str, Node], path: str) -> Node:
        if path not in folders:
            folders[path] = self._node(path, NodeKind.OBJECT, f"{self.address}#{path}/", "Folder")
            self._folder(folders, path.rpartition("/")[0]).children.append((ReferenceKind.COMPONENT, folders[path]))
        return folders[path]

    def _node(self, name: str, kind: NodeKind, address: str, type: str, value: ValueType | None = None) -> Node:
        shown = QualifiedName(NAMESPACE, name.rpartition("/")[2])
        access = Access.READ if kind is NodeKind.VARIABLE else Access.NONE
        return Node(address, shown, kind, (QualifiedName(NAMESPACE, type),), value, access)

    def _variable(self, name: str, value: Value) -> Node:
        rule = value.rule
        made = self._node(name, NodeKind.VARIABLE, self.point(name), "Value", ValueType(BuiltinType[rule.type], rule.type))
        made.access = Access.READ if rule.write is None else Access.READ_WRITE
        made.unit = None if rule.unit is None else unit_from_code(rule.unit)
        made.range = None if rule.range is None else Range(*rule.range)
        made.description = rule.description
        made.value = self.plate.get("/".join(escape(part) for part in name.split("/")))
        return made
