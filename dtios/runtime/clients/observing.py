"""Conditions and results: what a client may ask about them."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any, Final

from dtios.model.errors import RefusedError
from dtios.model.result import Result
from dtios.runtime.clients.session import Last, Session, handles
from dtios.runtime.links.machines import LiveMachine
from dtios.runtime.links.results import ResultQueue
from dtios.sdk import protocol as p
from dtios.sdk.adapter import ConditionCommand
from dtios.sdk.codec import pack_value

__all__: list[str] = []

_FARTHEST: Final = 2**63 - 1
LISTED: Final = 3.0
"""Seconds that a machine gets to tell its conditions to one who asks for the first time."""


def _visible(session: Session, name: str) -> LiveMachine:
    machine = session.kernel.machines.get(name)
    if not session.principal.may_see(machine.machine):
        raise RefusedError(f"{session.principal.name} has no grant on it", where=name, mend="grant it in dtios.yaml")
    return machine


def _watched(session: Session, name: str | None, pump: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """A stream's pump; meanwhile the machine is watched, also where no configuration names it."""
    if name is None:
        return pump
    link = _visible(session, name).link

    async def watched() -> None:
        link.events.want()
        try:
            await pump()
        finally:
            link.events.release()

    return watched


async def _begun(session: Session, name: str | None) -> None:
    """From the reply on nothing is missed of a machine that can be watched."""
    link = None if name is None else _visible(session, name).link
    if link is not None and link.online:
        await link.events.wait_watched(LISTED)


@handles(p.FollowConditions)
async def _follow_conditions(session: Session, body: p.FollowConditions, request: p.Request) -> None:
    def wrap(machine: LiveMachine, condition: dict[str, Any]) -> Last | None:
        wanted = body.machine in (None, machine.name) and session.principal.may_see(machine.machine)
        return (p.ConditionChanged(body.stream, condition), False) if wanted else None

    async def present() -> list[Last]:
        found = [wrap(m, c) for m, c in session.kernel.conditions.present(body.machine)]
        return [message for message in found if message is not None]

    async def pump() -> None:
        await session.pump_changes(session.kernel.conditions.watch, wrap, present)

    session.open_stream(body.stream, _watched(session, body.machine, pump))
    await _begun(session, body.machine)


@handles(p.Conditions)
async def _conditions(session: Session, body: p.Conditions, request: p.Request) -> list[dict[str, Any]]:
    if body.machine is not None:
        await _told(_visible(session, body.machine))
    return [
        condition
        for machine, condition in session.kernel.conditions.present(body.machine)
        if session.principal.may_see(machine.machine)
    ]


async def _told(machine: LiveMachine) -> None:
    """All its conditions are known after this, as far as the machine can tell them."""
    events = machine.link.events
    if machine.link.online:
        events.want()
        try:
            await events.wait_told(LISTED)
        finally:
            events.release()


@handles(p.CommandCondition)
async def _command_condition(session: Session, body: p.CommandCondition, request: p.Request) -> dict[str, Any]:
    machine = _visible(session, body.machine)
    await _told(machine)
    found = await session.kernel.condition_commands.give(
        session.principal, machine, ConditionCommand(body.condition, body.verb, body.comment, body.duration),
        command=body.command, deadline=body.deadline, lease=body.lease,
    )  # fmt: skip
    return asdict(found)


@handles(p.FollowResults)
async def _follow_results(session: Session, body: p.FollowResults, request: p.Request) -> None:
    def wants(machine: LiveMachine) -> bool:
        return body.machine in (None, machine.name) and session.principal.may_see(machine.machine)

    queue = ResultQueue(f"{session.principal.name}/{body.stream}", wants)

    async def pump() -> None:
        detach = session.kernel.results.attach(queue)
        try:
            while True:
                row = await queue.take()
                form = None if row.result is None else _form(row.result)
                await session.send(p.ResultArrived(body.stream, row.machine.name, form, row.gap))
        finally:
            detach()

    session.open_stream(body.stream, _watched(session, body.machine, pump))
    await _begun(session, body.machine)


def _form(result: Result) -> dict[str, Any]:
    form = {field.name: getattr(result, field.name) for field in fields(result)}
    if result.created is not None and not -_FARTHEST <= result.created <= _FARTHEST:
        form["created"] = None  # a machine's clock may say anything, and a message holds 64 bits
    return {**form, "content": pack_value(dict(result.content))}
