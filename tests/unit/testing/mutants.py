"""Faulty adapters of a machine in memory, one for each rule of the conformance suite: what each gets wrong is its name."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anyio
import anyio.lowlevel

from dtios.mapping.facts import BrowseFacts, Node
from dtios.model.batch import Batch
from dtios.model.condition import Condition
from dtios.model.errors import ConfigurationError, CredentialsError, OutcomeUnknown, RefusedError, TemporaryError
from dtios.model.event import Event
from dtios.model.machine import Access
from dtios.model.status import OVERFLOW, is_bad
from dtios.model.values import DataValue
from dtios.sdk.adapter import (
    Call,
    ConditionCommand,
    Connection,
    ConnectionSettings,
    Fingerprint,
    LastCheck,
    MonitoredPoint,
    Progress,
    Sink,
    Write,
)
from dtios.sdk.secrets import Secret
from dtios.testing import MemoryAdapter
from dtios.testing.memory import MemoryConnection

__all__ = ["LIVE_MUTANTS", "MUTANTS", "Faulty"]


class Faulty(MemoryAdapter):
    """Gives connections of this kind."""

    def __init__(self, kind: type[MemoryConnection], *servers: Any) -> None:
        super().__init__(*servers)
        self._kind = kind

    def connect(self, url: str, settings: ConnectionSettings, home: Path) -> Connection:
        if self._kind is TakesAnyAddress:
            url = next(iter(self._servers))
        super().connect(url, settings, home)
        return self._kind(self._servers[url], settings)


class Between:
    """A sink that hands on; a faulty one changes what it hands on."""

    def __init__(self, sink: Sink, connection: MemoryConnection) -> None:
        self._sink = sink
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def changed_batch(self, batch: Batch) -> Batch | None:
        return batch

    async def deliver(self, batch: Batch) -> None:
        changed = self.changed_batch(batch)
        if changed is not None and len(changed):
            await self._sink.deliver(changed)


def with_columns(batch: Batch, **columns: Any) -> Batch:
    """The same batch with other values, statuses or receive time."""
    made = batch.select(list(range(len(batch))))
    for name, column in columns.items():
        setattr(made, name, column)
    return made


class Through(MemoryConnection):
    """A connection with a sink of its own in between."""

    between: ClassVar[type[Between]] = Between

    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        await super().run(self.between(sink, self), task_status=task_status)


def delivering(**methods: Any) -> type[MemoryConnection]:
    """A connection whose sink has these methods."""
    return type("Delivering", (Through,), {"between": type("FaultyBetween", (Between,), methods)})


# --- browse ---------------------------------------------------------------------------------------------------------------


class Browsing(MemoryConnection):
    """Changes what it browsed. `sessions`: which session of all of this server it is; `browses` of this session."""

    browses = 0
    sessions = 0

    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        self.sessions = self._server.opened + 1
        await super().run(sink, task_status=task_status)

    async def browse(self, progress: Progress | None = None) -> BrowseFacts:
        facts = await super().browse(progress)
        self.browses += 1
        for node in facts.root.walk():
            self.change(node)
        return facts

    def change(self, node: Node) -> None:
        raise NotImplementedError


class ForgetsTypes(Browsing):
    def change(self, node: Node) -> None:
        if node.name.name == "Double":
            node.type = None


class FindsOtherwiseTheSecondTime(Browsing):
    def change(self, node: Node) -> None:
        if node.name.name == "Double" and self.browses % 2:
            node.access = Access.READ


class FindsOtherwiseInAnotherSession(Browsing):
    def change(self, node: Node) -> None:
        if node.name.name == "Double" and self.sessions % 2:
            node.types = ()


class AnotherFingerprintEachTime(MemoryConnection):
    asked = 0

    async def fingerprint(self) -> Fingerprint:
        self.asked += 1
        return Fingerprint((await super().fingerprint()).model, str(self.asked))


class ForgetsArguments(Browsing):
    def change(self, node: Node) -> None:
        node.inputs = ()


# --- values ---------------------------------------------------------------------------------------------------------------


class Reading(MemoryConnection):
    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        return [self.changed(one) for one in await super().read(addresses)]

    def changed(self, reading: DataValue) -> DataValue:
        raise NotImplementedError


class ReadsWholeNumbersAsFloats(Reading):
    def changed(self, reading: DataValue) -> DataValue:
        value = reading.value
        return replace_value(reading, float(value) if type(value) is int else value)


class CutsLongTexts(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        cut = [replace_write(w, w.value[:255]) if isinstance(w.value, str) else w for w in writes]
        return await super().write(cut, last_check)


class ShowsTheLastGoodValue(Reading):
    def changed(self, reading: DataValue) -> DataValue:
        return replace_value(reading, 0.0 if is_bad(reading.status) else reading.value)


class TakesReceiptForSourceTime(Reading):
    def changed(self, reading: DataValue) -> DataValue:
        return DataValue(reading.value, reading.status, reading.receive_time, reading.server_time, reading.receive_time)


class RaisesForUnknownPoints(MemoryConnection):
    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        readings = await super().read(addresses)
        if any(is_bad(one.status) for one in readings):
            raise TemporaryError("a point could not be read", mend="none")
        return readings


class TakesUncertainForGood(Reading):
    def changed(self, reading: DataValue) -> DataValue:
        status = reading.status if is_bad(reading.status) else 0
        return DataValue(reading.value, status, reading.source_time, reading.server_time, reading.receive_time)


def floats(_: Between, batch: Batch) -> Batch:
    return with_columns(batch, values=[float(v) if type(v) is int else v for v in batch.values])


class ReadsEverythingAsText(Reading):
    def changed(self, reading: DataValue) -> DataValue:
        return replace_value(reading, str(reading.value))


class GivesUpWhenItIsSlow(MemoryConnection):
    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        if self._server.latency:
            raise TemporaryError("it is too slow", mend="none")
        return await super().read(addresses)


def replace_value(reading: DataValue, value: Any) -> DataValue:
    return DataValue(value, reading.status, reading.source_time, reading.server_time, reading.receive_time)


def replace_write(write: Write, value: Any) -> Write:
    return Write(write.address, value, write.type)


# --- subscriptions ----------------------------------------------------------------------------------------------------------


def without_the_first(self: Any, batch: Batch) -> Batch:
    seen = self.__dict__.setdefault("seen", set())
    rows = [row for row, handle in enumerate(batch.handles) if handle in seen]
    seen.update(batch.handles)
    return batch.select(rows)


def backwards(_: Between, batch: Batch) -> Batch:
    return batch.select(list(range(len(batch)))[::-1])


class WithoutBackPressure(Through):
    tasks: ClassVar[set[Any]] = set()

    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        try:
            await super().run(sink, task_status=task_status)
        finally:
            for task in self.tasks:
                task.cancel()

    class between(Between):
        async def deliver(self, batch: Batch) -> None:
            task = asyncio.create_task(self._sink.deliver(batch))
            WithoutBackPressure.tasks.add(task)
            task.add_done_callback(WithoutBackPressure.tasks.discard)
            await anyio.lowlevel.checkpoint()


class NeverUnsubscribes(MemoryConnection):
    async def unsubscribe(self, handles: Sequence[int]) -> None:
        return None


class OneHandleForEachPoint(MemoryConnection):
    async def subscribe(self, points: Sequence[MonitoredPoint]) -> list[int]:
        await super().subscribe(list({point.address: point for point in points}.values()))
        return [0] * len(points)


def without_overflow(_: Between, batch: Batch) -> Batch:
    return with_columns(batch, statuses=[status & ~OVERFLOW for status in batch.statuses])


# --- commands ---------------------------------------------------------------------------------------------------------------


class ChecksAfterTheWrite(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        statuses = await super().write(writes, lambda: None)
        last_check()
        return statuses


class WaitsAfterTheLastCheck(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        last_check()
        await anyio.sleep(0.05)
        return await super().write(writes, lambda: None)


class SaysGoodToEveryWrite(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        return [0 for _ in await super().write(writes, last_check)]


class MakesValuesFit(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        made = [replace_write(w, int(w.value or 0) % 256) if w.type.builtin.name == "Byte" else w for w in writes]
        return await super().write(made, last_check)


class DoesOneThingAtATime(MemoryConnection):
    busy = False

    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        if self.busy:
            raise TemporaryError("something else is under way", mend="none")
        self.busy = True
        await anyio.sleep(0.01)
        self.busy = False
        return await super().write(writes, last_check)


class RepeatsUnansweredWrites(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        try:
            return await super().write(writes, last_check)
        except OutcomeUnknown:
            return await super().write(writes, last_check)


class TakesNoAnswerForGood(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        try:
            return await super().write(writes, last_check)
        except OutcomeUnknown:
            return [0] * len(writes)


class ChecksAfterTheCall(MemoryConnection):
    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        outputs = await super().call(call, lambda: None)
        last_check()
        return outputs


class LosesOutputs(MemoryConnection):
    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        await super().call(call, last_check)
        return []


class TakesRefusalForAnAnswer(MemoryConnection):
    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        try:
            return await super().call(call, last_check)
        except RefusedError:
            return []


class TakesACallInFlightForFailed(MemoryConnection):
    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        try:
            return await super().call(call, last_check)
        except OutcomeUnknown as error:
            raise TemporaryError("the connection was lost", mend="none") from error


class CallsTwice(MemoryConnection):
    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        await super().call(call, last_check)
        return await super().call(call, last_check)


class CallsAgainAfterALoss(MemoryConnection):
    async def call(self, call: Call, last_check: LastCheck) -> list[Any]:
        try:
            return await super().call(call, last_check)
        except OutcomeUnknown:
            with anyio.fail_after(5):
                while self._session is None or self._session.ended:
                    await anyio.sleep(0.01)
            return await super().call(call, last_check)


# --- connections ------------------------------------------------------------------------------------------------------------


class NeverNoticesALoss(MemoryConnection):
    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        try:
            await super().run(sink, task_status=task_status)
        except TemporaryError:
            await anyio.sleep_forever()


class Waiting(MemoryConnection):
    """With settings of its own."""

    own: ClassVar[dict[str, Any]] = {}

    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        self._settings = self._settings.model_copy(update=self.own)
        await super().run(sink, task_status=task_status)


class IgnoresSilence(Waiting):
    own: ClassVar = {"keep_alive": 1000.0}


class IgnoresTheTimeOut(Waiting):
    own: ClassVar = {"timeout": 1000.0}


class BlamesTheConfiguration(MemoryConnection):
    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        try:
            await super().run(sink, task_status=task_status)
        except TemporaryError as error:
            raise ConfigurationError("it is not there", mend="none") from error


class LeavesASession(MemoryConnection):
    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        try:
            await super().run(sink, task_status=task_status)
        finally:
            self._server.open(self._settings)


class ServesOneSession(MemoryConnection):
    used = False

    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        if self.used:
            raise TemporaryError("it was used before", mend="none")
        self.used = True
        await super().run(sink, task_status=task_status)


class TakesAnyAddress(MemoryConnection):
    """See `Faulty`."""


class LeavesAHalfOpenSession(MemoryConnection):
    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        self._server.open(self._settings)
        await super().run(sink, task_status=task_status)


class ShowsThePassword(MemoryConnection):
    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        try:
            await super().run(sink, task_status=task_status)
        except CredentialsError as error:
            assert self._settings.password is not None
            raise CredentialsError(f"{self._settings.password.resolve()} is wrong", mend="none") from error


class KeepsTheFirstPassword(MemoryConnection):
    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        secret = self._settings.password
        assert secret is not None
        self._settings = self._settings.model_copy(update={"password": Secret.typed(secret.resolve())})
        await super().run(sink, task_status=task_status)


# --- faults -----------------------------------------------------------------------------------------------------------------


def half_when_slow(self: Any, batch: Batch) -> Batch:
    return batch.select(list(range(0, len(batch), 2))) if self.connection._server.latency else batch


def receipt_by_the_machine(_: Between, batch: Batch) -> Batch:
    return with_columns(batch, receive_time=batch.source_times[0])


class WaitsForeverForAnAnswer(MemoryConnection):
    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        self._settings = self._settings.model_copy(update={"timeout": 1000.0})
        return await super().write(writes, last_check)


def the_clock_is_right(self: Any, offset: int, error: int) -> None:
    self._sink.clock(0, error)


class RemembersWhatIsGone(MemoryConnection):
    """And shows what it had."""

    had: ClassVar[dict[str, DataValue]] = {}

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        readings = await super().read(addresses)
        for address in addresses:
            good = self._server.get(address)
            self.had[address] = DataValue(good, 0)
        return [self.had[a] if is_bad(r.status) else r for a, r in zip(addresses, readings, strict=True)]


class NeverTakesAPointBack(MemoryConnection):
    gone: bool = False

    async def run(self, sink: Sink, *, task_status: Any) -> Any:
        outer = self

        class Watching(Between):
            def changed(self) -> None:
                outer.gone = True
                self._sink.changed()

        await super().run(Watching(sink, self), task_status=task_status)

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        readings = await super().read(addresses)
        return [DataValue(None, 0x80340000) for _ in readings] if self.gone else readings


def nothing(*_: Any) -> None:
    return None


# --- events -----------------------------------------------------------------------------------------------------------------


async def twice(self: Any, event: Event) -> None:
    await self._sink.event(event)
    await self._sink.event(event)


def only_new_ones(self: Any, source: str, condition: Condition) -> None:
    """Not those that were there before."""
    if self.__dict__.get("refreshed"):
        self._sink.condition(source, condition)


def refreshed(self: Any) -> None:
    self.__dict__["refreshed"] = True
    self._sink.conditions_refreshed()


class AcknowledgesTwice(MemoryConnection):
    async def command_condition(self, command: ConditionCommand, last_check: LastCheck) -> None:
        await super().command_condition(command, last_check)
        await super().command_condition(command, last_check)


class ChecksAfterTheAcknowledgement(MemoryConnection):
    async def command_condition(self, command: ConditionCommand, last_check: LastCheck) -> None:
        await super().command_condition(command, lambda: None)
        last_check()


class TellsWhatIsOver(Through):
    class between(Between):
        def condition(self, source: str, condition: Condition) -> None:
            told = self.connection._server.__dict__.setdefault("told", [])
            told.append((source, condition))
            self._sink.condition(source, condition)

        def conditions_refreshed(self) -> None:
            for source, condition in self.connection._server.__dict__.get("told", []):
                self._sink.condition(source, condition)
            self._sink.conditions_refreshed()


MUTANTS: Mapping[str, type[MemoryConnection]] = {
    "BRO-1": ForgetsTypes,
    "BRO-2": FindsOtherwiseTheSecondTime,
    "BRO-3": FindsOtherwiseInAnotherSession,
    "BRO-4": AnotherFingerprintEachTime,
    "BRO-5": ForgetsArguments,
    "VAL-1": ReadsWholeNumbersAsFloats,
    "VAL-2": CutsLongTexts,
    "VAL-3": ShowsTheLastGoodValue,
    "VAL-4": TakesReceiptForSourceTime,
    "VAL-5": RaisesForUnknownPoints,
    "VAL-6": TakesUncertainForGood,
    "VAL-7": delivering(changed_batch=floats),
    "SUB-1": delivering(changed_batch=without_the_first),
    "SUB-2": delivering(changed_batch=backwards),
    "SUB-3": WithoutBackPressure,
    "SUB-4": NeverUnsubscribes,
    "SUB-5": OneHandleForEachPoint,
    "SUB-6": delivering(changed_batch=without_overflow),
    "CMD-1": ChecksAfterTheWrite,
    "CMD-2": WaitsAfterTheLastCheck,
    "CMD-3": SaysGoodToEveryWrite,
    "CMD-4": MakesValuesFit,
    "CMD-5": DoesOneThingAtATime,
    "CMD-6": RepeatsUnansweredWrites,
    "CMD-7": TakesNoAnswerForGood,
    "CAL-1": ChecksAfterTheCall,
    "CAL-2": LosesOutputs,
    "CAL-3": TakesRefusalForAnAnswer,
    "CAL-4": TakesACallInFlightForFailed,
    "CON-1": NeverNoticesALoss,
    "CON-2": IgnoresSilence,
    "CON-3": BlamesTheConfiguration,
    "CON-4": LeavesASession,
    "CON-5": ServesOneSession,
    "CON-6": TakesAnyAddress,
    "CON-7": IgnoresTheTimeOut,
    "CON-8": LeavesAHalfOpenSession,
    "CRE-1": ShowsThePassword,
    "CRE-2": KeepsTheFirstPassword,
    "FLT-1": FindsOtherwiseInAnotherSession,
    "FLT-2": IgnoresSilence,
    "FLT-3": IgnoresSilence,
    "FLT-4": IgnoresSilence,
    "FLT-5": delivering(changed_batch=half_when_slow),
    "FLT-6": WaitsForeverForAnAnswer,
    "FLT-7": delivering(changed_batch=receipt_by_the_machine),
    "FLT-8": delivering(clock=the_clock_is_right),
    "CHG-1": RemembersWhatIsGone,
    "CHG-2": NeverTakesAPointBack,
    "CHG-3": delivering(changed=nothing),
    "JOB-1": CallsTwice,
    "JOB-2": CallsAgainAfterALoss,
    "EVT-1": delivering(event=twice),
    "EVT-2": delivering(condition=only_new_ones, conditions_refreshed=refreshed),
    "EVT-3": AcknowledgesTwice,
    "EVT-4": ChecksAfterTheAcknowledgement,
    "EVT-5": TellsWhatIsOver,
}
"""By the rule that catches it."""

LIVE_MUTANTS: Mapping[str, type[MemoryConnection]] = {
    "LIV-1": FindsOtherwiseTheSecondTime,
    "LIV-2": ReadsEverythingAsText,
    "LIV-3": RaisesForUnknownPoints,
    "LIV-4": delivering(changed_batch=without_the_first),
    "LIV-5": FindsOtherwiseInAnotherSession,
    "LIV-6": ServesOneSession,
    "LIV-7": NeverNoticesALoss,
    "LIV-8": IgnoresSilence,
    "LIV-9": IgnoresSilence,
    "LIV-10": GivesUpWhenItIsSlow,
}
