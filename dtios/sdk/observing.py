"""Conditions and results from a client's side."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.gap import Gap, GapCause
from dtios.model.result import Result
from dtios.sdk import protocol as p
from dtios.sdk.streams import FOLLOW_CAPACITY, Inbox

if TYPE_CHECKING:
    from dtios.sdk.client import Client

__all__ = ["command_condition", "conditions", "follow_results", "results"]


async def conditions(client: "Client", machine: str | None = None) -> list[Condition]:
    """Those that are there now."""
    return msgspec.convert(await client.request(p.Conditions(machine)), list[Condition])


async def command_condition(
    client: "Client",
    machine: str,
    condition: str,
    verb: ConditionVerb,
    *,
    comment: str = "",
    duration: float | None = None,
    deadline: float | None = None,
) -> Condition:
    """Returns when the machine has accepted, with the condition as it was told then. `duration` and `deadline` in seconds."""
    body = p.CommandCondition(machine, condition, verb, str(uuid.uuid4()), comment, duration, deadline)
    return msgspec.convert(await client.request(body), Condition)


@asynccontextmanager
async def follow_results(
    client: "Client", machine: str | None = None
) -> AsyncIterator[AsyncIterator[tuple[str, Result | None, Gap | None]]]:
    """(machine, Result, None) or (machine, None, Gap), from now on. A consumer that is too slow loses the oldest ones, and is
    told so by a Gap."""
    inbox: Inbox[p.ResultArrived] = Inbox(FOLLOW_CAPACITY)
    async with client.stream(inbox) as number:
        await client.request(p.FollowResults(number, machine))
        yield _told(inbox)


async def _told(inbox: Inbox[p.ResultArrived]) -> AsyncIterator[tuple[str, Result | None, Gap | None]]:
    dropped = 0
    async for arrived in inbox:
        if inbox.dropped > dropped:
            gap = Gap(GapCause.QUEUE_OVERFLOW, count=inbox.dropped - dropped)
            dropped = inbox.dropped
            yield arrived.machine, None, gap
        result = None if arrived.result is None else msgspec.convert(arrived.result, Result)
        yield arrived.machine, result, arrived.gap


@asynccontextmanager
async def results(client: "Client", machine: str) -> AsyncIterator[AsyncIterator[Result]]:
    """Results alone; what is missing stands at the next one."""
    async with follow_results(client, machine) as told:
        yield _with_gaps(told)


async def _with_gaps(told: AsyncIterator[tuple[str, Result | None, Gap | None]]) -> AsyncIterator[Result]:
    waiting: Gap | None = None
    async for _, result, gap in told:
        if gap is not None:
            waiting = gap
        if result is not None:
            yield result if waiting is None else replace(result, gap=waiting)
            waiting = None
