"""Servers with tiny limits, and servers that lie about theirs. What arrived is judged by the server's own count of requests."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from asyncua import ua
from asyncua.server.internal_session import InternalSession
from opcua_server import HOME, QUICK, Sink, connected, find, serving

from dtios.mapping.facts import BrowseFacts
from dtios.model.status import status_code
from dtios.sdk.adapter import ConnectionSettings, DeadBand, MonitoredPoint
from dtios.sdk.errors import TemporaryError
from dtios_opcua import adapter

MANY = 60


async def many(server, idx) -> None:
    machine = await server.nodes.objects.add_object(ua.NodeId("Machine", idx), ua.QualifiedName("Machine", idx))
    for number in range(MANY):
        name = f"v{number}"
        variable = await machine.add_variable(ua.NodeId(name, idx), ua.QualifiedName(name, idx), float(number))
        await variable.set_writable()


def points(facts: BrowseFacts, **more: Any) -> list[MonitoredPoint]:
    found = sorted((n for n in facts.root.walk() if n.name.name.startswith("v")), key=lambda n: int(n.name.name[1:]))
    return [MonitoredPoint(handle, node.address, node.type, **more) for handle, node in enumerate(found)]


class Log:
    """How many items each request had, and how it was answered."""

    def __init__(self) -> None:
        self.seen: dict[str, list[int]] = {}
        self.faults: Counter[str] = Counter()

    def largest_answered(self, service: str, limit: int) -> bool:
        return all(size <= limit for size in self.seen[service])


@contextmanager
def limited(monkeypatch: pytest.MonkeyPatch, log: Log, answer: Any, **limits: int) -> Iterator[None]:
    """Requests with more items than `limits[service]` are handed to `answer`, those of clients only."""

    def wrap(name: str, limit: int) -> None:
        original = getattr(InternalSession, name)

        async def asked(self: InternalSession, params: Any, *rest: Any) -> Any:
            size = len(_items(params))
            if self.external and size > limit:
                log.faults[name] += 1
                return await answer(self)
            if self.external:
                log.seen.setdefault(name, []).append(size)
            return await original(self, params, *rest)

        monkeypatch.setattr(InternalSession, name, asked)

    for name, limit in limits.items():
        wrap(name, limit)
    yield
    monkeypatch.undo()


def _items(params: Any) -> Any:
    for name in ("NodesToBrowse", "NodesToRead", "ItemsToCreate", "ContinuationPoints"):
        if hasattr(params, name):
            return getattr(params, name)
    raise AssertionError(params)


def fault(name: str):
    async def answer(_session: InternalSession) -> Any:
        raise ua.uaerrors.UaStatusCodeError(status_code(name))

    return answer


@pytest.mark.parametrize("name", ["BadTooManyOperations", "BadEncodingLimitsExceeded", "BadResponseTooLarge"])
async def test_a_server_that_answers_one_at_a_time_and_claims_ten_thousand(monkeypatch, name):
    log = Log()
    async with serving(many) as (url, server):
        await server.get_node(ua.NodeId(11705)).write_value(ua.Variant(10_000, ua.VariantType.UInt32))
        one = {"read": 1, "browse": 1, "create_monitored_items": 1}
        with limited(monkeypatch, log, fault(name), **one):
            async with connected(url) as (connection, sink):
                facts = await connection.browse()
                wanted = points(facts)
                assert await connection.subscribe(wanted) == [0] * MANY
                await sink.until(lambda s: all(s.values(handle) for handle in range(MANY)))
                await connection.unsubscribe([point.handle for point in wanted])
    assert facts.notes == []
    assert [sink.values(handle)[0] for handle in range(MANY)] == [float(number) for number in range(MANY)]
    assert all(log.largest_answered(service, 1) for service in one)
    if name == "BadTooManyOperations":  # it said so once for each halving, and then it was remembered
        assert log.faults["browse"] <= 9
        assert log.faults["read"] <= 12


async def test_claimed_limits_are_kept():
    log = Log()
    claims = {11705: 7, 11710: 3, 11714: 11}  # reads, browses, monitored items in one call
    async with serving(many) as (url, server):
        for node, claim in claims.items():
            await server.get_node(ua.NodeId(node)).write_value(ua.Variant(claim, ua.VariantType.UInt32))
        monkeypatch = pytest.MonkeyPatch()
        with limited(monkeypatch, log, fault("BadTooManyOperations"), read=50, browse=3, create_monitored_items=11):
            async with connected(url) as (connection, _):
                facts = await connection.browse()
                assert await connection.subscribe(points(facts)) == [0] * MANY
    assert log.faults == {}
    assert max(log.seen["read"][1:]) == 7  # the first read asks for the limits themselves
    assert max(log.seen["browse"]) == 3
    assert max(log.seen["create_monitored_items"]) == 11


async def test_one_nasty_node_is_a_note_and_the_others_are_described(monkeypatch):
    """A server that refuses the whole request because of one node in it."""
    original = InternalSession.browse

    async def browse(self, params):
        if self.external and any(one.NodeId.Identifier == "v7" for one in params.NodesToBrowse):
            raise ua.uaerrors.BadUserAccessDenied()
        return await original(self, params)

    async with serving(many) as (url, _):
        monkeypatch.setattr(InternalSession, "browse", browse)
        async with connected(url) as (connection, _):
            facts = await connection.browse()
    assert len(points(facts)) == MANY
    assert [note for note in facts.notes if "BadUserAccessDenied" in note] == [next(note for note in facts.notes if "v7" in note)]


async def test_a_node_with_more_children_than_an_answer_holds(monkeypatch):
    """One node's answer alone is too large: it is asked for in parts."""
    original = InternalSession.browse
    asked: list[int] = []

    async def browse(self, params):
        results = await original(self, params)
        if self.external and sum(len(one.References) for one in results) > MANY / 2:
            asked.append(params.RequestedMaxReferencesPerNode)
            if not params.RequestedMaxReferencesPerNode:
                raise ua.uaerrors.UaStatusCodeError(status_code("BadResponseTooLarge"))
        return results

    async with serving(many) as (url, _):
        monkeypatch.setattr(InternalSession, "browse", browse)
        async with connected(url) as (connection, _):
            facts = await connection.browse()
    assert len(points(facts)) == MANY
    assert facts.notes == []
    assert 0 in asked
    assert 1000 in asked


