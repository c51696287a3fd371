"""What a client may ask, request by request. Each handler names its request and what it answers with."""

from typing import Any

import anyio.to_thread

from dtios.mapping.profiles.propose import propose
from dtios.model.errors import ConfigurationError, RefusedError
from dtios.runtime.clients.session import Last, Session, handles, packed_view
from dtios.runtime.data.consumer import Consumer
from dtios.runtime.links.examining import health
from dtios.runtime.links.facts import facts_as_dict
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk import protocol as p
from dtios.sdk.adapter import Finding, Progress
from dtios.sdk.codec import pack_value
from dtios.sdk.streams import LARGEST_WINDOW

__all__: list[str] = []

LONGEST_NOTE = 1_000
"""Characters of each text that an app may have written into the audit."""

RESULTS = "(results)"
"""Stands for a signal's path in the counters of who follows results."""


def _visible(session: Session, name: str) -> LiveMachine:
    machine = session.kernel.machines.get(name)
    if not session.principal.may_see(machine.machine):
        raise RefusedError(f"{session.principal.name} has no grant on it", where=name, mend="grant it in dtios.yaml")
    return machine


def _progress(session: Session, request: p.Request) -> Progress:
    """Tells the client how far its request has come."""

    def progress(what: str, done: int, total: int | None) -> None:
        session._tasks.start_soon(session.send, p.Progressed(request.id, what, done, total), name="progress")

    return progress


def _offers(machine: LiveMachine, capability: str | None, properties: dict[str, Any]) -> bool:
    return capability is None or any(
        s.capability is not None and s.capability.satisfies(capability, properties) for s in machine.machine.skills
    )


@handles(p.Hello)
async def _hello(session: Session, body: p.Hello, request: p.Request) -> p.Welcome:
    if body.version != 1:
        raise ConfigurationError(f"it speaks protocol version {body.version}, this runtime 1", mend="update both to one version")
    return session._welcome


@handles(p.Open)
async def _open(session: Session, body: p.Open, request: p.Request) -> list[str]:
    if not session.principal.commission:
        raise RefusedError(f"{session.principal.name} has no grant to commission", where=body.url, mend="grant it in dtios.yaml")
    link = await session.kernel.links.open(body.url, body.settings, _progress(session, request), body.profiles)
    session.opened.append(link)
    return [m.name for m in session.kernel.links.machines(link)]


@handles(p.Machines)
async def _machines(session: Session, body: p.Machines, request: p.Request) -> list[p.MachineView]:
    return [
        m.view()
        for m in session.kernel.machines
        if session.principal.may_see(m.machine) and _offers(m, body.capability, body.properties)
    ]


@handles(p.Describe)
async def _describe(session: Session, body: p.Describe, request: p.Request) -> p.MachineView:
    machine = _visible(session, body.machine)
    machine.check_described()
    view = machine.view()
    if view.health == "online":
        view.packml, view.unit_mode = await machine.read_states()
    return view


@handles(p.Read)
async def _read(session: Session, body: p.Read, request: p.Request) -> list[tuple[str, Any]]:
    machine = _visible(session, body.machine)
    signals = machine.select(body.signals)
    for signal in signals:
        if not session.principal.may_read(machine.machine, signal.path):
            where = f"{machine.name} {signal.path}"
            raise RefusedError(f"{session.principal.name} has no grant to read it", where=where, mend="grant it in dtios.yaml")
    readings = await machine.read([s.path for s in signals])
    return [(s.path, pack_value(reading)) for s, reading in zip(signals, readings, strict=True)]


