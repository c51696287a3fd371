"""One client of the runtime, whatever carries its messages: under an app's context, and under each command.

    async with open_client(transport, "command") as client:
        for view in await client.machines(): ...

Every call raises the DtiosError tree and nothing else; TemporaryError when the runtime is gone.
"""

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, NamedTuple, TypeVar

import anyio
import msgspec
from anyio.abc import TaskStatus

from dtios.model.errors import DtiosError, RefusedError, TemporaryError, error_of_kind
from dtios.model.job import JobState, JobVerb
from dtios.model.machine import OnOwnerLost
from dtios.model.values import DataValue
from dtios.sdk import protocol as p
from dtios.sdk.codec import pack, pack_value
from dtios.sdk.commissioning import Commissioning, OnProgress
from dtios.sdk.running import JobHandle
from dtios.sdk.streams import DATA_WINDOW, FOLLOW_CAPACITY, LARGEST_WINDOW, Inbox, Subscription
from dtios.sdk.transport import Closed, Transport

__all__ = ["Client", "OnProgress", "Written", "open_client"]

T = TypeVar("T")


class Written(NamedTuple):
    """A write's end: the machine's StatusCode, whether reading back confirmed it, and what was read."""

    status: int
    confirmed: bool
    value: DataValue | None


class _Pending:
    """A request on its way."""

    __slots__ = ("answered", "error", "progress", "result")

    def __init__(self, progress: OnProgress | None) -> None:
        self.answered = anyio.Event()
        self.result: Any = None
        self.error: DtiosError | None = None
        self.progress = progress

    def fail(self, error: DtiosError) -> None:
        self.error = error
        self.answered.set()


