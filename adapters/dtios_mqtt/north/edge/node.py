"""The edge node: which messages follow from what happened. No I/O; what it gives is sent in that order, or the session is over.

Each message of node and devices has the next sequence number (`seq`), NDEATH has none. The identity of values, (epoch, sequence),
is in two metrics of each DDATA: `DTI-OS/Epoch`, and `DTI-OS/Sequence` of the first value; the values of the message are numbered
from there in their order. Sparkplug wants them in the order of their times: where that is another one than that of their numbers,
`DTI-OS/Order` has what is to be added to `DTI-OS/Sequence` for each of them. `DTI-OS/Gaps` tells what is missing before them, in
the form that `watch --json` has.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dtios.model.machine import Machine, Signal
from dtios.model.values import NO_TIME
from dtios.model.wire_machine import gap_to_json
from dtios.sdk.delivery import Delivery
from dtios.sdk.forwarding import Parcel
from dtios_mqtt.north.edge.metrics import Form, form_of, form_of_value
from dtios_mqtt.session.messages import Outgoing, Will
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.mark import EPOCH, GAPS, MARK, ORDER, SEQUENCE
from dtios_mqtt.sparkplug.metric import Metric, Payload
from dtios_mqtt.sparkplug.topics import Topic

__all__ = ["EPOCH", "GAPS", "ORDER", "REBIRTH", "SEQUENCE", "PublishedNode", "sparkplug_id"]

REBIRTH: Final = "Node Control/Rebirth"
_INT64, _UINT64, _BOOLEAN, _STRING, _UINT32S = 4, 8, 11, 12, 28
_OURS: Final = {EPOCH: _UINT64, SEQUENCE: _UINT64, ORDER: _UINT32S, GAPS: _STRING}
"""Their types."""
_UNFIT: Final = re.compile(r"[/+#%\x00-\x1f\x7f]")


def sparkplug_id(name: str) -> str:
    """A name as an id in a topic; what may not be in one is percent-encoded (topic-structure-namespace-valid-device-id)."""
    return _UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", name)


@dataclass(slots=True)
class _Device:
    """A machine. `ours`: aliases of the metrics that number its values. `last`: by path, (value, status, source time) as it is
    now, whether it was sent or waits; `seen` is the last parcel in it, and `told` the last one in the present that the DBIRTH
    told. `born`: a DBIRTH stands. `quiet`: nothing was told of it since somebody looked."""

    id: str
    name: str
    ours: dict[str, int]
    forms: dict[str, Form] = field(default_factory=dict)
    last: dict[str, tuple[Any, int, int]] = field(default_factory=dict)
    shape: tuple[Signal, ...] = ()
    online: bool = False
    born: bool = False
    quiet: bool = False
    seen: int = 0
    told: int = 0


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What values are numbered from: (`epoch`, `sequence`) is the first one's."""

    epoch: int
    sequence: int
    historical: bool

    def head(
        self, device: _Device, gaps: list[dict[str, Any]], rows: list[Metric], some: list[int], start: int, now: int
    ) -> list[Metric]:
        """The metrics before `some` of the rows: at the time of the oldest, so that all stand in the order of time. ms."""
        ours: dict[str, Any] = {EPOCH: self.epoch, SEQUENCE: self.sequence + start}
        if some != list(range(start, start + len(some))):
            ours |= {SEQUENCE: self.sequence, ORDER: some}
        if gaps:
            ours[GAPS] = json.dumps(gaps, separators=(",", ":"))
        time = rows[some[0]].timestamp if some else now
        return [
            Metric("", device.ours[name], time, _OURS[name], value, is_historical=self.historical) for name, value in ours.items()
        ]


