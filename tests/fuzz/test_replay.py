"""Every input that was ever found, and some thousand mutations of them: no crash, no hang, no task left, no memory kept."""

import asyncio
import gc

import psutil

from tests.fuzz import mqtt_seeds, values
from tests.fuzz.client import KINDS, LIMIT, client, recorded
from tests.fuzz.mqtt import Listener
from tests.fuzz.mutate import corpus, mutations

MOST = 64 * 2**20
"""Bytes that the process may keep."""


def memory() -> int:
    gc.collect()
    rss: int = psutil.Process().memory_info().rss
    return rss


def test_values() -> None:
    known = corpus("values")
    assert len(known) > 200
    for data in [*values.seeds(), *known]:
        values.decode(data)
    before = memory()
    for data in mutations(known, 5000, seed=1):
        values.decode(data)
    assert memory() - before < MOST


async def test_the_whole_mqtt_adapter() -> None:
    """Each input with a connection as new, and all mutations in one life: what one leaves behind meets the next."""
    known = corpus("mqtt")
    assert len(known) > 50
    messages = 0
    for data in [*mqtt_seeds.seeds(), *known]:
        one = Listener()
        await one.run(data)
        await asyncio.sleep(0)
        messages += one.messages
    before, one = memory(), Listener()
    for data in mutations(known, 60, seed=1):
        await one.run(data)
        await asyncio.sleep(0)
    assert memory() - before < MOST
    causes = {cause for _, cause in one.complaints.counts}
    print(f"{messages} messages kept, {one.messages} mutated, {one.sink.values} values, {len(causes)} causes")
    assert messages > 1000
    assert one.messages > 300
    assert one.sink.values > 1000
    assert len(causes) > 20, "much is not understood, and each is told by its cause"


async def test_the_whole_client() -> None:
    assert LIMIT < 60
    async with client() as one:
        seeds = await recorded(one)
        assert one.outcomes == {}, "without a mutation all goes well"
        assert one.stood == one.runs
        assert {KINDS[data[0]] for data in seeds} >= {"Read", "Browse", "Publish", "Call", "CreateSession", "GetEndpoints"}
        known = corpus("client")
        assert len(known) > 50
        for data in known:
            await one.run(data)
        before = memory()
        for data in mutations(known, 150, seed=1):
            await one.run(data)
        assert memory() - before < MOST
        print(f"{one.runs} sessions, {one.stood} stood, {one.outcomes}")
        assert one.stood > one.runs / 4
