"""Browse facts as plain data, for who commissions."""

from typing import Any

from dtios.mapping.facts import BrowseFacts, Node
from dtios.model.wire import range_to_json, unit_to_json

__all__ = ["facts_as_dict"]


def facts_as_dict(facts: BrowseFacts) -> dict[str, Any]:
    """Nodes by address, each once, children as [how, address]: an address space is a graph."""
    return {
        "endpoint": facts.endpoint,
        "namespaces": list(facts.namespaces),
        "notes": list(facts.notes),
        "root": facts.root.address,
        "nodes": {node.address: _node(node) for node in facts.root.walk()},
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": list(node.name),
        "kind": node.kind,
        "types": [list(t) for t in node.types],
        "data_type": None if node.type is None else node.type.label(),
        "access": node.access,
        "unit": unit_to_json(node.unit),
        "range": range_to_json(node.range),
        "inputs": [[a.name, a.type.label()] for a in node.inputs],
        "outputs": [[a.name, a.type.label()] for a in node.outputs],
        "description": node.description,
        "children": [[how, child.address] for how, child in node.children],
    }
