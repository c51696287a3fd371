"""Parcels, descriptions and states as JSON: values as everywhere in DTI-OS (docs/reference/wire-forms.md), many in a message."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from dtios.model.gap import Gap
from dtios.model.machine import Signal
from dtios.model.status import status_name
from dtios.model.values import NO_TIME
from dtios.model.wire import gap_to_json, machine_to_json, to_json
from dtios.model.wire_time import time_to_json
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding import Parcel
from dtios.sdk.protocol import MachineView

__all__ = ["Clockface", "description", "presence", "state", "value_messages"]

_SECOND: Final = 1_000_000_000
_encode = msgspec.json.Encoder().encode


class Clockface:
    """Times as text, quickly: those of a batch lie within a second or are the same."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def text(self, time: int) -> str | None:
        """RFC 3339 as `time_to_json` has it."""
        seconds, fraction = divmod(time, _SECOND)
        if seconds != self._second:
            if not 0 <= seconds < 4_000_000_000:
                return None if time == NO_TIME else time_to_json(time)
            self._second = seconds
            self._prefix = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        if not fraction:
            return f"{self._prefix}Z"
        return f"{self._prefix}.{f'{fraction:09d}'.rstrip('0')}Z"


def value_messages(parcel: Parcel, signals: Mapping[str, Signal], largest: int) -> Iterator[bytes]:
    """The parcel as payloads of `values` messages, none larger than `largest` bytes unless it holds one value alone.

    A message's Gaps lie before its values, so that a new one begins where there is a Gap. `signals` by path: the types tell
    what the form of a value is; a signal that is not described any more is written as its value tells.
    """
    clock = Clockface()
    gaps: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for sequence, delivery in parcel.numbered():
        if delivery.gaps and rows:
            yield from _sized(parcel, gaps, rows, largest)
            gaps, rows = [], []
        gaps += [_gap(parcel.machine, path, gap) for path, gap in delivery.gaps]
        rows += _rows(sequence, delivery, signals, clock)
    yield from _sized(parcel, gaps, rows, largest)


def _gap(machine: str, path: str, gap: Gap) -> dict[str, Any]:
    return {"signal": path, **gap_to_json(machine, path, gap)["gap"]}


def _rows(sequence: int, delivery: Delivery, signals: Mapping[str, Signal], clock: Clockface) -> list[dict[str, Any]]:
    batch = delivery.batch
    if batch is None:
        return []
    received, text = clock.text(batch.receive_time), clock.text
    last, server = NO_TIME, None
    paths = delivery.paths
    rows = []
    columns = zip(batch.handles, batch.values, batch.statuses, batch.source_times, batch.server_times, strict=True)
    for number, (handle, value, status, source_time, server_time) in enumerate(columns, sequence):
        path = paths[handle]
        if value.__class__ is not float or value - value != 0.0:  # a number as most are, and neither NaN nor infinite
            signal = signals.get(path)
            value = to_json(value, None if signal is None else signal.type)
        if server_time != last:
            last, server = server_time, text(server_time)
        rows.append(
            {
                "signal": path, "value": value, "status": status_name(status) if status else "Good",
                "source_time": server if source_time == last else text(source_time),
                "server_time": server, "receive_time": received, "sequence": number,
            }
        )  # fmt: skip
    return rows


def _sized(parcel: Parcel, gaps: list[dict[str, Any]], rows: list[dict[str, Any]], largest: int) -> Iterator[bytes]:
    sequence = rows[0]["sequence"] if rows else parcel.sequence
    head = {"machine": parcel.machine, "historical": parcel.historical, "epoch": parcel.epoch, "sequence": sequence}
    payload = _encode({**head, "gaps": gaps, "values": rows})
    if len(payload) <= largest or len(rows) + len(gaps) < 2:
        yield payload
        return
    # Gaps before values, whatever the cut
    middle, some = len(rows) // 2, len(gaps) // 2
    if rows and len(gaps) <= len(rows):
        yield from _sized(parcel, gaps, rows[:middle], largest)
        yield from _sized(parcel, [], rows[middle:], largest)
    else:
        yield from _sized(parcel, gaps[:some], [], largest)
        yield from _sized(parcel, gaps[some:], rows, largest)


def description(view: MachineView) -> bytes:
    """Retained: what the machine is, with the unit, range and type of each signal."""
    form = machine_to_json(view.machine, {})
    for signal in form["signals"]:
        del signal["value"], signal["status"]
    del form["state"]
    return _encode(form)


def state(view: MachineView, *, gone: bool) -> bytes:
    """Retained: whether the machine can be reached, and its PackML state where it reports one."""
    online = view.health == "online" and not gone
    return _encode(
        {
            "machine": view.machine.name, "online": online, "health": "gone" if gone else view.health, "detail": view.detail,
            "packml": view.packml if online else None, "unit_mode": view.unit_mode if online else None,
        }
    )  # fmt: skip


def presence(online: bool, epoch: int, now: int) -> bytes:
    """Retained: whether this publisher is there. Offline is the broker's word for it (the will) or its own last one."""
    return _encode({"online": online, "epoch": epoch, "time": time_to_json(now)})
