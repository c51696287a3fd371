"""The side of the plant."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from dtios_cell.control.asking import ask, job_form
from dtios_cell.control.outbox import Outbox
from dtios_cell.plant.cell import Plant
from dtios_cell.plant.faults import Fault, Kind, Reading
from dtios_cell.plant.station import Refused, Station
from dtios_cell.plant.worker import Worker

__all__ = ["CellServer"]

_GONE: Final = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)
_LINE: Final = 1_000_000
"""Bytes of the longest line that is taken."""


class CellServer:
    """`sequence` counts all that was told to those who follow. In lock-step `advance` is asked for; else a pacer moves time."""

    def __init__(self, plant: Plant, *, lock_step: bool = False) -> None:
        self.plant = plant
        self.lock_step = lock_step
        self.sequence = 0
        self.over = anyio.Event()
        self._clients: set[_Served] = set()
        self._acknowledged = anyio.Event()
        for station in plant.stations.values():
            station.heard.append(lambda reading, name=station.name: self._reading(name, reading))  # type: ignore[misc]
            station.hurt.append(lambda fault, broken, name=station.name: self._fault(name, fault, broken))  # type: ignore[misc]
            if isinstance(station, Worker):
                station.changed.append(lambda job, name=station.name: self._tell(name, "job", job_form(job)))  # type: ignore[misc]

    async def run(self, port: int = 0, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve on 127.0.0.1 until cancelled; ready with the port."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener:
            task_status.started(listener.extra(SocketAttribute.local_port))
            await listener.serve(self._serve)

    async def _serve(self, stream: SocketStream) -> None:
        client = _Served(self, stream)
        self._clients.add(client)
        try:
            async with stream:
                await client.run()
        finally:
            self._clients.discard(client)
            self._wake()

    # --- what is told ---

    def _reading(self, station: str, one: Reading) -> None:
        self._tell(station, "reading", {"time": one.time, "path": one.path, "value": one.value})

    def _fault(self, station: str, fault: Fault, broken: bool) -> None:
        self._tell(station, "fault", {**asdict(fault), "broken": broken})

    def _tell(self, station: str, what: str, form: dict[str, Any]) -> None:
        self.sequence += 1
        line: bytes | None = None
        for client in self._clients:
            if client.follows(station):
                line = line or _line({what: {"station": station, **form}, "sequence": self.sequence})
                client.outbox.put(line)
                client.told = self.sequence

    # --- lock-step ---

    def _wake(self) -> None:
        event, self._acknowledged = self._acknowledged, anyio.Event()
        event.set()

    def acknowledged(self) -> None:
        self._wake()

    async def settled(self) -> int:
        """When each client that acknowledges has acknowledged all it was told. The sequence number."""
        while any(client.behind for client in self._clients):
            await self._acknowledged.wait()
        return self.sequence

    # --- what is asked ---

    def station(self, name: object) -> Station:
        if name not in self.plant.stations:
            raise Refused(f"there is no station {name}; there are {', '.join(self.plant.stations)}")
        return self.plant.stations[str(name)]


class _Served:
    """One client."""

    def __init__(self, server: CellServer, stream: SocketStream) -> None:
        self.outbox = Outbox()
        self.told = 0
        self._server = server
        self._stream = stream
        self._followed: set[str] | None = set()
        self._handled: int | None = None
        self._verbs: Mapping[str, Callable[[dict[str, Any]], Any]] = {
            "stations": self._stations,
            "follow": self._follow,
            "ask": self._ask,
            "inject": self._inject,
            "clear": self._clear,
            "time": lambda _: {"now": server.plant.timeline.now, "sequence": server.sequence, "lock_step": server.lock_step},
            "truth": self._truth,
            "advance": self._advance,
            "handled": self._have_handled,
            "end": lambda _: server.over.set(),
        }

    def follows(self, station: str) -> bool:
        return self._followed is None or station in self._followed

    @property
    def behind(self) -> bool:
        return self._handled is not None and self._handled < self.told

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send, name="cell control: answers")
            received = BufferedByteReceiveStream(self._stream)
            try:
                while True:
                    line = await received.receive_until(b"\n", _LINE)
                    if b'"settled"' in line:
                        # It waits, maybe for what this very client says next.
                        tasks.start_soon(self._heard, line, name="cell control: settled")
                    else:
                        await self._heard(line)
            except (*_GONE, anyio.DelimiterNotFound):
                tasks.cancel_scope.cancel()

    async def _send(self) -> None:
        try:
            while not self.outbox.overflown:
                await self._stream.send(await self.outbox.take())
        except _GONE:
            return
        await self._stream.aclose()

    async def _heard(self, line: bytes) -> None:
        try:
            form = json.loads(line)
            number, verb = form["id"], form["do"]
        except (ValueError, KeyError, TypeError):
            self.outbox.put(_line({"id": None, "refused": "a line is an object with id and do"}))
            return
        try:
            result = await self._done(verb, form)
        except (Refused, ValueError, TypeError, KeyError) as why:
            said = str(why) if isinstance(why, Refused) else f"{verb}: {type(why).__name__}: {why}"
            self.outbox.put(_line({"id": number, "refused": said}))
        else:
            self.outbox.put(_line({"id": number, "result": result}))

    async def _done(self, verb: str, form: dict[str, Any]) -> Any:
        if verb == "settled":
            return {"sequence": await self._server.settled()}
        if verb not in self._verbs:
            raise Refused(f"there is no {verb}; there are {', '.join(sorted({*self._verbs, 'settled'}))}")
        return self._verbs[verb](form)

    # --- verbs ---

    def _stations(self, _: dict[str, Any]) -> Any:
        return [
            {
                "name": one.name,
                "kind": one.kind,
                "verbs": sorted(one.verbs),
                "breaks": sorted(one.breaks),
                "levers": sorted(one.levers),
                "watts": one.power.watts,
                "joules": one.power.joules,
                "image": {path: {"time": r.time, "value": r.value} for path, r in one.image.items()},
            }
            for one in self._server.plant.stations.values()
        ]

    def _follow(self, form: dict[str, Any]) -> Any:
        """From now on; with what is so now."""
        name = form.get("station")
        if name is None:
            self._followed = None
            return self._stations({})
        station = self._server.station(name)
        if self._followed is not None:
            self._followed.add(station.name)
        return [one for one in self._stations({}) if one["name"] == station.name]

    def _ask(self, form: dict[str, Any]) -> Any:
        return ask(self._server.station(form.get("station")), str(form.get("verb")), form.get("with") or {})

    def _inject(self, form: dict[str, Any]) -> Any:
        kind = str(form.get("fault"))
        if kind not in set(Kind):
            raise Refused(f"there is no fault {kind}; there are {', '.join(sorted(Kind))}")
        given = {key: form[key] for key in ("at", "signal", "value", "seconds") if form.get(key) is not None}
        self._server.plant.inject(self._server.station(form.get("station")).name, Kind(kind), **given)
        return None

    def _clear(self, form: dict[str, Any]) -> Any:
        station, kind = self._server.station(form.get("station")), form.get("fault")
        mended = [one for one in station.faults if kind in (None, one.kind.value)]
        for one in mended:
            station.clear(one)
        return len(mended)

    def _truth(self, form: dict[str, Any]) -> Any:
        since, most = int(form.get("since", 0)), int(form.get("most", 1000))
        return [asdict(one) for one in self._server.plant.truth.entries[since : since + most]]

    def _have_handled(self, form: dict[str, Any]) -> Any:
        """Up to this sequence number; from the first time on, `settled` waits for this client."""
        self._handled = int(form["sequence"])
        self._server.acknowledged()

    def _advance(self, form: dict[str, Any]) -> Any:
        if not self._server.lock_step:
            raise Refused("this cell runs by itself; start it with --lock-step to move its time")
        self._server.plant.advance(int(form["until"]))
        return {"now": self._server.plant.timeline.now, "sequence": self._server.sequence}


def _line(form: dict[str, Any]) -> bytes:
    return json.dumps(form, separators=(",", ":")).encode() + b"\n"
