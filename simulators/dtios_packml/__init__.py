"""A small simulated PackML machine on a real OPC UA server: `python -m dtios_packml`."""

from dtios_packml.plant import Plant, PlantRefusal, Refused, State

__all__ = ["Plant", "PlantRefusal", "Refused", "State"]
