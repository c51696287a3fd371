"""A write as NCMD or DCMD, and the wait for the metric that comes back with the value."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from dtios.model.coercion import check
from dtios.model.status import status_code
from dtios.sdk.adapter import LastCheck, Write
from dtios.sdk.errors import OutcomeUnknown, RefusedError
from dtios_mqtt.image import ProcessImage, Reading
from dtios_mqtt.session.client import MqttClient
from dtios_mqtt.session.messages import Outgoing
from dtios_mqtt.sparkplug.describing import is_read_only, value_type
from dtios_mqtt.sparkplug.edge import Born, partial
from dtios_mqtt.sparkplug.encoding import encode
from dtios_mqtt.sparkplug.host import Host
from dtios_mqtt.sparkplug.metric import Metric, Payload, Template
from dtios_mqtt.sparkplug.topics import Topic
from dtios_mqtt.sparkplug.values import said, wire

__all__ = ["Commanding", "ask_for_birth"]

_OFFLINE: Final = status_code("BadNotConnected")
_UNKNOWN: Final = status_code("BadNodeIdUnknown")
_NOT_WRITABLE: Final = status_code("BadNotWritable")


def ask_for_birth(client: MqttClient, group: str, node: str) -> None:
    """NCMD Node Control/Rebirth (operational-behavior-data-commands-ncmd-rebirth-*). Raises LostError."""
    metric = Metric("Node Control/Rebirth", timestamp=_now(), datatype=11, value=True)
    client.hand_over(Outgoing(Topic("NCMD", group, node).text, encode(Payload(metric.timestamp, None, [metric]))))


@dataclass(slots=True, eq=False)
class _Awaited:
    """A value that a metric shall have. `over`: it has, or the session was lost."""

    value: Any
    over: anyio.Event = field(default_factory=anyio.Event)
    came: bool = False
    lost: bool = False


class Commanding:
    """`timeout` seconds is how long a command's metric may take to come back."""

    def __init__(self, host: Host, timeout: float) -> None:
        self._host = host
        self._timeout = timeout
        self._awaited: dict[str, list[_Awaited]] = {}

    @property
    def waits(self) -> bool:
        """A command waits for its metric to come back."""
        return bool(self._awaited)

    def heard(self, readings: Iterable[Reading]) -> None:
        """What was told, in its order."""
        for address, value, _, _ in readings:
            for awaited in self._awaited.get(address, ()):
                if awaited.value == value:
                    awaited.came = True
                    awaited.over.set()

    def lost(self) -> None:
        for awaited in [one for waiting in self._awaited.values() for one in waiting]:
            awaited.lost = True
            awaited.over.set()

    async def write(self, write: Write, last_check: LastCheck, client: MqttClient, image: ProcessImage) -> int:
        """A StatusCode. OutcomeUnknown when the metric does not come back with the value; LostError."""
        group, node, device, name = write.address.removeprefix("spb:").split("/", 3)
        topic = Topic("DCMD" if device else "NCMD", group, node, device)
        edge = self._host.edge(group, node)
        part = None if edge is None else edge.parts.get(device)
        if part is None or not part.online:
            return _OFFLINE
        metric = _command(part, name, write)
        if metric is None:
            return _UNKNOWN
        if is_read_only(part.metrics.get(name.partition("#")[0])):
            return _NOT_WRITABLE
        leaf = _leaf(metric)
        check(write.value, value_type(leaf), write.address)
        awaited = _Awaited(_said(leaf.datatype, write.value))
        try:
            payload = encode(Payload(metric.timestamp, None, [metric]))
        except (ValueError, TypeError, OverflowError) as error:
            raise RefusedError(f"the value does not fit ({error})", where=write.address) from error
        self._awaited.setdefault(write.address, []).append(awaited)
        try:
            client.hand_over(Outgoing(topic.text, payload, expiry=self._timeout), last_check)
            with anyio.move_on_after(self._timeout):
                await awaited.over.wait()
        finally:
            self._forget(write.address, awaited)
        if not awaited.came and (awaited.lost or not _has(image, write.address, awaited.value)):
            why = "the broker was lost" if awaited.lost else f"it did not come back with the value within {self._timeout:g} s"
            mend = "look at the machine before you repeat it"
            raise OutcomeUnknown(f"whether the metric was set is not known: {why}", where=write.address, mend=mend)
        return 0

    def _forget(self, address: str, awaited: _Awaited) -> None:
        waiting = [one for one in self._awaited.get(address, ()) if one is not awaited]
        if waiting:
            self._awaited[address] = waiting
        else:
            self._awaited.pop(address, None)


def _command(part: Born, name: str, write: Write) -> Metric | None:
    """Where the birth gave an alias, that alone goes out (payloads-alias-data-cmd-requirement)."""
    known = part.metrics.get(name)
    now, value = _now(), wire(write.value)
    if known is not None:
        return Metric("" if known.alias is not None else name, known.alias, now, known.datatype, value)
    metric, _, member = name.partition("#")
    whole = part.metrics.get(metric)
    leaf = None if whole is None else _member(whole, member)
    if whole is None or leaf is None:
        return None
    made = partial(whole, member, Metric(timestamp=now, datatype=leaf.datatype, value=value))
    if made is not None and whole.alias is not None:
        made.name, made.alias = "", whole.alias
    return made


def _member(whole: Metric, member: str) -> Metric | None:
    for name in member.split("#"):
        members = getattr(whole.value, "metrics", ())
        found = next((one for one in members if one.name == name), None)
        if found is None:
            return None
        whole = found
    return whole


def _leaf(metric: Metric) -> Metric:
    """What is commanded: of a template its one member."""
    while isinstance(metric.value, Template):
        metric = metric.value.metrics[0]
    return metric


def _said(datatype: int, value: Any) -> Any:
    try:
        return said(value, datatype)
    except OverflowError:
        return value  # encoding says what is wrong


def _has(image: ProcessImage, address: str, wanted: Any) -> bool:
    """A machine that reports by exception says nothing of a value that it has already."""
    last = image.read(address)
    return last.is_good and bool(last.value == wanted)


def _now() -> int:
    return time.time_ns() // 1_000_000
