"""VDA 5050 as a master control: vehicles become machines, their skills are orders and instant actions."""

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final
from uuid import uuid4

from dtios.mapping.facts import Node
from dtios.model.gap import GapCause
from dtios.model.status import BAD_NO_COMMUNICATION, status_code
from dtios.model.values import NO_TIME
from dtios.sdk.adapter import LastCheck, Loss, Publish, Write
from dtios.sdk.errors import ConfigurationError, RefusedError, TemporaryError
from dtios_mqtt.image import Reading
from dtios_mqtt.session.messages import Incoming, Outgoing
from dtios_mqtt.speakers.speaker import Place, Speaker
from dtios_mqtt.vda5050 import faults
from dtios_mqtt.vda5050.describing import CONNECTION, addresses, vehicle_nodes
from dtios_mqtt.vda5050.messages import MisreadError, decode, factsheet_actions, timestamp, usable_errors, whole_state
from dtios_mqtt.vda5050.signals import FACTSHEET, HEADER, NAMESPACE, STATE, read
from dtios_mqtt.vda5050.topics import SENT, VehicleId, filters, parse_topic
from dtios_mqtt.vda5050.vehicle import Vehicle

__all__ = ["Vda5050Speaker"]

_NOT_WRITABLE: Final = status_code("BadNotWritable")
_AWAY: Final = {"OFFLINE": "it has said that it goes offline", "CONNECTIONBROKEN": "its connection to the broker broke"}
_QUESTIONS: Final = 5
_AGAIN: Final = 3.0
"""How often, and after how many seconds, a vehicle is asked for what it has not told."""
_MOST: Final = 1_000
"""Vehicles of one connection; a flood of names is a complaint."""
_VISUAL: Final = tuple(point for point in STATE if point.path.startswith(("agvPosition/", "velocity/")))