class Client(Commissioning):
    """Requests, replies and streams over one transport. Made by `open_client`, which runs its reader."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._pending: dict[int, _Pending] = {}
        self._inboxes: dict[int, Inbox[Any]] = {}
        self._last = 0
        self.welcome = p.Welcome("", 0)
        self.closed: DtiosError | None = None
        """Why nothing can be asked any more."""
        self.stop: p.Stop | None = None
        self.stopping = anyio.Event()
        """Set when the runtime asks this client to end (`stop` says why), and when it is gone."""

    # --- the wire ----------------------------------------------------------------------------------------------------

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read until the other end is gone. It never waits for a consumer."""
        task_status.started()
        gone = TemporaryError("the runtime has gone", mend="start it again and repeat the command")
        try:
            while True:
                self._take(p.RUNTIME_DECODER.decode(await self._transport.receive()))
        except Closed:
            pass
        except msgspec.MsgspecError as error:
            gone = TemporaryError(f"the runtime sent what this version cannot read ({error})", mend="update both to one version")
        finally:
            self._lose(gone)

    def _take(self, message: p.FromRuntime) -> None:
        match message:
            case p.Data() | p.JobChanged() | p.MachineChanged() | p.ConditionChanged() | p.ResultArrived():
                if (inbox := self._inboxes.get(message.stream)) is not None:
                    inbox.put(message)
            case p.StreamEnded(stream, error):
                if (inbox := self._inboxes.get(stream)) is not None:
                    inbox.end(None if error is None else error_of_kind(*error))
            case p.Reply(id, result):
                if (pending := self._pending.get(id)) is not None:
                    pending.result = result
                    pending.answered.set()
            case p.Failure(id, kind, text, where, mend):
                if (pending := self._pending.get(id)) is not None:
                    pending.fail(error_of_kind(kind, text, where, mend))
            case p.Progressed(id, what, done, total):
                if (pending := self._pending.get(id)) is not None and pending.progress is not None:
                    pending.progress(what, done, total)
            case p.Stop():
                self.stop = message
                self.stopping.set()
            case p.Welcome():
                self.welcome = message

    def _gone(self) -> DtiosError:
        """A new error for each who asks: one that was raised before carries somebody else's traceback."""
        error = self.closed or TemporaryError("the runtime has gone")
        return error_of_kind(error.kind, error.message, error.where, error.mend)

    def _lose(self, error: DtiosError) -> None:
        if self.closed is not None:
            return
        self.closed = error
        self.stopping.set()
        for pending in self._pending.values():
            if not pending.answered.is_set():
                pending.fail(error)
        for inbox in self._inboxes.values():
            inbox.end(error)

    async def tell(self, message: p.FromClient) -> None:
        """Send what has no reply."""
        if self.closed is not None:
            raise self._gone()
        try:
            await self._transport.send(pack(message))
        except Closed:
            self._lose(TemporaryError("the runtime has gone", mend="start it again and repeat the command"))
            raise self._gone() from None

    async def request(self, body: p.RequestBody, progress: OnProgress | None = None) -> Any:
        """Ask, and wait for the reply in its plain form. Raises the DtiosError that the runtime answered with."""
        number = self._number()
        pending = self._pending[number] = _Pending(progress)
        try:
            await self.tell(p.Request(number, body))
            await pending.answered.wait()
        except OverflowError:
            raise _too_wide(body) from None
        finally:
            del self._pending[number]
        if pending.error is not None:
            raise pending.error
        return pending.result

    def _number(self) -> int:
        self._last += 1
        return self._last

    @asynccontextmanager
    async def stream(self, inbox: Inbox[T]) -> AsyncIterator[int]:
        """The number under which the runtime may push into `inbox`, until the block ends."""
        number = self._number()
        self._inboxes[number] = inbox
        try:
            yield number
        finally:
            del self._inboxes[number]
            if not inbox.ended and self.closed is None:
                with anyio.move_on_after(1, shield=True), _gone_is_fine():
                    await self.tell(p.Close(number))

    # --- machines and values -----------------------------------------------------------------------------------------

    async def open(
        self,
        url: str,
        settings: Mapping[str, Any] | None = None,
        progress: OnProgress | None = None,
        profiles: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """Connect to a URL for as long as this client lives; the names of the machines behind it, described. `profiles` are
        (file name, text)."""
        return await self._ask_for(list[str], p.Open(url, dict(settings or {}), list(profiles)), progress)

    async def machines(self, capability: str | None = None, properties: Mapping[str, Any] | None = None) -> list[p.MachineView]:
        return await self._ask_for(list[p.MachineView], p.Machines(capability, dict(properties or {})))

    async def describe(self, machine: str) -> p.MachineView:
        return await self._ask_for(p.MachineView, p.Describe(machine))

    async def read(self, machine: str, signals: Sequence[str] = ()) -> list[tuple[str, DataValue]]:
        """Read now, from the machine; without signals all readable ones."""
        return [(path, value) for path, value in await self.request(p.Read(machine, list(signals)))]

    @asynccontextmanager
    async def subscribe(
        self,
        machine: str,
        signals: Sequence[str],
        policy: p.Policy = "block",
        capacity: int = 10_000,
        name: str = "",
        window: int = DATA_WINDOW,
    ) -> AsyncIterator[Subscription]:
        """Deliveries of these signals (paths or patterns), the present values first. `capacity` counts values. With a `name` it
        is the same consumer whenever it comes back, and told by Gaps what it missed. `window`: so many may be unacknowledged."""
        window = max(1, min(window, LARGEST_WINDOW))
        inbox: Inbox[p.Data] = Inbox(window + 1, lossy=False)
        async with self.stream(inbox) as number:
            rows = await self.request(p.Subscribe(number, machine, list(signals), policy, capacity, name, window))

            async def acknowledge(data: int) -> None:
                await self.tell(p.Ack(number, data))

            yield Subscription(machine, dict(rows), inbox, acknowledge)

    async def write(
        self,
        machine: str,
        signal: str,
        value: object,
        *,
        command: str | None = None,
        deadline: float | None = None,
        lease: int | None = None,
    ) -> Written:
        """Write a value in canonical units. `deadline` in seconds from now. RefusedError when the gate or machine says no."""
        body = p.Write(machine, signal, pack_value(value), command or _new_id(), deadline, lease)
        status, confirmed, read_back = await self.request(body)
        return Written(status, confirmed, read_back)

    @asynccontextmanager
    async def follow_machines(
        self, capability: str | None = None, properties: Mapping[str, Any] | None = None
    ) -> AsyncIterator[AsyncIterator[p.MachineChanged]]:
        """Machines as they come, change and go; those present first. A slow consumer sees each machine's latest state."""
        inbox: Inbox[p.MachineChanged] = Inbox(FOLLOW_CAPACITY, key=lambda change: change.view.machine.name)
        async with self.stream(inbox) as number:
            await self.request(p.FollowMachines(number, capability, dict(properties or {})))
            yield inbox

    @asynccontextmanager
    async def follow_conditions(self, machine: str | None = None) -> AsyncIterator[AsyncIterator[p.ConditionChanged]]:
        inbox: Inbox[p.ConditionChanged] = Inbox(FOLLOW_CAPACITY, key=lambda change: str(change.condition.get("condition")))
        async with self.stream(inbox) as number:
            await self.request(p.FollowConditions(number, machine))
            yield inbox

    # --- jobs --------------------------------------------------------------------------------------------------------

    async def start(
        self,
        machine: str,
        skill: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        job: str | None = None,
        command: str | None = None,
        deadline: float | None = None,
        lease: int | None = None,
        on_owner_lost: OnOwnerLost | None = None,
    ) -> JobHandle:
        """Start a job. The same `job` with the same parameters is the same job, with others it is refused."""
        packed = {name: pack_value(value) for name, value in (parameters or {}).items()}
        body = p.StartJob(machine, skill, packed, job or _new_id(), command or _new_id(), deadline, lease, on_owner_lost)
        return JobHandle(self, await self._ask_for(p.JobView, body))

    async def job(self, job: str, machine: str | None = None) -> JobHandle:
        """A job that was started before, by whomever."""
        return JobHandle(self, (await self.show_job(job, machine)).view)

    async def command_job(
        self,
        machine: str,
        job: str,
        verb: JobVerb,
        parameters: Mapping[str, Any] | None = None,
        *,
        command: str | None = None,
        deadline: float | None = None,
        lease: int | None = None,
    ) -> p.JobView:
        """Pause, resume, stop, abort, cancel or update a job; returns when the machine has accepted."""
        packed = {name: pack_value(value) for name, value in (parameters or {}).items()}
        return await self._ask_for(p.JobView, p.CommandJob(machine, job, verb, command or _new_id(), packed, deadline, lease))

    @asynccontextmanager
    async def follow_job(self, machine: str, job: str) -> AsyncIterator[AsyncIterator[p.JobChanged]]:
        """The states of one job: the present one first, the final one last."""
        inbox: Inbox[p.JobChanged] = Inbox(FOLLOW_CAPACITY)
        async with self.stream(inbox) as number:
            await self.request(p.FollowJob(number, machine, job))
            yield inbox

    @asynccontextmanager
    async def follow_jobs(self, machine: str | None = None) -> AsyncIterator[AsyncIterator[p.JobChanged]]:
        """Every change of every job that may be seen. A slow consumer loses intermediate states, never the latest."""
        inbox: Inbox[p.JobChanged] = Inbox(FOLLOW_CAPACITY, key=lambda change: (change.view.machine, change.view.job))
        async with self.stream(inbox) as number:
            await self.request(p.FollowJobs(number, machine))
            yield inbox

    async def jobs(self, machine: str | None = None, *, open_only: bool = False) -> list[p.JobView]:
        return await self._ask_for(list[p.JobView], p.Jobs(machine, open_only))

    async def show_job(self, job: str, machine: str | None = None) -> p.JobRecord:
        return await self._ask_for(p.JobRecord, p.ShowJob(job, machine))

    async def resolve_job(self, job: str, state: JobState, reason: str, machine: str | None = None) -> p.JobView:
        """A person says how an Unknown job ended."""
        return await self._ask_for(p.JobView, p.ResolveJob(job, state, reason, machine))

    # --- store, people, commissioning, the runtime itself ---------------------------------------------------------------

    async def note_refusal(self, machine: str, action: str, target: str, reason: str) -> None:
        """In the audit when it returns, in the name of who calls."""
        await self.request(p.NoteRefusal(machine, action, target, reason))

    async def put(self, key: str, value: object) -> None:
        """Committed when it returns. None deletes."""
        await self.request(p.StorePut(key, pack_value(value)))

    async def get(self, key: str) -> Any:
        return await self.request(p.StoreGet(key))

    async def keys(self, prefix: str = "") -> list[str]:
        return await self._ask_for(list[str], p.StoreKeys(prefix))

    async def ask(self, text: str, choices: Sequence[str] = ()) -> str:
        """Ask a person; returns with the answer."""
        return await self._ask_for(str, p.Ask(text, list(choices)))

    async def questions(self) -> list[p.Question]:
        return await self._ask_for(list[p.Question], p.Questions())

    async def answer(self, id: int, answer: str) -> None:
        await self.request(p.AnswerQuestion(id, answer))

    async def apps(self) -> list[p.AppView]:
        return await self._ask_for(list[p.AppView], p.Apps())

    async def ledger(self, machine: str | None = None) -> list[p.LedgerView]:
        return await self._ask_for(list[p.LedgerView], p.Ledger(machine))

    async def broker(self) -> p.BrokerView | None:
        """The embedded one, where there is one."""
        found = await self._ask_for(list[p.BrokerView], p.Broker())
        return found[0] if found else None

    async def complaints(self, machine: str | None = None) -> list[p.ComplaintView]:
        """What came from a machine, or from anywhere, and was not understood."""
        return await self._ask_for(list[p.ComplaintView], p.Complaints(machine))

    async def counters(self, machine: str | None = None) -> list[tuple[str, str, str, int, int, int, int, int]]:
        """(consumer, machine, signal, received, delivered, conflated, dropped, pending), promise 1's figures."""
        return await self._ask_for(list[tuple[str, str, str, int, int, int, int, int]], p.Counters(machine))


def _too_wide(body: p.RequestBody) -> RefusedError:
    """No data type holds such a number, and neither does a message."""
    where = " ".join(getattr(body, name) for name in ("machine", "signal", "skill") if hasattr(body, name))
    return RefusedError("a whole number goes beyond 64 bits", where=where, mend="give one that its data type can hold")


def _new_id() -> str:
    return str(uuid.uuid4())


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except TemporaryError:
        return


@asynccontextmanager
async def open_client(transport: Transport, role: Literal["app", "command"]) -> AsyncIterator[Client]:
    """Greet the runtime and hand out a Client; closes the transport at the end. Errors of the body come out as they are."""
    try:
        async with anyio.create_task_group() as tasks:
            client = Client(transport)
            try:
                await tasks.start(client.serve, name="client: reader")
                client.welcome = msgspec.convert(await client.request(p.Hello(role)), p.Welcome)
                yield client
            finally:
                with anyio.CancelScope(shield=True):
                    await transport.aclose()
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        # The reader raises nothing of its own: a single exception is the body's.
        raise group.exceptions[0] from group.exceptions[0].__cause__
