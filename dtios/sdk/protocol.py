"""What the runtime and its clients (apps, commands) say to each other, whatever carries it.

A client sends `Request(id, body)` and gets `Reply(id, result)` or `Failure(id, ...)`, with `Progressed` in between where it
takes long. A request with a `stream` opens a stream under a number that the client chose; the runtime then pushes to it until
`Close(stream)` or `StreamEnded`. The principal is never in a message: the runtime knows it from the transport.

Values in messages (readings, parameters, results) are packed with `dtios.sdk.codec`; a `result` is the plain form of the type
that the request's comment names, to be read with `msgspec.convert`.
"""

from typing import Any, Final, Literal

import msgspec

from dtios.model.condition import ConditionVerb
from dtios.model.gap import Gap
from dtios.model.job import JobOutcome, JobState, JobSubstate, JobVerb
from dtios.model.machine import Machine, OnOwnerLost
from dtios.sdk.codec import unpack_value

__all__ = [
    "CLIENT_DECODER",
    "RUNTIME_DECODER",
    "Ack",
    "AnswerQuestion",
    "AppFailed",
    "AppView",
    "Apps",
    "Ask",
    "Broker",
    "BrokerView",
    "BrowseFactsOf",
    "ClockView",
    "Close",
    "CommandCondition",
    "CommandJob",
    "ComplaintView",
    "Complaints",
    "ConditionChanged",
    "Conditions",
    "Configuration",
    "ConfigurationChange",
    "ConfigurationReport",
    "ConfigurationView",
    "Configure",
    "Counters",
    "Data",
    "Describe",
    "Discover",
    "Examine",
    "Failure",
    "FollowConditions",
    "FollowJob",
    "FollowJobs",
    "FollowMachines",
    "FollowResults",
    "FromClient",
    "FromRuntime",
    "Health",
    "Heartbeat",
    "Hello",
    "JobChanged",
    "JobEntry",
    "JobRecord",
    "JobView",
    "Jobs",
    "Ledger",
    "LedgerGap",
    "LedgerView",
    "LogLine",
    "MachineChanged",
    "MachineView",
    "Machines",
    "Message",
    "NoteRefusal",
    "Open",
    "Policy",
    "Progressed",
    "Propose",
    "Question",
    "Questions",
    "Read",
    "Ready",
    "Reload",
    "Reply",
    "Request",
    "RequestBody",
    "ResolveJob",
    "ResultArrived",
    "ShowJob",
    "StartJob",
    "Stop",
    "StoreGet",
    "StoreKeys",
    "StorePut",
    "StreamEnded",
    "Subscribe",
    "Welcome",
    "Write",
]

Policy = Literal["block", "latest", "drop-oldest"]
"""What a consumer wants: every value, or the latest. Every value: `block` holds a full queue's machine up (0.5 s at most, then as
drop-oldest), `drop-oldest` never does; what is dropped becomes a Gap. `latest`: the newest value of each signal alone, the others
are conflated."""


class Message(msgspec.Struct, tag=True, array_like=True, forbid_unknown_fields=False):
    """Base of everything that travels."""


# --- what the runtime tells about things -----------------------------------------------------------------------------------


class ClockView(msgspec.Struct):
    """The machine's clock is `offset` ns ahead of ours, give or take `error` ns. `rate`: by how many parts per million it is
    fast, None while that is not known."""

    offset: int
    error: int
    rate: float | None = None


class MachineView(msgspec.Struct):
    """A machine as it stands: its description, whether it can be reached, its PackML state where it reports one, and its clock
    once that was measured."""

    machine: Machine
    health: Literal["connecting", "online", "offline", "failed"]
    detail: str = ""
    packml: str | None = None
    unit_mode: str | None = None
    clock: ClockView | None = None


class LedgerGap(msgspec.Struct):
    """A Gap as a consumer was told of it at `noted` (ns UTC), of `of` signals; the first few of these are named."""

    gap: Gap
    signals: list[str]
    of: int
    noted: int


class LedgerView(msgspec.Struct):
    """One consumer's account on one machine, in values, since the runtime's start. Each of `signals` is (path, received,
    delivered, conflated, dropped, pending). `balanced`: the figures agree, for each signal and with what passed. `gaps` are the
    newest ones; `told` counts all of them by cause, one for each signal. `open`: its stream is open now."""

    consumer: str
    machine: str
    policy: Policy
    open: bool
    since: int
    received: int
    delivered: int
    conflated: int
    dropped: int
    pending: int
    balanced: bool
    signals: list[tuple[str, int, int, int, int, int]]
    gaps: list[LedgerGap]
    told: dict[str, int]


