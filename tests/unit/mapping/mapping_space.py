"""Address spaces for tests, written as trees."""

from itertools import count
from typing import Any

from dtios.mapping.facts import Argument, BrowseFacts, Node, NodeKind, ReferenceKind
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.machine import Access
from dtios.model.values import QualifiedName

UA = "http://opcfoundation.org/UA/"
DI = "http://opcfoundation.org/UA/DI/"
MACHINERY = "http://opcfoundation.org/UA/Machinery/"
PACKML = "http://opcfoundation.org/UA/PackML/"
JOBS = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
OWN = "urn:maker"

_numbers = count(1)


def value_type(name: str = "Double", **more: Any) -> ValueType:
    return ValueType(BuiltinType[name], name, **more)


def _node(kind: NodeKind, name: str, namespace: str, **more: Any) -> Node:
    return Node(f"nsu={namespace};i={next(_numbers)}", QualifiedName(namespace, name), kind, **more)


def obj(name: str, *children: Any, namespace: str = OWN, types: tuple[tuple[str, str], ...] = (), **more: Any) -> Node:
    node = _node(NodeKind.OBJECT, name, namespace, types=tuple(QualifiedName(*t) for t in types), **more)
    return add(node, *children)


def var(name: str, value: Any = None, *children: Any, namespace: str = OWN, type: ValueType | None = None, **more: Any) -> Node:
    more.setdefault("access", Access.READ_WRITE)
    node = _node(NodeKind.VARIABLE, name, namespace, value=value, type=type or value_type(), **more)
    return add(node, *children)


def prop(name: str, value: Any = None, namespace: str = OWN, type: ValueType | None = None) -> tuple[ReferenceKind, Node]:
    return ReferenceKind.PROPERTY, var(name, value, namespace=namespace, type=type or value_type("String"))


def method(
    name: str,
    inputs: dict[str, ValueType] | None = None,
    outputs: dict[str, ValueType] | None = None,
    namespace: str = OWN,
    **more: Any,
) -> Node:
    return _node(
        NodeKind.METHOD,
        name,
        namespace,
        inputs=tuple(Argument(n, t) for n, t in (inputs or {}).items()),
        outputs=tuple(Argument(n, t) for n, t in (outputs or {}).items()),
        **more,
    )


def add(node: Node, *children: Any) -> Node:
    for child in children:
        node.children.append(child if isinstance(child, tuple) else (ReferenceKind.COMPONENT, child))
    return node


def facts(*children: Any, namespaces: tuple[str, ...] = (UA, DI, MACHINERY, PACKML, JOBS, OWN)) -> BrowseFacts:
    return BrowseFacts("opc.tcp://here:4840", obj("Objects", *children, namespace=UA), namespaces)