class PublishedNode:
    """One edge node over all its sessions: aliases and last values outlive them, births do not.

    `epoch` is that of the outbox; `mark` lets the host of the same runtime know its own edge node.
    """

    def __init__(self, group: str, node: str, *, mark: str, epoch: int) -> None:
        self.group, self.node = sparkplug_id(group), sparkplug_id(node)
        self._mark = mark
        self._epoch = epoch
        self._devices: dict[str, _Device] = {}
        self._aliases = self._mark_alias = 1
        self._bd_seq = 0
        self._seq = 0
        self._alive = False

    # --- sessions ---

    def will(self, bd_seq: int, now: int) -> Will:
        """NDEATH, for the CONNECT that is to come: QoS 1, not retained, with the bdSeq that its NBIRTH will have, and no seq."""
        self._bd_seq, self._alive = bd_seq, False
        for device in self._devices.values():
            device.born = False
        return Will(self._topic("NDEATH"), self._death(now), qos=1, retain=False, always=True)

    def death(self, now: int) -> Outgoing:
        """NDEATH by our own hand, before a DISCONNECT that makes the broker forget the will."""
        self._alive = False
        for device in self._devices.values():
            device.born = False
        return Outgoing(self._topic("NDEATH"), self._death(now), qos=1)

    def _death(self, now: int) -> bytes:
        return encode(Payload(now // 1_000_000, None, [Metric("bdSeq", datatype=_INT64, value=self._bd_seq)]))

    def births(self, now: int) -> list[Outgoing]:
        """NBIRTH with seq 0, then a DBIRTH for each machine that can be reached: at the beginning, and for each rebirth."""
        self._alive, self._seq = True, 0
        ms = now // 1_000_000
        metrics = [
            Metric("bdSeq", None, ms, _INT64, self._bd_seq),
            Metric(REBIRTH, None, ms, _BOOLEAN, False),
            Metric(MARK, self._mark_alias, ms, _STRING, self._mark),
        ]
        born = [self._say("NBIRTH", metrics, now)]
        for device in self._devices.values():
            device.born = False
            if device.online:
                born.append(self._birth(device, now))
        return born

    # --- machines ---

    def tell(self, machine: Machine, *, online: bool, now: int) -> list[Outgoing]:
        """A machine as it is now. One that is lost has a last word: its device dies with `bury`, or at once when it is back."""
        device = self._device(machine.name)
        shape = tuple(signal for signal in machine.signals if not signal.gone and signal.access.readable)
        changed = online and shape != device.shape
        if changed:
            self._describe(device, shape)
        back = online and not device.online
        device.online = online
        if not self._alive:
            return []
        said = [self._died(device, now)] if back and device.born else []
        if online and (changed or not device.born):
            said.append(self._birth(device, now))
        device.quiet = False
        return said

    @property
    def lingers(self) -> bool:
        """Some device is born whose machine is away."""
        return any(device.born and not device.online for device in self._devices.values())

    def bury(self, now: int) -> list[Outgoing]:
        """DDEATH of those whose machine is away, when nothing was to be told of it since this was called before."""
        dead = [device for device in self._devices.values() if device.born and not device.online and device.quiet]
        for device in self._devices.values():
            device.quiet = True
        return [self._died(device, now) for device in dead]

    def forget(self, name: str, now: int) -> list[Outgoing]:
        """A machine that has gone for good."""
        device = self._devices.pop(name, None)
        return [self._died(device, now)] if device is not None and device.born and self._alive else []

    def machine_of(self, device: str) -> str:
        """The machine behind a device id; the id itself where there is none, empty for the edge node."""
        return next((one.name for one in self._devices.values() if one.id == device), device)

    def _device(self, name: str) -> _Device:
        if name not in self._devices:
            self._devices[name] = _Device(sparkplug_id(name), name, {one: self._alias() for one in _OURS})
        return self._devices[name]

    def _describe(self, device: _Device, shape: tuple[Signal, ...]) -> None:
        known = device.forms
        device.shape = shape
        device.forms = {one.path: form_of(one, known[one.path].alias if one.path in known else self._alias()) for one in shape}

    def _alias(self) -> int:
        self._aliases += 1
        return self._aliases

    def _birth(self, device: _Device, now: int) -> Outgoing:
        ms = now // 1_000_000
        values: dict[str, Any] = {EPOCH: self._epoch, SEQUENCE: 0, ORDER: [], GAPS: "[]"}
        metrics = [
            Metric(name, device.ours[name], ms, kind, values[name], properties={"readOnly": True}) for name, kind in _OURS.items()
        ]
        for path, form in device.forms.items():
            value, status, time = device.last.get(path, (None, _NOTHING_YET, NO_TIME))
            metrics.append(form.birth(value, status, time, now))
        device.born, device.told = True, device.seen
        return self._say("DBIRTH", metrics, now, device.id)

    def _died(self, device: _Device, now: int) -> Outgoing:
        device.born = False
        return self._say("DDEATH", [], now, device.id)

    # --- values ---

    def see(self, parcel: Parcel) -> None:
        """Values as they come, in the order of `position`, whether they can be sent now or not: births tell them."""
        device = self._device(parcel.machine)
        device.seen = parcel.position
        for delivery in parcel.deliveries:
            batch = delivery.batch
            if batch is None:
                continue
            for handle, value, status, time in zip(batch.handles, batch.values, batch.statuses, batch.source_times, strict=True):
                device.last[delivery.paths[handle]] = value, status, batch.receive_time if time == NO_TIME else time

    def data(self, parcel: Parcel, now: int, largest: int = 128 * 1024) -> list[Outgoing]:
        """DDATA, none with more than `largest` bytes unless it holds one value alone. A machine that is not born is born for it,
        to die with `bury`: its last values come after its loss, and a store may hold values of a machine that is gone."""
        device = self._device(parcel.machine)
        device.quiet = False
        said: list[Outgoing] = []
        if self._learn(device, parcel) or not device.born:
            said.append(self._birth(device, now))
        # What the birth told of the present is told after it as history alone.
        historical = parcel.historical or parcel.position <= device.told
        for sequence, gaps, rows in self._messages(device, parcel, now, historical):
            order = sorted(range(len(rows)), key=[row.timestamp or 0 for row in rows].__getitem__)
            said += self._sized(device, _Numbers(parcel.epoch, sequence, historical), gaps, rows, order, 0, now, largest)
        return said

    def _learn(self, device: _Device, parcel: Parcel) -> bool:
        """Forms for signals that are not described (any more), by their values."""
        found = False
        for delivery in parcel.deliveries:
            if delivery.batch is None:
                continue
            for handle, value in zip(delivery.batch.handles, delivery.batch.values, strict=True):
                path = delivery.paths[handle]
                if path not in device.forms:
                    device.forms[path] = form_of_value(path, self._alias(), value)
                    found = True
        return found

    def _messages(
        self, device: _Device, parcel: Parcel, now: int, historical: bool
    ) -> Iterator[tuple[int, list[dict[str, Any]], list[Metric]]]:
        """(sequence of the first value, Gaps, values): the parcel's deliveries together, but a Gap begins another message."""
        first, gaps, rows = parcel.sequence, list[dict[str, Any]](), list[Metric]()
        for sequence, delivery in parcel.numbered():
            if delivery.gaps and rows:
                yield first, gaps, rows
                gaps, rows = [], []
            if not rows:
                first = sequence
            gaps += [{"signal": path, **gap_to_json(parcel.machine, path, gap)["gap"]} for path, gap in delivery.gaps]
            rows += self._rows(device, delivery, now, historical)
        if rows or gaps:
            yield first, gaps, rows

    def _sized(
        self,
        device: _Device,
        numbers: _Numbers,
        gaps: list[dict[str, Any]],
        rows: list[Metric],
        some: list[int],
        start: int,
        now: int,
        largest: int,
    ) -> Iterator[Outgoing]:
        """`some` of the rows, which are those from `start` on in the order of time; in halves where they are too large."""
        head = numbers.head(device, gaps, rows, some, start, now // 1_000_000)
        payload = encode(Payload(now // 1_000_000, self._seq, [*head, *(rows[number] for number in some)]))
        if len(payload) <= largest or len(some) + len(gaps) < 2:
            self._seq = (self._seq + 1) % 256
            yield Outgoing(self._topic("DDATA", device.id), payload)
        elif len(gaps) > len(some):
            half = len(gaps) // 2
            yield from self._sized(device, numbers, gaps[:half], rows, [], start, now, largest)
            yield from self._sized(device, numbers, gaps[half:], rows, some, start, now, largest)
        else:
            half = len(some) // 2
            yield from self._sized(device, numbers, gaps, rows, some[:half], start, now, largest)
            yield from self._sized(device, numbers, [], rows, some[half:], start + half, now, largest)

    def _rows(self, device: _Device, delivery: Delivery, now: int, historical: bool) -> Iterator[Metric]:
        batch = delivery.batch
        if batch is None:
            return
        for handle, value, status, time in zip(batch.handles, batch.values, batch.statuses, batch.source_times, strict=True):
            path = delivery.paths[handle]
            at = batch.receive_time if time == NO_TIME else time
            yield device.forms[path].data(value, status, at, now, historical)

    # --- messages ---

    def _say(self, kind: str, metrics: Sequence[Metric], now: int, device: str = "") -> Outgoing:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        payload = Payload(now // 1_000_000, seq, list(metrics))
        return Outgoing(self._topic(kind, device), encode(payload))

    def _topic(self, kind: str, device: str = "") -> str:
        return Topic(kind, self.group, self.node, device).text


_NOTHING_YET: Final = 0x80320000
"""BadWaitingForInitialData."""