class JobView(msgspec.Struct):
    """A job as the journal has it. Times are int nanoseconds UTC."""

    machine: str
    skill: str
    job: str
    principal: str
    state: JobState
    substate: JobSubstate | None
    parameters: dict[str, Any]
    created: int
    changed: int
    final: bool
    outcome: JobOutcome | None = None
    error: tuple[str, str, str, str] | None = None
    """kind, message, where, mend: why it was refused or failed."""


class JobEntry(msgspec.Struct):
    """One line of a job's history."""

    time: int
    event: str
    principal: str
    detail: str = ""


class JobRecord(msgspec.Struct):
    view: JobView
    history: list[JobEntry]


class Question(msgspec.Struct):
    """Something an app asks a person."""

    id: int
    app: str
    text: str
    choices: list[str]
    asked: int


class AppView(msgspec.Struct):
    """An app's health, apart from any machine's PackML state."""

    name: str
    plugin: str
    isolation: Literal["process", "inline"]
    health: Literal["starting", "ready", "backing-off", "stopped", "failed", "finished"]
    detail: str
    restarts: int
    pid: int | None = None
    memory: int | None = None


class BrokerView(msgspec.Struct):
    """The embedded broker: where it listens, and how it is."""

    url: str
    health: Literal["starting", "listening", "backing-off"]
    detail: str
    restarts: int
    pid: int | None = None


class ConfigurationChange(msgspec.Struct):
    """One thing that a changed configuration touches. `keys` are those that changed, `effects` what becomes of it."""

    kind: Literal["machine", "app", "publisher"]
    name: str
    change: Literal["added", "removed", "renamed", "changed"]
    keys: list[str]
    effects: list[str]
    why: str = ""


class ConfigurationReport(msgspec.Struct):
    """What changing the configuration did, or (`applied` False) would do. `troubles`: what of it did not go as it should."""

    file: str | None
    applied: bool
    changes: list[ConfigurationChange]
    troubles: list[str]


class ConfigurationView(msgspec.Struct):
    """What runs, beside what is on disk. `problem` is (kind, message, where, mend) of why the file on disk is not what runs, or
    what went wrong when it was applied; None: it is. `since` is when it was last applied, int nanoseconds UTC."""

    file: str | None
    watched: bool
    since: int
    problem: tuple[str, str, str, str] | None = None


# --- requests ----------------------------------------------------------------------------------------------------------------


class Hello(Message):
    """First of all. -> Welcome"""

    role: Literal["app", "command"]
    version: int = 1


class Open(Message):
    """Have the runtime connect to a URL for as long as this client lives (or use the connection it has). -> list[str]: the
    names of the machines behind it, when they are described. `profiles` are (file name, text), for a connection that is made
    for this client; one that is there has its own."""

    url: str
    settings: dict[str, Any] = {}
    profiles: list[tuple[str, str]] = []


class Machines(Message):
    """-> list[MachineView]: those this principal may see, of a capability with property values where one is asked for."""

    capability: str | None = None
    properties: dict[str, Any] = {}


class Describe(Message):
    """-> MachineView"""

    machine: str


class Read(Message):
    """Read now, from the machine. No signals: all readable ones. -> list[[path, DataValue]]"""

    machine: str
    signals: list[str] = []


class Subscribe(Message):
    """Open a stream of Data. `signals` are paths or patterns (`Status/*`, `**`). `capacity` counts values.
    At most `window` Data (1 to 256) wait for an Ack. `name`: the consumer is the same one whenever its principal subscribes under
    this name, and is told what it missed meanwhile; without one each stream is a consumer of its own. -> list[[handle, path]]"""

    stream: int
    machine: str
    signals: list[str]
    policy: Policy = "block"
    capacity: int = 10_000
    name: str = ""
    window: int = 2


class Write(Message):
    """Write a value in canonical units. -> [status, confirmed, DataValue | None]"""

    machine: str
    signal: str
    value: Any
    command: str
    deadline: float | None = None
    lease: int | None = None


class StartJob(Message):
    """Start a job; the same id with the same parameters is the same job. -> JobView"""

    machine: str
    skill: str
    parameters: dict[str, Any]
    job: str
    command: str
    deadline: float | None = None
    lease: int | None = None
    on_owner_lost: OnOwnerLost | None = None