@pytest.mark.parametrize("how", ["closes", "hangs"])
async def test_a_server_that_is_lost_over_big_requests_gets_smaller_ones_next_time(monkeypatch, how):
    log = Log()
    settings = ConnectionSettings(keep_alive=1.0, publishing_interval=0.02, timeout=0.5)
    async with serving(many) as (url, server):

        async def lose(_session: InternalSession) -> Any:
            if how == "closes":
                for client in list(server.bserver.clients):
                    client.transport.abort()
            await asyncio.sleep(3600)

        connection = adapter.connect(url, settings if how == "hangs" else QUICK, HOME)
        facts, lost = None, -1
        with limited(monkeypatch, log, lose, read=20):
            while facts is None and lost < 5:
                lost += 1
                facts = await _browse_once(connection)
    assert facts is not None
    assert len(points(facts)) == MANY
    assert 1 <= lost <= 4
    assert log.faults["read"] == lost


async def _browse_once(connection) -> BrowseFacts | None:
    facts = None
    try:
        async with anyio.create_task_group() as tasks:

            async def run(*, task_status):
                await connection.run(Sink(), task_status=task_status)

            await tasks.start(run)
            facts = await connection.browse()
            tasks.cancel_scope.cancel()
    except* TemporaryError:
        pass
    return facts