@handles(p.Subscribe)
async def _subscribe(session: Session, body: p.Subscribe, request: p.Request) -> list[tuple[int, str]]:
    machine = _visible(session, body.machine)
    paths = [s.path for s in machine.select(body.signals) if session.principal.may_read(machine.machine, s.path)]
    if not paths:
        raise RefusedError(f"{session.principal.name} has no grant to read {', '.join(body.signals)}", where=machine.name)
    if body.capacity < 1:
        raise ConfigurationError("a queue holds at least one value", where=machine.name)
    handles = {machine.handle(path): path for path in paths}
    if not 1 <= body.window <= LARGEST_WINDOW:
        raise ConfigurationError(f"a window holds 1 to {LARGEST_WINDOW} deliveries", where=machine.name)
    if body.name.isdecimal():
        raise ConfigurationError(f"{body.name} is no consumer's name", where=machine.name, mend="give it one with a letter")
    name = f"{session.principal.name}/{body.name or body.stream}"
    consumer = Consumer(name, handles, body.policy, body.capacity, session.kernel.clock)
    session.check_free(body.stream)
    await session.kernel.ledger.enter(consumer, machine.identity, handles, lambda: machine.link.received, lasting=bool(body.name))
    session.open_data(body.stream, machine, consumer, body.window)
    return list(handles.items())


@handles(p.Write)
async def _write(session: Session, body: p.Write, request: p.Request) -> tuple[int, bool, Any]:
    machine = _visible(session, body.machine)
    status, confirmed, reading = await session.kernel.writer.write(
        session.principal, machine, body.signal, body.value, command=body.command, deadline=body.deadline, lease=body.lease
    )
    return (status, confirmed, pack_value(reading))


@handles(p.StartJob)
async def _start(session: Session, body: p.StartJob, request: p.Request) -> p.JobView:
    machine = _visible(session, body.machine)
    view = await session.kernel.jobs.start(
        session.principal, machine, body.skill, body.parameters, body.job, command=body.command,
        deadline=body.deadline, lease=body.lease, on_owner_lost=body.on_owner_lost,
    )  # fmt: skip
    return packed_view(view)


@handles(p.CommandJob)
async def _command(session: Session, body: p.CommandJob, request: p.Request) -> p.JobView:
    machine = _visible(session, body.machine)
    view = await session.kernel.jobs.command(
        session.principal, machine, body.job, body.verb, parameters=body.parameters, command=body.command,
        deadline=body.deadline, lease=body.lease,
    )  # fmt: skip
    return packed_view(view)


@handles(p.FollowJob)
async def _follow_job(session: Session, body: p.FollowJob, request: p.Request) -> p.JobView:
    machine = _visible(session, body.machine)
    stored = await session.kernel.find_job(body.job, machine.name)

    def wrap(view: p.JobView) -> Last | None:
        wanted = (view.machine, view.job) == (machine.name, body.job)
        return (p.JobChanged(body.stream, packed_view(view)), view.final) if wanted else None

    async def present() -> list[Last]:
        view = (await session.kernel.find_job(body.job, machine.name)).view
        return [(p.JobChanged(body.stream, packed_view(view)), view.final)]

    session.open_stream(body.stream, lambda: session.pump_changes(session.kernel.jobs.watch, wrap, present))
    return packed_view(stored.view)


@handles(p.FollowJobs)
async def _follow_jobs(session: Session, body: p.FollowJobs, request: p.Request) -> None:
    def wanted(name: str) -> bool:
        if body.machine not in (None, name):
            return False
        machine = session.kernel.machines.find(name)
        return machine is not None and session.principal.may_see(machine.machine)

    def wrap(view: p.JobView) -> Last | None:
        return (p.JobChanged(body.stream, packed_view(view)), False) if wanted(view.machine) else None

    async def nothing() -> list[Last]:
        return []

    session.open_stream(body.stream, lambda: session.pump_changes(session.kernel.jobs.watch, wrap, nothing))


@handles(p.Jobs)
async def _jobs(session: Session, body: p.Jobs, request: p.Request) -> list[p.JobView]:
    found = await session.kernel.journal.jobs(open_only=body.open_only)
    return [
        packed_view(job.view)
        for job in found
        if body.machine in (None, job.view.machine) and _may_see_job(session, job.view.machine)
    ]


def _may_see_job(session: Session, machine: str) -> bool:
    live = session.kernel.machines.find(machine)
    return session.principal.commission if live is None else session.principal.may_see(live.machine)


