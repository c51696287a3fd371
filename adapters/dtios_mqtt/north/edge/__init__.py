"""The runtime as a Sparkplug B edge node: its devices are the machines, their metrics the signals."""

from dtios_mqtt.north.edge.publishing import publisher

__all__ = ["publisher"]
