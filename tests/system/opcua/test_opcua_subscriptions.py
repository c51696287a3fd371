"""The data path: nothing is lost without a word, whatever the server does to a notification message."""

import math

import anyio
import pytest
from asyncua import ua
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.monitored_item_service import MonitoredItemService
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary
from opcua_server import QUICK, URI, Sink, connected, plain, points, serving

from dtios.model.gap import GapCause
from dtios.model.status import status_code
from dtios.sdk.adapter import MonitoredPoint


async def speed_of(server):
    return server.get_node(ua.NodeId("Speed", await server.get_namespace_index(URI)))


@pytest.fixture
def publish(monkeypatch):
    """Set `publish.change = f(subscription, result) -> result` to tamper with what the server sends."""

    class Tamper:
        change = None

    original = InternalSubscription._pop_publish_result

    def pop(self):
        result = original(self)
        return result if Tamper.change is None else Tamper.change(self, result)

    monkeypatch.setattr(InternalSubscription, "_pop_publish_result", pop)
    return Tamper


async def test_present_values_come_first_then_every_change_in_order():
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        facts = await connection.browse()
        assert await connection.subscribe(points(facts, "Speed", "Level")) == [0, 0]
        await sink.until(lambda s: s.values(1) == [0.0] and s.values(2) == [0.0])
        speed = await speed_of(server)
        for number in range(1, 201):
            await speed.write_value(float(number))
            if number % 40 == 0:
                await anyio.sleep(0.05)
        await sink.until(lambda s: len(s.values(1)) == 201)
        assert sink.values(1) == [float(number) for number in range(201)]
        assert sink.losses == []
        row = sink.batches[-1].row(0)
        assert row.receive_time > row.server_time
        assert row.status == 0


async def test_unknown_points_are_bad_and_others_are_subscribed():
    async with serving(plain) as (url, _), connected(url) as (connection, sink):
        (good,) = points(await connection.browse(), "Speed")
        wanted = [
            MonitoredPoint(7, f"nsu={URI};s=gone", good.type),
            MonitoredPoint(8, "nsu=urn:nobody;s=x", good.type),
            MonitoredPoint(9, good.address, good.type),
        ]
        unknown = status_code("BadNodeIdUnknown")
        assert await connection.subscribe(wanted) == [unknown, unknown, 0]
        await sink.until(lambda s: s.values(9) == [0.0])


async def test_unsubscribed_points_stay_silent():
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        facts = await connection.browse()
        await connection.subscribe(points(facts, "Speed", "Level"))
        await sink.until(lambda s: s.values(2) == [0.0])
        await connection.unsubscribe([1])
        await (await speed_of(server)).write_value(5.0)
        level = server.get_node(ua.NodeId("Level", await server.get_namespace_index(URI)))
        await level.write_value(6.0)
        await sink.until(lambda s: s.values(2) == [0.0, 6.0])
        assert sink.values(1) == [0.0]
        assert await connection.subscribe(points(facts, "Speed")) == [0]
        await sink.until(lambda s: s.values(1) == [0.0, 5.0])


async def test_a_bad_value_is_none():
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        await connection.subscribe(points(await connection.browse(), "Speed"))
        await sink.until(lambda s: s.values(1) == [0.0])
        bad = ua.DataValue(ua.Variant(3.0, ua.VariantType.Double), ua.StatusCode(ua.StatusCodes.BadSensorFailure))
        speed = await speed_of(server)
        await server.iserver.write_attribute_value(speed.nodeid, bad)
        await sink.until(lambda s: len(s.values(1)) == 2)
        assert sink.values(1) == [0.0, None]
        assert sink.batches[-1].statuses == [status_code("BadSensorFailure")]


async def test_a_slow_consumer_holds_the_server_back_and_is_not_taken_for_its_silence():
    class Slow(Sink):
        def __init__(self):
            super().__init__()
            self.gate = anyio.Event()

        async def deliver(self, batch):
            await self.gate.wait()
            await super().deliver(batch)

    sink = Slow()
    async with serving(plain) as (url, server), connected(url, sink=sink) as (connection, _):
        await connection.subscribe(
            [MonitoredPoint(1, one.address, one.type, queue=1000) for one in points(await connection.browse(), "Speed")]
        )
        speed = await speed_of(server)
        for number in range(1, 100):
            await speed.write_value(float(number))
            if number % 33 == 0:
                await anyio.sleep(0.05)
        await anyio.sleep(2.5)  # longer than keep_alive
        assert sink.stream == []
        sink.gate.set()
        await sink.until(lambda s: len(s.values(1)) == 100)
        assert sink.values(1) == [float(number) for number in range(100)]
        assert len(sink.batches) < 8  # the rest waited at the server, together
        assert sink.losses == []