@handles(p.ShowJob)
async def _show_job(session: Session, body: p.ShowJob, request: p.Request) -> p.JobRecord:
    stored = await session.kernel.find_job(body.job, body.machine)
    if not _may_see_job(session, stored.view.machine):
        raise RefusedError(f"{session.principal.name} has no grant on its machine", where=f"job {body.job}")
    return p.JobRecord(packed_view(stored.view), await session.kernel.journal.history(stored.identity, body.job))


@handles(p.ResolveJob)
async def _resolve_job(session: Session, body: p.ResolveJob, request: p.Request) -> p.JobView:
    if not session.principal.commission:
        raise RefusedError("only a person, or an app with the grant commission, resolves a job", where=f"job {body.job}")
    stored = await session.kernel.find_job(body.job, body.machine)
    return packed_view(await session.kernel.jobs.resolve(session.principal, stored, body.state, body.reason))


@handles(p.FollowMachines)
async def _follow_machines(session: Session, body: p.FollowMachines, request: p.Request) -> None:
    def fits(machine: LiveMachine) -> bool:
        return (
            session.principal.may_see(machine.machine)
            and _offers(machine, body.capability, body.properties)
            and (body.capability is None or machine.view().health == "online")
        )

    shown: set[str] = set()

    def wrap(machine: LiveMachine, gone: bool | None) -> Last | None:
        if gone is None and fits(machine) == (machine.name in shown):
            return None
        gone = gone or not fits(machine)
        if gone and machine.name not in shown:
            return None
        (shown.discard if gone else shown.add)(machine.name)
        return (p.MachineChanged(body.stream, machine.view(), gone), False)

    async def present() -> list[Last]:
        here = [m for m in session.kernel.machines if fits(m)]
        shown.update(m.name for m in here)
        return [(p.MachineChanged(body.stream, m.view(), False), False) for m in here]

    session.open_stream(body.stream, lambda: session.pump_changes(session.kernel.machines.watch, wrap, present))


@handles(p.NoteRefusal)
async def _note_refusal(session: Session, body: p.NoteRefusal, request: p.Request) -> None:
    kernel = session.kernel
    machine, action, target, reason = (text[:LONGEST_NOTE] for text in (body.machine, body.action, body.target, body.reason))
    await kernel.journal.note(kernel.clock.now(), "", session.principal.name, machine, action, target, f"refused: {reason}")


@handles(p.StorePut)
async def _store_put(session: Session, body: p.StorePut, request: p.Request) -> None:
    await session.kernel.journal.put(session.principal.name, body.key, body.value)


@handles(p.StoreGet)
async def _store_get(session: Session, body: p.StoreGet, request: p.Request) -> Any:
    return pack_value(await session.kernel.journal.get(session.principal.name, body.key))


@handles(p.StoreKeys)
async def _store_keys(session: Session, body: p.StoreKeys, request: p.Request) -> list[str]:
    return await session.kernel.journal.keys(session.principal.name, body.prefix)


@handles(p.Ask)
async def _ask(session: Session, body: p.Ask, request: p.Request) -> str:
    return await session.kernel.questions.ask(session.principal.name, body.text, body.choices)


@handles(p.Questions)
async def _questions(session: Session, body: p.Questions, request: p.Request) -> list[p.Question]:
    return session.kernel.questions.open()


@handles(p.AnswerQuestion)
async def _answer_question(session: Session, body: p.AnswerQuestion, request: p.Request) -> None:
    if not session.principal.name.startswith("cli:"):
        raise RefusedError("a question is answered by a person", where=f"question {body.id}", mend="`dtios app answer`")
    session.kernel.questions.answer(body.id, body.answer)


@handles(p.Discover)
async def _discover(session: Session, body: p.Discover, request: p.Request) -> list[dict[str, Any]]:
    _commissions(session, body.hint)
    return await session.kernel.links.discover(body.hint, body.limit, body.listen, body.settings, _progress(session, request))


@handles(p.Examine)
async def _examine(session: Session, body: p.Examine, request: p.Request) -> list[Finding]:
    _commissions(session, body.url)
    return await session.kernel.links.examine(body.url, body.settings, body.limit)