async def test_subscriptions_are_split_to_what_one_takes():
    async with serving(many) as (url, server):
        await _claim(server, 24104, 25)
        async with connected(url) as (connection, sink):
            facts = await connection.browse()
            assert await connection.subscribe(points(facts)) == [0] * MANY
            held = server.iserver.subscription_service.subscriptions
            assert sorted(len(one.monitored_item_srv._monitored_items) for one in held.values()) == [10, 25, 25]
            await sink.until(lambda s: all(s.values(handle) for handle in range(MANY)))


async def test_no_more_subscriptions_than_it_allows_and_what_finds_no_room_says_so(monkeypatch):
    from asyncua.server.subscription_service import SubscriptionService

    original = SubscriptionService.create_subscription

    async def create(self, *args, **more):
        if len(self.subscriptions) >= 2:
            raise ua.uaerrors.UaStatusCodeError(status_code("BadTooManySubscriptions"))
        return await original(self, *args, **more)

    monkeypatch.setattr(SubscriptionService, "create_subscription", create)
    async with serving(many) as (url, server):
        await _claim(server, 24104, 20)
        async with connected(url) as (connection, sink):
            facts = await connection.browse()
            assert await connection.subscribe(points(facts)) == [0] * MANY  # one takes more than it says
            held = server.iserver.subscription_service.subscriptions
            assert sum(len(one.monitored_item_srv._monitored_items) for one in held.values()) == MANY
            await sink.until(lambda s: all(s.values(handle) for handle in range(MANY)))


async def _claim(server, node: int, value: int) -> None:
    """asyncua has no such node until somebody makes it."""
    identifier = ua.NodeId(node)
    capabilities = server.get_node(ua.NodeId(ua.ObjectIds.Server_ServerCapabilities))
    try:
        await server.get_node(identifier).write_value(ua.Variant(value, ua.VariantType.UInt32))
    except ua.UaError:
        await capabilities.add_property(identifier, ua.QualifiedName("Limit", 0), ua.Variant(value, ua.VariantType.UInt32))


async def test_a_dead_band_is_the_servers_to_apply():
    async with serving(many) as (url, server):
        async with connected(url) as (connection, sink):
            facts = await connection.browse()
            address = find(facts, "v0").address
            kind = find(facts, "v0").type
            wanted = [MonitoredPoint(1, address, kind, dead_band=DeadBand(2.0)), MonitoredPoint(2, address, kind)]
            assert await connection.subscribe(wanted) == [0, 0]
            node = server.get_node(ua.NodeId("v0", await server.get_namespace_index(find(facts, "Machine").name.namespace)))
            for value in (1.0, 1.5, 5.0, 5.5):
                await node.write_value(value)
                await sink.until(lambda s, value=value: value in s.values(2))
            await sink.until(lambda s: 5.0 in s.values(1))
    assert sink.values(1) == [0.0, 5.0]


@pytest.mark.parametrize("name", ["BadMonitoredItemFilterUnsupported", "BadDeadbandFilterInvalid", "BadFilterNotAllowed"])
async def test_without_dead_bands_at_the_server_every_change_comes(monkeypatch, name, log_events):
    from asyncua.server.monitored_item_service import MonitoredItemService

    original = MonitoredItemService.create_monitored_items

    async def create(self, params):
        results = await original(self, params)
        for item, result in zip(params.ItemsToCreate, results, strict=True):
            if type(item.RequestedParameters.Filter).__name__ == "DataChangeFilter":
                self.delete_monitored_items([result.MonitoredItemId])
                result.StatusCode = ua.StatusCode(status_code(name))
        return results

    monkeypatch.setattr(MonitoredItemService, "create_monitored_items", create)
    async with serving(many) as (url, _):
        async with connected(url) as (connection, sink):
            facts = await connection.browse()
            wanted = points(facts, dead_band=DeadBand(1.0, percent=True))[:3]
            assert await connection.subscribe(wanted) == [0, 0, 0]
            await sink.until(lambda s: all(s.values(handle) for handle in range(3)))
    told = [one for one in log_events if one["event"] == "the server has no dead band for it"]
    assert [one["reason"] for one in told] == [name] * 3
