"""Conditions: what a machine complains about (OPC UA Part 9)."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Condition", "ConditionVerb"]


class ConditionVerb(StrEnum):
    """What a person does about a condition: the methods of AcknowledgeableConditionType and ShelvedStateMachineType
    (Part 9, 5.7 and 5.8.16)."""

    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"


@dataclass(frozen=True, slots=True)
class Condition:
    """One alarm or warning. `severity` is 1..1000 (Part 5, 6.4.2); times are int nanoseconds UTC.

    `condition` names it for as long as its machine knows it (OPC UA: ConditionId, and BranchId where it is a branch); `name` is
    the ConditionName and `type` the BrowseName of its type. `retain` False: it is over, and of no more interest.

    `status` says how far the rest is to be believed. While the connection is lost it is Bad: the condition is shown as it was
    last told, and whether it still is so nobody knows.
    """

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
    name: str = ""
    type: str = ""
    suppressed: bool = False
    status: int = 0
