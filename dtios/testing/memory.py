"""A machine in memory, through the same seam as every other adapter (dtios.sdk.adapter): tests of an app take milliseconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import anyio.to_thread
from anyio.abc import TaskStatus

from dtios.mapping.facts import BrowseFacts
from dtios.model.coercion import check
from dtios.model.errors import ConfigurationError, OutcomeUnknown, TemporaryError
from dtios.model.values import DataValue
from dtios.sdk.adapter import (
    LISTEN,
    Adapter,
    Call,
    ConditionCommand,
    Connection,
    ConnectionSettings,
    Endpoint,
    EventFields,
    Fingerprint,
    LastCheck,
    MonitoredPoint,
    Progress,
    Sink,
    Write,
)
from dtios.testing.server import MemoryServer
from dtios.testing.session import Answer, Session

__all__ = ["MemoryAdapter", "MemoryConnection"]


class MemoryAdapter(Adapter):
    """Reaches the servers it was given, at `memory:NAME`."""

    name: ClassVar[str] = "memory"
    schemes: ClassVar[tuple[str, ...]] = ("memory",)
    live: ClassVar[frozenset[str]] = frozenset({"timeout"})
    summary: ClassVar[str] = "Machines in memory, for tests and teaching"

    def __init__(self, *servers: MemoryServer) -> None:
        self._servers = {server.url: server for server in servers}

    def add(self, server: MemoryServer) -> None:
        self._servers[server.url] = server

    def connect(self, url: str, settings: ConnectionSettings, home: Path) -> Connection:
        if not url.startswith("memory:"):
            raise ConfigurationError(f"{url} is no address in memory", where=url, mend="write memory:NAME")
        if url not in self._servers:
            known = ", ".join(sorted(self._servers)) or "none"
            raise ConfigurationError("there is no such machine in memory", where=url, mend=f"take one of these: {known}")
        return MemoryConnection(self._servers[url], settings)

    async def discover(self, hint: str, listen: float = LISTEN, settings: ConnectionSettings | None = None) -> list[Endpoint]:
        return [Endpoint(url, server.name) for url, server in sorted(self._servers.items()) if url.startswith(hint)]


class MemoryConnection(Connection):
    """See `Connection`."""

    def __init__(self, server: MemoryServer, settings: ConnectionSettings) -> None:
        self._server = server
        self._settings = settings
        self._session: Session | None = None

    def reconfigure(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        if self._session is not None:
            self._session.settings = settings

    async def run(self, sink: Sink, *, task_status: TaskStatus[None]) -> NoReturn:
        secret = self._settings.password
        password = None if secret is None else await anyio.to_thread.run_sync(secret.resolve)
        session = self._server.open(self._settings, password)
        try:
            await session.answer()
            self._session = session
            task_status.started()
            await session.serve(sink)
        finally:
            self._session = None
            session.end("it was closed")
            self._server.close(session)

    async def fingerprint(self) -> Fingerprint:
        await self._standing().answer()
        return self._server.fingerprint

    async def browse(self, progress: Progress | None = None) -> BrowseFacts:
        await self._standing().answer()
        facts = self._server.facts()
        if progress is not None:
            progress("browsing", sum(1 for _ in facts.root.walk()), None)
        return facts

    async def subscribe(self, points: Sequence[MonitoredPoint]) -> list[int]:
        return await self._standing().subscribe(points)

    async def unsubscribe(self, handles: Sequence[int]) -> None:
        await self._standing().unsubscribe(handles)

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        await self._standing().answer()
        now = self._server.clock.now()
        return [_received(self._server.reading(address), now) for address in addresses]

    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        session = self._standing()
        values = [check(w.value, w.type, w.address) for w in writes]
        last_check()
        answers = [self._server.receive_write(w.address, v, w.type) for w, v in zip(writes, values, strict=True)]
        for answer, write in zip(answers, writes, strict=True):
            await self._expect(session, answer, write.address, self._settings.timeout)
        return [answer.status for answer in answers]

    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        session = self._standing()
        arguments = [check(value, type, call.method) for value, type in call.arguments]
        last_check()
        answer = self._server.receive_call(call.owner, call.method, arguments)
        await self._expect(session, answer, call.method, call.timeout)
        if answer.error is not None:
            raise answer.error
        return answer.outputs

    async def watch_events(self, wanted: Sequence[EventFields]) -> None:
        await self._standing().watch_events(wanted)

    async def command_condition(self, command: ConditionCommand, last_check: LastCheck) -> None:
        session = self._standing()
        last_check()
        answer = self._server.receive_condition(command)
        await self._expect(session, answer, command.condition, self._settings.timeout)
        if answer.error is not None:
            raise answer.error

    async def _expect(self, session: Session, answer: Answer, address: str, timeout: float | None) -> None:
        if not await session.answered(answer, timeout):
            why = "the connection was lost" if session.ended else "no answer came in time"
            raise OutcomeUnknown(
                f"the command was sent and {why}", where=address, mend="look at the machine before you repeat it"
            )

    def _standing(self) -> Session:
        if self._session is None or self._session.ended:
            raise TemporaryError("there is no session", where=self._server.url, mend="wait until it is connected again")
        return self._session


def _received(reading: DataValue, now: int) -> DataValue:
    return DataValue(reading.value, reading.status, reading.source_time, reading.server_time, now)