async def test_the_overflow_bit_is_a_loss_before_the_batch(publish):
    def overflow(_, result):
        for change in result.NotificationMessage.NotificationData:
            value = change.MonitoredItems[0].Value.Value
            change.MonitoredItems[0].Value = ua.DataValue(value, ua.StatusCode(0x480))
        return result

    async with serving(plain) as (url, _), connected(url) as (connection, sink):
        publish.change = overflow
        await connection.subscribe(points(await connection.browse(), "Speed", "Level"))
        await sink.until(lambda s: s.values(1) == [0.0])
    assert sink.stream[0].cause is GapCause.SERVER_OVERFLOW
    assert sink.stream[0].handles == (sink.stream[1].handles[0],)


async def lose_one(publish, sink, server, connection, *, kept: bool) -> None:
    """Three values, the message with the second one never sent."""

    def drop(subscription, result):
        data = result.NotificationMessage.NotificationData
        if data and data[0].MonitoredItems[0].Value.Value.Value == 2.0:
            if not kept:
                subscription._not_acknowledged_results.clear()
            result = original(subscription)
        return result

    original = InternalSubscription._pop_publish_result.__closure__[1].cell_contents
    if not callable(original):
        original = InternalSubscription._pop_publish_result.__closure__[0].cell_contents
    await connection.subscribe(points(await connection.browse(), "Speed"))
    await sink.until(lambda s: s.values(1) == [0.0])
    publish.change = drop
    speed = await speed_of(server)
    for number in (1.0, 2.0, 3.0):
        await speed.write_value(number)
        await anyio.sleep(0.1)


async def test_a_missed_message_is_asked_for_again(publish):
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        await lose_one(publish, sink, server, connection, kept=True)
        await sink.until(lambda s: len(s.values(1)) == 4)
        assert sink.values(1) == [0.0, 1.0, 2.0, 3.0]
        assert sink.losses == []


async def test_a_missed_message_that_is_gone_is_a_loss_at_its_place(publish):
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        await lose_one(publish, sink, server, connection, kept=False)
        await sink.until(lambda s: s.values(1)[-1:] == [3.0])
        assert sink.values(1) == [0.0, 1.0, 3.0]
        (loss,) = sink.losses
        assert (loss.cause, loss.handles) == (GapCause.MESSAGE_MISSED, (1,))
        at = sink.stream.index(loss)
        assert sink.stream[at - 1].values == [1.0]
        assert sink.stream[at + 1].values == [3.0]


class Liar(bytes):
    """Announces a length that it does not have."""

    def __len__(self) -> int:
        return 2**31 - 1


async def test_an_undecodable_message_is_a_loss_and_data_goes_on(publish):
    def garble(_, result):
        for change in result.NotificationMessage.NotificationData:
            if change.MonitoredItems[0].Value.Value.Value == 1.0:
                change.MonitoredItems[0].Value = ua.DataValue(ua.Variant(Liar(b"xx"), ua.VariantType.ByteString))
        return result

    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        publish.change = garble
        await connection.subscribe(points(await connection.browse(), "Speed", "Level"))
        await sink.until(lambda s: s.values(1) == [0.0])
        speed = await speed_of(server)
        for number in (1.0, 2.0):
            await speed.write_value(number)
            await anyio.sleep(0.1)
        await sink.until(lambda s: s.values(1)[-1:] == [2.0])
        (loss,) = sink.losses
        assert (loss.cause, loss.handles) == (GapCause.UNDECODABLE, (1, 2))
        subscription = next(iter(server.iserver.subscription_service.subscriptions.values()))
        assert len(subscription._not_acknowledged_results) <= 2  # the damaged one was acknowledged, too


async def test_a_subscription_that_the_server_dropped_is_made_again(publish):
    def end(_, result):
        publish.change = None
        result.NotificationMessage.NotificationData = [ua.StatusChangeNotification(Status=ua.StatusCode(0x800A0000))]
        return result

    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        await connection.subscribe(points(await connection.browse(), "Speed"))
        await sink.until(lambda s: s.values(1) == [0.0])
        publish.change = end
        speed = await speed_of(server)
        await speed.write_value(1.0)
        await sink.until(lambda s: len(s.losses) == 1 and s.values(1)[-1:] == [1.0])
        assert sink.losses[0].cause is GapCause.SUBSCRIPTION_RECREATED
        await speed.write_value(2.0)
        await sink.until(lambda s: s.values(1)[-1:] == [2.0])


async def forget(server, *, say_so: bool) -> None:
    """Delete all subscriptions; a standard server answers the requests that wait, asyncua's leaves them waiting."""
    service = server.iserver.subscription_service
    await service.delete_subscriptions(list(service.subscriptions))
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadNoSubscription)
    for client in server.bserver.clients:
        while say_so and client.processor._publish_requests:
            waiting = client.processor._publish_requests.popleft()
            client.processor.send_response(waiting.requesthdr.RequestHandle, waiting.seqhdr, fault)


