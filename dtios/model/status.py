"""StatusCodes on the data path are plain ints (OPC UA Part 4, 7.39); these functions give them meaning.

Bits 31..30 are the severity, 31..16 name the code, 15..0 carry flags such as the overflow bit (0x480).
"""

from typing import Final

from dtios.model.status_codes import STATUS_CODES

__all__ = [
    "BAD_COMMUNICATION_ERROR",
    "BAD_DECODING_ERROR",
    "BAD_NODE_ID_UNKNOWN",
    "BAD_NOT_CONNECTED",
    "BAD_NO_COMMUNICATION",
    "BAD_WAITING_FOR_INITIAL_DATA",
    "GOOD",
    "OVERFLOW",
    "is_bad",
    "is_good",
    "is_overflow",
    "is_uncertain",
    "status_code",
    "status_name",
]

GOOD: Final = 0
OVERFLOW: Final = 0x0480  # InfoType DataValue + Overflow: a server queue lost values before this one

_NAME_BITS: Final = 0xFFFF0000
_NAMES: Final = {code: name for name, code in STATUS_CODES.items()}

BAD_COMMUNICATION_ERROR: Final = STATUS_CODES["BadCommunicationError"]
BAD_DECODING_ERROR: Final = STATUS_CODES["BadDecodingError"]
BAD_NO_COMMUNICATION: Final = STATUS_CODES["BadNoCommunication"]
BAD_NODE_ID_UNKNOWN: Final = STATUS_CODES["BadNodeIdUnknown"]
BAD_NOT_CONNECTED: Final = STATUS_CODES["BadNotConnected"]
BAD_WAITING_FOR_INITIAL_DATA: Final = STATUS_CODES["BadWaitingForInitialData"]


def is_good(status: int) -> bool:
    return status >> 30 == 0


def is_uncertain(status: int) -> bool:
    return status >> 30 == 1


def is_bad(status: int) -> bool:
    return status >> 31 == 1


def is_overflow(status: int) -> bool:
    """The server says that its queue for this item lost values (Part 4, 7.39.1: InfoType 01 and bit 7)."""
    return status & OVERFLOW == OVERFLOW


def status_name(status: int) -> str:
    """`BadNoCommunication`; a code that no standard names is written as `Bad(0x80FF0000)`."""
    known = _NAMES.get(status & _NAME_BITS)
    if known is not None:
        return known
    severity = "Good" if is_good(status) else "Uncertain" if is_uncertain(status) else "Bad"
    return f"{severity}(0x{status:08X})"


def status_code(name: str) -> int:
    """The number of a StatusCode name. Raises KeyError for a name that is not the standard's."""
    return STATUS_CODES[name]