@handles(p.Health)
async def _health(session: Session, body: p.Health, request: p.Request) -> list[Finding]:
    _commissions(session, "health")
    return health(session.kernel)


@handles(p.BrowseFactsOf)
async def _browse(session: Session, body: p.BrowseFactsOf, request: p.Request) -> dict[str, Any]:
    _commissions(session, body.url)
    link = await session.kernel.links.open(body.url, {}, None)
    try:
        return facts_as_dict(await link.session().browse())
    finally:
        await session.kernel.links.close(link)


@handles(p.Propose)
async def _propose(session: Session, body: p.Propose, request: p.Request) -> tuple[str, str]:
    _commissions(session, body.url)
    link = await session.kernel.links.open(body.url, {}, None)
    try:
        facts = await link.session().browse(_progress(session, request))
        profiles = session.kernel.links.profiles(link)
        proposal = await anyio.to_thread.run_sync(propose, facts, profiles, body.path)
    finally:
        await session.kernel.links.close(link)
    return proposal.name, proposal.yaml()


@handles(p.Configure)
async def _configure(session: Session, body: p.Configure, request: p.Request) -> None:
    _commissions(session, "dtios.yaml")
    await session.kernel.configuration.patch(body.patch, session.principal.name)


@handles(p.Reload)
async def _reload(session: Session, body: p.Reload, request: p.Request) -> p.ConfigurationReport:
    _commissions(session, "dtios.yaml")
    return await session.kernel.configuration.reload(session.principal.name, dry_run=body.dry_run)


@handles(p.Configuration)
async def _configuration(session: Session, body: p.Configuration, request: p.Request) -> p.ConfigurationView:
    return await session.kernel.configuration.view()


def _commissions(session: Session, where: str) -> None:
    if not session.principal.commission:
        raise RefusedError(f"{session.principal.name} has no grant to commission", where=where, mend="grant it in dtios.yaml")


@handles(p.Apps)
async def _apps(session: Session, body: p.Apps, request: p.Request) -> list[p.AppView]:
    return session.kernel.app_views()


@handles(p.Ledger)
async def _ledger(session: Session, body: p.Ledger, request: p.Request) -> list[p.LedgerView]:
    wanted = None if body.machine is None else _visible(session, body.machine).identity
    views = []
    for entry in session.kernel.ledger:
        machine = session.kernel.machines.by_identity(entry.identity)
        seen = machine is not None and session.principal.may_see(machine.machine)
        if machine is not None and seen and wanted in (None, entry.identity):
            views.append(entry.view(machine.name))
    return sorted(views, key=lambda view: (view.machine, view.consumer))


@handles(p.Broker)
async def _broker(session: Session, body: p.Broker, request: p.Request) -> list[p.BrokerView]:
    broker = session.kernel.broker_view()
    return [] if broker is None else [broker]


@handles(p.Counters)
async def _counters(session: Session, body: p.Counters, request: p.Request) -> list[tuple[Any, ...]]:
    rows = []
    for machine in session.kernel.machines:
        if body.machine in (None, machine.name) and session.principal.may_see(machine.machine):
            rows += _accounts(session, machine)
    return rows


def _accounts(session: Session, machine: LiveMachine) -> list[tuple[Any, ...]]:
    rows = []
    for consumer in session.kernel.router.consumers:
        pending = consumer.pending()
        for handle in consumer.handles:
            path = machine.path(handle)
            if path is not None:
                a = consumer.tally.account(handle, pending.get(handle, 0))
                rows.append((consumer.name, machine.name, path, a.received, a.delivered, a.conflated, a.dropped, a.pending))
    for queue in session.kernel.results.queues:
        name = machine.name
        if queue.wants(machine):
            figures = (queue.received, queue.delivered, queue.dropped)
            received, delivered, dropped = (figure.get(name, 0) for figure in figures)
            rows.append((queue.name, name, RESULTS, received, delivered, 0, dropped, queue.pending(name)))
    return rows