@pytest.mark.parametrize("say_so", [True, False])
async def test_subscriptions_forgotten_by_the_server_are_made_again_once(say_so):
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        await connection.subscribe(points(await connection.browse(), "Speed"))
        await sink.until(lambda s: s.values(1) == [0.0])
        await forget(server, say_so=say_so)
        await (await speed_of(server)).write_value(4.0)
        await sink.until(lambda s: s.values(1)[-1:] == [4.0], 10)
        assert [loss.cause for loss in sink.losses] == [GapCause.SUBSCRIPTION_RECREATED]
        assert len(server.iserver.subscription_service.subscriptions) == 1


async def test_too_many_publish_requests_are_fewer(monkeypatch):
    original = UaProcessor._process_message
    refused = []

    async def process(self, typeid, requesthdr, seqhdr, body):
        is_publish = typeid == ua.NodeId(ua.ObjectIds.PublishRequest_Encoding_DefaultBinary)
        if is_publish and len(self._publish_requests) >= 1:
            refused.append(1)
            raise ua.uaerrors.BadTooManyPublishRequests
        return await original(self, typeid, requesthdr, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", process)
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        await connection.subscribe(points(await connection.browse(), "Speed"))
        speed = await speed_of(server)
        for number in range(1, 20):
            await speed.write_value(float(number))
            await anyio.sleep(0.03)
        await sink.until(lambda s: s.values(1)[-1:] == [19.0])
        assert sink.values(1) == [float(number) for number in range(20)]
        assert 1 <= len(refused) <= 3


async def test_items_are_spread_over_subscriptions_that_are_full(monkeypatch):
    async def fill(server, idx):
        for number in range(25):
            await server.nodes.objects.add_variable(ua.NodeId(f"V{number}", idx), f"{idx}:V{number}", number)

    original = MonitoredItemService.create_monitored_items

    async def create(self, params):
        made = []
        for item in params.ItemsToCreate:
            if len(self._monitored_items) >= 10:
                made.append(ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadTooManyMonitoredItems)))
            else:
                params.ItemsToCreate = [item]
                made += await original(self, params)
        return made

    monkeypatch.setattr(MonitoredItemService, "create_monitored_items", create)
    async with serving(fill) as (url, server), connected(url) as (connection, sink):
        wanted = points(await connection.browse(), *[f"V{number}" for number in range(25)])
        assert await connection.subscribe(wanted) == [0] * 25
        assert len(server.iserver.subscription_service.subscriptions) == 3
        await sink.until(lambda s: all(s.values(number + 1) == [number] for number in range(25)))


@pytest.mark.parametrize("limit", [1, 7])
async def test_a_server_that_takes_little_at_once(monkeypatch, limit):
    """Undeclared limits: the batch is halved until the server takes it."""

    async def fill(server, idx):
        for number in range(20):
            await server.nodes.objects.add_variable(ua.NodeId(f"V{number}", idx), f"{idx}:V{number}", number)

    original = UaProcessor._process_message
    parameters = {
        ua.ObjectIds.ReadRequest_Encoding_DefaultBinary: (ua.ReadParameters, "NodesToRead"),
        ua.ObjectIds.BrowseRequest_Encoding_DefaultBinary: (ua.BrowseParameters, "NodesToBrowse"),
    }
    largest = []

    async def process(self, typeid, requesthdr, seqhdr, body):
        if typeid.Identifier in parameters:
            cls, name = parameters[typeid.Identifier]
            many = len(getattr(struct_from_binary(cls, body.copy()), name))
            if many > limit:
                raise ua.uaerrors.BadTooManyOperations
            largest.append(many)
        return await original(self, typeid, requesthdr, seqhdr, body)

    monkeypatch.setattr(UaProcessor, "_process_message", process)
    async with serving(fill) as (url, _), connected(url, QUICK) as (connection, sink):
        facts = await connection.browse()
        wanted = points(facts, *[f"V{number}" for number in range(20)])
        assert facts.notes == []
        assert [one.value for one in await connection.read([one.address for one in wanted])] == list(range(20))
        assert await connection.subscribe(wanted) == [0] * 20
        await sink.until(lambda s: s.values(20) == [19])
        assert max(largest) <= limit


async def test_nan_and_infinity_are_values():
    async with serving(plain) as (url, server), connected(url) as (connection, sink):
        await connection.subscribe(points(await connection.browse(), "Speed"))
        await sink.until(lambda s: s.values(1) == [0.0])
        await (await speed_of(server)).write_value(math.inf)
        await sink.until(lambda s: s.values(1) == [0.0, math.inf])
