"""Times as JSON: RFC 3339 in UTC, nanoseconds as far as known."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, overload

from dtios.model.errors import ConfigurationError
from dtios.model.values import NO_TIME

__all__ = ["time_from_json", "time_to_json"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000_000
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")


@overload
def time_to_json(time: None) -> None: ...
@overload
def time_to_json(time: int) -> str | None: ...
def time_to_json(time: int | None) -> str | None:
    """`2026-01-31T12:00:00.1234567Z` of int nanoseconds UTC; None where nobody gave a time."""
    if time is None or time == NO_TIME:
        return None
    seconds, fraction = divmod(time, _SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def time_from_json(text: str) -> int:
    """Int nanoseconds UTC of an RFC 3339 time with any offset. Raises ConfigurationError for anything else."""
    match = _RFC3339.fullmatch(text)
    moment = None if match is None else _moment(*match.group(1, 2, 4))
    if match is None or moment is None:
        raise ConfigurationError(f"{text!r} is not a time", mend="write it as 2026-01-31T12:00:00Z")
    since = moment - _EPOCH
    return (since.days * 86400 + since.seconds) * _SECOND + int((match[3] or "").ljust(9, "0"))


def _moment(day: str, clock: str, zone: str) -> datetime | None:
    try:
        return datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return None
