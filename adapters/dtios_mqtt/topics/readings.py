"""From one message to the readings of a machine's points. What does not fit is said by name, and never stops the rest."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from dtios.mapping.json_paths import MISSING
from dtios.model.status import status_code
from dtios.model.values import NO_TIME, Record
from dtios_mqtt.image import Reading
from dtios_mqtt.session.messages import Incoming
from dtios_mqtt.topics.conversion import NULL
from dtios_mqtt.topics.documents import documents, text_of
from dtios_mqtt.topics.layout import Message, Time, Value
from dtios_mqtt.topics.machine import Machine

__all__ = ["Reader"]

_NO_DATA: Final = status_code("BadNoData")
_MISMATCH: Final = status_code("BadTypeMismatch")
_OLD: Final = status_code("UncertainLastUsableValue")

Complain = Callable[[str], None]


class Reader:
    """Reads one message. `changed`: the machine has a point or a nameplate that it did not have before."""

    def __init__(self, machine: Machine, message: Message, incoming: Incoming, complain: Complain) -> None:
        self._machine = machine
        self._message = message
        self._incoming = incoming
        self._complain = complain
        self.changed = False

    def readings(self) -> list[Reading]:
        """In the order of the payload's rows and the profile's values."""
        message, found = self._message, list[Reading]()
        try:
            if message.rule.whole is not None:
                found.append(self._whole(message.rule.whole))
            for document in documents(message.rule, self._incoming.payload) if message.values else ():
                self._read(document, found)
        except ValueError as cause:
            self._complain(str(cause))
        return found

    def _whole(self, name: str) -> Reading:
        """A message that was kept by the broker is of an unknown time."""
        incoming = self._incoming
        mark = "" if incoming.correlation is None else incoming.correlation.decode("utf-8", "replace")
        text = text_of(self._message.rule, incoming.payload)
        record = Record("Message", {"Topic": incoming.topic, "Payload": text, "Correlation": mark})
        return (self._machine.point(name), record, _OLD if incoming.retain else 0, NO_TIME)

    def _read(self, document: Any, into: list[Reading]) -> None:
        message, before = self._message, len(into)
        source = self._time(message.time, document, NO_TIME)
        for value in message.values:
            if value.each is None and value.time is None:  # most are such
                raw = value.find(document)
                if raw is not MISSING:
                    into.append(self._reading(value.name, value, raw, source))
            else:
                into.extend(self._reading(name, value, raw, time) for name, raw, time in self._found(value, document, source))
        for field in message.unnamed(document):
            self._complain(f"the field {field[:50]!r} is not in the profile")
        if len(into) == before:
            self._complain("none of the profile's values")

    def _time(self, time: Time | None, document: Any, otherwise: int) -> int:
        try:
            return otherwise if time is None else time.read(document)
        except (ValueError, OverflowError):
            self._complain("the time is none")
            return otherwise

    def _found(self, value: Value, document: Any, source: int) -> Iterator[tuple[str, Any, int]]:
        """(signal, what stands there, source time) of each."""
        if value.each is None:
            raw = value.find(document)
            if raw is not MISSING:
                yield value.name, raw, self._time(value.time, document, source)
            return
        for key, entry in _entries(value, document):
            name = value.name_at.find(entry) if value.name_at is not None else key
            raw = value.find(entry)
            if not isinstance(name, str) or not name or raw is MISSING:
                self._complain("an entry without name or value")
                continue
            name = value.rule.names.get(name, name)[:200]
            new = self._machine.name(name, value)
            if new is None:
                self._complain("too many names")
                continue
            self.changed = self.changed or new
            yield name, raw, self._time(value.time, entry, source)

    def _reading(self, name: str, value: Value, raw: Any, source: int) -> Reading:
        address = self._machine.point(name)
        try:
            made = value.convert(raw)
        except (ValueError, OverflowError, TypeError) as cause:
            short = str(cause) if len(str(cause)) < 40 and "'" not in str(cause) else "no number"
            self._complain(f"{name[:50]}: {short}")
            return (address, None, _MISMATCH, source)
        if made is NULL:
            return (address, None, _NO_DATA, source)
        if self._machine.layout.plate:
            self.changed = self._machine.told(name, made) or self.changed
        return (address, made, _OLD if self._incoming.retain and source == NO_TIME else 0, source)


def _entries(value: Value, document: Any) -> Iterator[tuple[str, Any]]:
    assert value.each is not None
    for found in value.each.all(document):
        if isinstance(found, list):
            yield from (("", one) for one in found)
        elif isinstance(found, dict) and value.name_at is None:
            yield from found.items()
        else:
            yield "", found
