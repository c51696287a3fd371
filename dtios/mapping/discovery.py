"""Which nodes are machines, and which profiles match which nodes."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from dtios.mapping.facts import BrowseFacts, Node, NodeKind
from dtios.mapping.layout import Layout, segments
from dtios.mapping.paths import ANY_NAMESPACE, join, resolve
from dtios.mapping.profiles.library import LoadedProfile, ProfileLibrary
from dtios.model.values import QualifiedName

__all__ = ["Found", "Matches", "find_machines"]


def _same_name(wanted: QualifiedName, name: QualifiedName) -> bool:
    return wanted.name == name.name and wanted.namespace in (ANY_NAMESPACE, name.namespace)


class Matches:
    """Which profiles match which nodes. A profile gives way to one that extends it and matches the same node."""

    def __init__(self, facts: BrowseFacts, profiles: ProfileLibrary) -> None:
        self._facts = facts
        self._by_node: dict[int, list[LoadedProfile]] = {}
        self._typed: dict[str, list[tuple[QualifiedName, LoadedProfile]]] = {}
        self._untyped: list[LoadedProfile] = []
        for profile in profiles:
            self._sort_in(profile)

    def _sort_in(self, profile: LoadedProfile) -> None:
        match = profile.rules.match
        if match is None or (match.namespace is not None and match.namespace not in self._facts.namespaces):
            return
        if match.type is not None:
            wanted = profile.type_name(match.type)
            self._typed.setdefault(wanted.name, []).append((wanted, profile))
        elif match.path is not None:
            node = resolve(self._facts.root, profile.path(match.path))
            if node is not None and self._rest_holds(profile, node):
                self._by_node.setdefault(id(node), []).append(profile)
        else:
            self._untyped.append(profile)

    def examine(self, node: Node) -> None:
        """Find the profiles of one node; before `of` is asked for it."""
        found = self._by_node.get(id(node), [])
        found = [*found, *(p for p in self._of_type(node) if p not in found)]
        if node.kind is NodeKind.OBJECT and node is not self._facts.root:
            found += [p for p in self._untyped if self._rest_holds(p, node)]
        if found:
            extended = {name for p in found for name in p.ancestors}
            self._by_node[id(node)] = [p for p in found if p.name not in extended]

    def of(self, node: Node) -> list[LoadedProfile]:
        return self._by_node.get(id(node), [])

    def _of_type(self, node: Node) -> Iterable[LoadedProfile]:
        for name in node.types:
            for wanted, profile in self._typed.get(name.name, ()):
                if _same_name(wanted, name) and self._rest_holds(profile, node):
                    yield profile

    def _rest_holds(self, profile: LoadedProfile, node: Node) -> bool:
        match = profile.rules.match
        assert match is not None
        if match.type is not None and not any(_same_name(profile.type_name(match.type), t) for t in node.types):
            return False
        if match.name is not None and not _same_name(profile.type_name(match.name), node.name):
            return False
        if match.path is not None and resolve(self._facts.root, profile.path(match.path)) is not node:
            return False
        return all(_has_child(profile, node, child.path, child.type) for child in match.children)


def _has_child(profile: LoadedProfile, node: Node, path: str | None, type: str | None) -> bool:
    at = None if path is None else resolve(node, profile.path(path))
    below = [child for _, child in node.children] if path is None else [] if at is None else [at]
    if type is None:
        return bool(below)
    wanted = profile.type_name(type)
    return any(_same_name(wanted, t) for child in below for t in child.types)


@dataclass(slots=True)
class Found:
    """A node that is a machine, where it stands below the root, and which nodes (by id) are not part of it."""

    node: Node
    path: str
    outside: set[int] = field(default_factory=set)
    deep: bool = True


def find_machines(facts: BrowseFacts, profiles: ProfileLibrary, matches: Matches) -> list[Found]:
    """All machines behind the endpoint, in the order of the address space."""
    return _Finder(facts, profiles, matches).find()


class _Finder:
    def __init__(self, facts: BrowseFacts, profiles: ProfileLibrary, matches: Matches) -> None:
        self._root = facts.root
        self._matches = matches
        self._paths: dict[int, str] = {id(facts.root): ""}
        self._nodes: list[Node] = []
        self._ignored = self._at(p.path(text) for p in profiles for text in p.rules.ignore)
        self._containers = self._at(p.path(text) for p in profiles for text in p.rules.containers)
        self._walk()

    def _at(self, paths: Iterable[tuple[QualifiedName, ...]]) -> dict[int, Node]:
        found = (resolve(self._root, path) for path in paths)
        return {id(node): node for node in found if node is not None}

    def _walk(self) -> None:
        """Every node once, breadth first: shortest paths, and the outer ones before the inner ones."""
        waiting = deque([self._root])
        while waiting:
            node = waiting.popleft()
            self._nodes.append(node)
            self._matches.examine(node)
            for segment, child in segments(node):
                if id(child) in self._paths or id(child) in self._ignored:
                    continue
                self._paths[id(child)] = join(self._paths[id(node)], segment)
                waiting.append(child)

    def find(self) -> list[Found]:
        barrier = {id(self._root), *self._containers, *self._ignored}
        known = [n for n in self._nodes if n.kind is NodeKind.OBJECT and id(n) not in barrier and self._is_machine(n)]
        strong = _outermost(known, barrier)
        inside = {i for ids in strong.values() for i in ids[1]}
        weak = self._places(barrier, inside)
        units = self._units(weak, barrier | inside)
        strong.update(units)
        inside |= {i for ids in units.values() for i in ids[1]}
        machines = {**{i: n for i, (n, _) in strong.items()}, **weak}
        order = {id(n): k for k, n in enumerate(self._nodes)}
        found = [
            self._found(node, barrier, set(machines), set() if i in strong else inside)
            for i, node in sorted(machines.items(), key=lambda item: order[item[0]])
        ]
        return [*self._rest(barrier | set(machines) | inside), *(f for f in found if id(f.node) in strong or self._counts(f))]

    def _is_machine(self, node: Node) -> bool:
        return any(p.is_machine for p in self._matches.of(node))

    def _places(self, barrier: set[int], inside: set[int]) -> dict[int, Node]:
        """Objects that are machines by where they stand: in a container (the outermost), or directly below the root."""
        contained = [c for n in self._containers.values() for c in _objects(n) if id(c) not in barrier | inside]
        top = [c for c in _objects(self._root) if id(c) not in barrier | inside]
        outermost = _outermost(sorted(contained, key=lambda n: self._paths[id(n)].count("/")), barrier)
        return {**{i: n for i, (n, _) in outermost.items()}, **{id(n): n for n in top}}

    def _units(self, places: dict[int, Node], barrier: set[int]) -> dict[int, tuple[Node, set[int]]]:
        """Units (as PackML objects) of which several lie in one place: each is a machine of its own."""
        found: dict[int, tuple[Node, set[int]]] = {}
        for place in places.values():
            stop = barrier | (set(places) - {id(place)})
            below = [e.node for e in Layout(place, stop) if e.node is not place and self._is_unit(e.node)]
            if len(below) < 2 or self._is_unit(place):
                continue
            units = _outermost(below, stop | {id(place)})
            if len(units) > 1:
                found.update(units)
        return found

    def _is_unit(self, node: Node) -> bool:
        return any(p.rules.unit for p in self._matches.of(node))

    def _found(self, node: Node, barrier: set[int], machines: set[int], inside: set[int]) -> Found:
        return Found(node, self._paths[id(node)], (barrier | machines | inside) - {id(node)})

    def _counts(self, found: Found) -> bool:
        """A place in a container is a machine whatever it has; another one needs something to tell or to be told."""
        contained = any(found.node is child for c in self._containers.values() for child in _objects(c))
        return contained or not Layout(found.node, found.outside).is_empty

    def _rest(self, outside: set[int]) -> Iterable[Found]:
        """Loose variables and methods, directly below the root or in a container."""
        for node in (self._root, *self._containers.values()):
            found = Found(node, self._paths.get(id(node), node.name.name), outside - {id(node)}, deep=False)
            if not Layout(node, found.outside, deep=False).is_empty:
                yield found


def _objects(node: Node) -> list[Node]:
    return [child for _, child in node.children if child.kind is NodeKind.OBJECT]


def _outermost(candidates: Iterable[Node], barrier: set[int]) -> dict[int, tuple[Node, set[int]]]:
    """Those that lie in no other one, with the ids of all below each. Of two that lie in each other the first one wins."""
    nodes = {id(n): n for n in candidates}
    order = {i: k for k, i in enumerate(nodes)}
    below = {i: _ids_below(n, barrier) for i, n in nodes.items()}
    inner: set[int] = set()
    for i, ids in below.items():
        inner |= {j for j in ids & nodes.keys() if j != i and not (order[j] < order[i] and i in below[j])}
    return {i: (n, below[i]) for i, n in nodes.items() if i not in inner}


def _ids_below(node: Node, barrier: set[int]) -> set[int]:
    seen = {id(node)}
    stack = [node]
    while stack:
        for _, child in stack.pop().children:
            if id(child) not in seen and id(child) not in barrier:
                seen.add(id(child))
                stack.append(child)
    return seen