class CommandJob(Message):
    """pause, resume, stop, abort, cancel or update a job. -> JobView"""

    machine: str
    job: str
    verb: JobVerb
    command: str
    parameters: dict[str, Any] = {}
    deadline: float | None = None
    lease: int | None = None


class FollowJob(Message):
    """Open a stream of JobChanged: the present state first, the final one last. -> JobView"""

    stream: int
    machine: str
    job: str


class FollowJobs(Message):
    """Open a stream of JobChanged of all jobs on machines this principal may see. -> None"""

    stream: int
    machine: str | None = None


class Jobs(Message):
    """-> list[JobView], newest first"""

    machine: str | None = None
    open_only: bool = False


class ShowJob(Message):
    """-> JobRecord. `machine` None: if the id is unique."""

    job: str
    machine: str | None = None


class ResolveJob(Message):
    """A person says how an Unknown job ended. -> JobView"""

    job: str
    state: JobState
    reason: str
    machine: str | None = None


class FollowMachines(Message):
    """Open a stream of MachineChanged: those present first, then as they come, change and go. -> None"""

    stream: int
    capability: str | None = None
    properties: dict[str, Any] = {}


class FollowConditions(Message):
    """Open a stream of ConditionChanged. -> None"""

    stream: int
    machine: str | None = None


class Conditions(Message):
    """-> list of the forms of Condition: those that are there now, of machines this principal may see. With a `machine` its
    conditions are asked of it first, where they are not known yet."""

    machine: str | None = None


class CommandCondition(Message):
    """Acknowledge, confirm, shelve or unshelve. `condition` is its id, or a name or source that only one has. `duration` in
    seconds. -> the form of the Condition as the machine told it last"""

    machine: str
    condition: str
    verb: ConditionVerb
    command: str
    comment: str = ""
    duration: float | None = None
    deadline: float | None = None
    lease: int | None = None


class FollowResults(Message):
    """Open a stream of ResultArrived: results from now on. -> None"""

    stream: int
    machine: str | None = None


class NoteRefusal(Message):
    """A line in the audit, in the sender's own name: it was asked from outside for what it does not do. -> None"""

    machine: str
    action: str
    target: str
    reason: str


class StorePut(Message):
    """Durable before the reply. Value None deletes. -> None"""

    key: str
    value: Any


class StoreGet(Message):
    """-> the value or None"""

    key: str


class StoreKeys(Message):
    """-> list[str]"""

    prefix: str = ""


class Ask(Message):
    """Ask a person; the reply comes with the answer. -> str"""

    text: str
    choices: list[str] = []


class Questions(Message):
    """-> list[Question]"""


class AnswerQuestion(Message):
    """-> None"""

    id: int
    answer: str


class Discover(Message):
    """Needs the grant `commission` (commands hold it). All adapters that can are asked, each for `limit` seconds at most, and
    the `listen` seconds for which it may listen. `settings` are for a URL; without, those of the connection there is.
    -> list of {adapter, url, name, details, error}"""

    hint: str
    limit: float = 30.0
    listen: float = 10.0
    settings: dict[str, Any] = {}


class Examine(Message):
    """Needs `commission`. Whatever a connection to the URL needs, tried; without settings with those it is configured with.
    -> list[Finding]"""

    url: str
    settings: dict[str, Any] = {}
    limit: float = 60.0


class Health(Message):
    """What the runtime says of its machines, apps and values. Needs `commission`. -> list[Finding]"""


class BrowseFactsOf(Message):
    """Needs `commission`. -> nested dicts of the nodes below an endpoint's root"""

    url: str


class Propose(Message):
    """Needs `commission`. A profile for the machine at `path` behind an endpoint that is open. -> [name, YAML]"""

    url: str
    path: str


class Configure(Message):
    """Needs `commission`. A merge patch (RFC 7396) for dtios.yaml's machines. -> None"""

    patch: dict[str, Any]


class Reload(Message):
    """Needs `commission`. Apply dtios.yaml as it is on disk by difference, or only say what that would do.
    -> ConfigurationReport"""

    dry_run: bool = False


class Configuration(Message):
    """-> ConfigurationView"""


class Apps(Message):
    """-> list[AppView]"""


class Ledger(Message):
    """-> list[LedgerView], of machines that this principal may see"""

    machine: str | None = None