class Vda5050Speaker(Speaker):
    """`interfaces` are the first levels of the topics."""

    scheme: ClassVar[str] = "vda"
    namespace: ClassVar[str] = NAMESPACE

    def __init__(self, interfaces: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interfaces = tuple(interfaces)
        self._vehicles: dict[VehicleId, Vehicle] = {}
        self._clock = clock

    # --- life ---

    @property
    def filters(self) -> Sequence[tuple[str, int]]:
        return filters(self._interfaces)

    async def begin(self, place: Place) -> None:
        await super().begin(place)
        for vehicle in self._vehicles.values():
            vehicle.begin()
            self._know(vehicle)
            await self._tell_header(vehicle)

    def lost(self) -> None:
        for vehicle in self._vehicles.values():
            vehicle.begin()
            vehicle.conditions = faults.lost(vehicle.conditions)
        super().lost()

    # --- up ---

    async def take(self, message: Incoming) -> bool:
        parsed = parse_topic(message.topic, self._interfaces)
        if parsed is None:
            return False
        id, kind = parsed
        if kind in SENT:
            return True
        try:
            said = decode(message.payload)
        except MisreadError as error:
            self._complain(f"{id.manufacturer}/{id.serial}", f"{kind}: {error}", message)
            return True
        vehicle = await self._vehicle(id, message)
        if vehicle is not None:
            wrong = await self._take(vehicle, kind, said, message)
            for cause in dict.fromkeys(wrong):
                self._complain(vehicle.name, f"{kind}: {cause}", message)
        return True

    async def _vehicle(self, id: VehicleId, message: Incoming) -> Vehicle | None:
        vehicle = self._vehicles.get(id)
        if vehicle is None:
            if len(self._vehicles) >= _MOST:
                self._complain("", "more vehicles than are kept", message)
                return None
            vehicle = self._vehicles[id] = Vehicle(id)
            self._know(vehicle)
            await self._tell_header(vehicle)
            self.place.learned()
        return vehicle

    async def _take(self, vehicle: Vehicle, kind: str, said: dict[str, Any], message: Incoming) -> list[str]:
        wrong = self._header(vehicle, said)
        at = timestamp(said)
        if at is None:
            wrong.append("timestamp is missing or no ISO 8601")
        source = NO_TIME if at is None else at
        match kind:
            case "connection":
                wrong += await self._connection(vehicle, said, message.received)
            case "state":
                wrong += await self._state(vehicle, said, source, message)
            case "visualization":
                wrong += await self._tell(list(read(_VISUAL, vehicle.id, said, source, partial=True)), message.received)
            case "factsheet":
                wrong += await self._factsheet(vehicle, said, message.received)
        return wrong

    @staticmethod
    def _header(vehicle: Vehicle, said: dict[str, Any]) -> list[str]:
        version = said.get("version")
        if isinstance(version, str) and version.startswith(f"{vehicle.id.major}."):
            vehicle.version = version
        expected = {"manufacturer": vehicle.id.manufacturer, "serialNumber": vehicle.id.serial}
        wrong = [
            f"{name} is another than in the topic" for name, value in expected.items() if said.get(name) not in (None, value)
        ]
        return wrong if isinstance(version, str) else [*wrong, "version is missing"]

    async def _connection(self, vehicle: Vehicle, said: dict[str, Any], received: int) -> list[str]:
        state = said.get("connectionState")
        if state not in ("ONLINE", "OFFLINE", "CONNECTIONBROKEN"):
            return ["connectionState is none of the standard's"]
        was = vehicle.is_online
        vehicle.connection = str(state)
        await self.place.image.tell([(vehicle.id.point(CONNECTION.path), state, 0, NO_TIME)], received)
        if vehicle.is_online:
            if not was:
                vehicle.renew()
                self._present(vehicle, "")
            self._question(vehicle)
        else:
            await self._lose(vehicle, received, _AWAY[str(state)], told=was)
        return []

    async def _state(self, vehicle: Vehicle, said: dict[str, Any], source: int, message: Incoming) -> list[str]:
        if message.retain:
            return ["retained"]  # it may be of any time
        first = vehicle.heard is None and not vehicle.silent
        if not vehicle.connection or vehicle.silent:
            self._present(vehicle, "")
        vehicle.heard, vehicle.asked, vehicle.silent = self._clock(), False, False
        vehicle.received = message.received
        if first and not vehicle.connection:
            self._question(vehicle)
        if vehicle.connection and not vehicle.is_online:
            return ["it says that it is not connected"]
        wrong: list[str] = []
        document = whole_state(said, wrong)
        readings = list(read(STATE, vehicle.id, said, source))
        if document:
            readings.append(((vehicle.id.point("state"), document, 0, source), ""))
        wrong += await self._tell(readings, message.received)
        self._tell_conditions(vehicle, said, message.received)
        return wrong

    async def _factsheet(self, vehicle: Vehicle, said: dict[str, Any], received: int) -> list[str]:
        wrong: list[str] = []
        actions = factsheet_actions(said, wrong)
        told = (vehicle.factsheet, vehicle.actions)
        vehicle.take_factsheet(said, actions)
        wrong += await self._tell(list(read(FACTSHEET, vehicle.id, said, NO_TIME, partial=True)), received)
        if told != (vehicle.factsheet, vehicle.actions):
            self.place.learned()
        return wrong

    async def _tell(self, found: list[tuple[Reading, str]], received: int) -> list[str]:
        await self.place.image.tell([reading for reading, _ in found], received)
        return [wrong for _, wrong in found if wrong]

    def _tell_conditions(self, vehicle: Vehicle, said: dict[str, Any], received: int) -> None:
        now = faults.present(vehicle.id, usable_errors(said, []), said.get("safetyState"), received)
        for condition in faults.changes(vehicle.conditions, now, received):
            self.place.sink.condition(vehicle.id.address, condition)
        vehicle.conditions = now

    def _present(self, vehicle: Vehicle, why_not: str) -> None:
        self.place.sink.presence([vehicle.id.address], why_not)

    async def _lose(self, vehicle: Vehicle, received: int, why: str, *, told: bool) -> None:
        """It is gone: what it said last is not so any more."""
        self._present(vehicle, why)
        gone = addresses(vehicle.id)
        vehicle.heard = None
        await self.place.image.lose(gone, BAD_NO_COMMUNICATION, received)
        if told:
            handles = self.place.image.handles(gone)
            self.place.sink.lost(Loss(GapCause.CONNECTION_LOST, handles, since=vehicle.received or None))
        for condition in (lost := faults.lost(vehicle.conditions)).values():
            self.place.sink.condition(vehicle.id.address, condition)
        vehicle.conditions = lost

    async def tick(self) -> None:
        """A vehicle that says nothing for too long is asked, and then is gone (6.10: a state at least every 30 s)."""
        if self._place is None:
            return
        for vehicle in self._vehicles.values():
            quiet = 0.0 if vehicle.heard is None else self._clock() - vehicle.heard
            if quiet >= vehicle.silence:
                await self._lose(vehicle, time.time_ns(), f"it has not told its state for {quiet:.0f} s", told=True)
                vehicle.silent = True
            elif quiet >= vehicle.silence * 2 / 3 and not vehicle.asked:
                vehicle.asked = True
                self._ask(vehicle, "stateRequest")
            elif vehicle.is_online and vehicle.wants and self._clock() >= vehicle.next_question:
                self._question(vehicle)

    def _question(self, vehicle: Vehicle) -> None:
        """What is not known of it yet. Asked again a few times: many say ONLINE before they listen."""
        if vehicle.questions < _QUESTIONS:
            vehicle.questions += 1
            vehicle.next_question = self._clock() + _AGAIN
            self._ask(vehicle, *vehicle.wants)

    def _ask(self, vehicle: Vehicle, *kinds: str) -> None:
        """Questions, which change nothing. One a message: vehicles stumble over two."""
        for kind in kinds:
            action = {"actionType": kind, "actionId": str(uuid4()), "blockingType": "NONE", "actionParameters": []}
            payload = vehicle.message("instantActions", {"actions": [action]})
            self.place.client.hand_over(Outgoing(vehicle.id.topic("instantActions"), payload, expiry=vehicle.silence))

    def _know(self, vehicle: Vehicle) -> None:
        known = (CONNECTION, *HEADER, *FACTSHEET)
        self.place.image.know([*addresses(vehicle.id), *(vehicle.id.point(point.path) for point in known)])

    async def _tell_header(self, vehicle: Vehicle) -> None:
        header = {"manufacturer": vehicle.id.manufacturer, "serialNumber": vehicle.id.serial, "version": vehicle.version}
        await self._tell(list(read(HEADER, vehicle.id, header, NO_TIME)), time.time_ns())
        await self._tell(list(read(FACTSHEET, vehicle.id, vehicle.factsheet, NO_TIME, partial=True)), time.time_ns())

    def _complain(self, machine: str, cause: str, message: Incoming) -> None:
        self.place.complaints.add(machine, cause, message.topic, message.payload, message.received)

    # --- what is there ---

    def nodes(self) -> Sequence[Node]:
        return vehicle_nodes(self._vehicles.values())

    # --- down ---

    async def write(self, write: Write, last_check: LastCheck) -> int:
        return _NOT_WRITABLE

    async def publish(self, message: Publish, last_check: LastCheck) -> None:
        """`order` and `instantActions` of a vehicle, QoS 0 and never retained (6.1); the header is made here."""
        parsed = parse_topic(message.address.removeprefix("vda:"), self._interfaces)
        if parsed is None or parsed[1] not in SENT:
            raise ConfigurationError("this point takes no messages", where=message.address, mend="describe the machine again")
        vehicle = self._vehicles.get(parsed[0])
        if vehicle is None or not vehicle.is_online:
            where = f"{parsed[0].manufacturer}/{parsed[0].serial}"
            raise TemporaryError("the vehicle is offline", where=where, mend="is it switched on and in the network?")
        try:
            payload = vehicle.completed(parsed[1], message.payload)
        except MisreadError as error:
            raise RefusedError(f"this is no message for a vehicle ({error})", where=message.address) from error
        self.place.client.hand_over(Outgoing(vehicle.id.topic(parsed[1]), payload, expiry=message.expiry), last_check)
