"""The JSON publisher: a plain namespace of topics by ISA-95 levels, for whoever reads JSON (docs/reference/json-namespace.md)."""

from dtios_mqtt.north.namespace.publisher import publisher

__all__ = ["publisher"]