class Broker(Message):
    """-> list[BrokerView]: the embedded broker, where there is one"""


class Counters(Message):
    """Promise 1's figures. -> list[[consumer, machine, signal, received, delivered, conflated, dropped, pending]]"""

    machine: str | None = None


class ComplaintView(Message):
    """What was not understood: of which machine, where one of ours is meant; `source` is the adapter's word for it. `last` are
    (where, the beginning of the payload, int ns UTC)."""

    endpoint: str
    machine: str | None
    source: str
    cause: str
    count: int
    last: list[tuple[str, bytes, int]] = []


class Complaints(Message):
    """What of a machine, or of all, the adapters could not understand. Of what is no machine's: needs `commission`.
    -> list[ComplaintView]"""

    machine: str | None = None


RequestBody = (
    Hello | Open | Machines | Describe | Read | Subscribe | Write
    | StartJob | CommandJob | FollowJob | FollowJobs | Jobs | ShowJob | ResolveJob
    | FollowMachines | FollowConditions | Conditions | CommandCondition | FollowResults
    | NoteRefusal | StorePut | StoreGet | StoreKeys | Ask | Questions | AnswerQuestion
    | Discover | Examine | Health | BrowseFactsOf | Propose | Configure | Reload | Configuration | Apps | Broker | Counters
    | Ledger | Complaints
)  # fmt: skip


class Request(Message):
    id: int
    body: RequestBody


class Ack(Message):
    """The handler of Data `number` returned."""

    stream: int
    number: int


class Close(Message):
    """The client wants no more of this stream."""

    stream: int


class Heartbeat(Message):
    """From an app's event loop, twice a second; silence means that something blocks it."""

    handler: str = ""
    """Which handler runs now, for naming a blocker."""


class Ready(Message):
    """The app's handlers are subscribed and its main has begun."""


class AppFailed(Message):
    """A handler of the app raised; it ends with this."""

    kind: str
    message: str
    where: str
    mend: str
    traceback: str = ""


class LogLine(Message):
    """An app's log event, bound to the app by the runtime."""

    level: str
    event: str
    fields: dict[str, Any] = {}


FromClient = Request | Ack | Close | Heartbeat | Ready | AppFailed | LogLine


# --- from the runtime -----------------------------------------------------------------------------------------------------------


class Welcome(Message):
    """`config`, `roles` and `folder` are for apps: the app's configuration object, role -> machine names bound by configuration,
    and the path of the folder that is the app's own."""

    principal: str
    epoch: int
    config: dict[str, Any] = {}
    roles: dict[str, list[str]] = {}
    folder: str = ""


class Reply(Message):
    id: int
    result: Any


class Failure(Message):
    id: int
    kind: str
    message: str
    where: str
    mend: str


class Progressed(Message):
    id: int
    what: str
    done: int
    total: int | None


class Data(Message):
    """Gaps come before the batch's rows in the stream. `batch` is a packed Batch or None."""

    stream: int
    number: int
    gaps: list[tuple[int, Gap]]
    batch: bytes | None


class JobChanged(Message):
    stream: int
    view: JobView


class MachineChanged(Message):
    """`gone`: it is no longer configured, described or (for a capability stream) no longer fits or can be reached."""

    stream: int
    view: MachineView
    gone: bool


class ConditionChanged(Message):
    stream: int
    condition: dict[str, Any]


class ResultArrived(Message):
    """A result, or a Gap: then results of this machine may be missing here. `result` is the form of a Result, content packed."""

    stream: int
    machine: str
    result: dict[str, Any] | None
    gap: Gap | None = None


class StreamEnded(Message):
    """Nothing more comes here; with an error if it ended by one (kind, message, where, mend)."""

    stream: int
    error: tuple[str, str, str, str] | None = None


class Stop(Message):
    """The runtime wants this client to end: finish what you are at; after `grace` seconds the transport closes."""

    reason: str
    grace: float


FromRuntime = (
    Welcome | Reply | Failure | Progressed | Stop
    | Data | JobChanged | MachineChanged | ConditionChanged | ResultArrived | StreamEnded
)  # fmt: skip

CLIENT_DECODER: Final = msgspec.msgpack.Decoder(FromClient, ext_hook=unpack_value)
"""Reads what clients send."""
RUNTIME_DECODER: Final = msgspec.msgpack.Decoder(FromRuntime, ext_hook=unpack_value)
"""Reads what the runtime sends."""
