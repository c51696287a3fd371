"""A Gap says: values are missing here, between these times, for this reason. Promise 1 rests on it."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Gap", "GapCause"]


class GapCause(StrEnum):
    """Why values are missing; the words an operator reads."""

    CONNECTION_LOST = "connection-lost"
    SERVER_OVERFLOW = "server-overflow"
    MESSAGE_MISSED = "message-missed"
    UNDECODABLE = "undecodable"
    SUBSCRIPTION_RECREATED = "subscription-recreated"
    QUEUE_OVERFLOW = "queue-overflow"
    CONSUMER_STOPPED = "consumer-stopped"
    RUNTIME_RESTART = "runtime-restart"
    STORE_OVERFLOW = "store-overflow"


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing values of one signal for one consumer (or, before receipt, for all).

    What is missing lies between `from` and `to` (int nanoseconds UTC, both ends included, None where unknown): for values
    dropped from a queue the first and the last of them, by source time and by time of receipt; for a lost connection the
    last sign of life before it and the moment the signal was subscribed again, by time of receipt alone.
    `count` is how many values are missing, None where the protocol cannot tell.
    """

    cause: GapCause
    source_from: int | None = None
    source_to: int | None = None
    receive_from: int | None = None
    receive_to: int | None = None
    count: int | None = None
