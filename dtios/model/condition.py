"""Conditions: what a machine complains about (OPC UA Part 9)."""

from dataclasses import dataclass

__all__ = ["Condition"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One alarm or warning. `severity` is 1..1000 (Part 5, 6.4.2); times are int nanoseconds UTC."""

    machine: str
    condition: str
    source: str
    message: str
    severity: int
    active: bool
    acknowledged: bool
    time: int | None = None
    confirmed: bool = True
    shelved: bool = False
    retain: bool = True
    semantic_id: str | None = None
