"""Events: what goes out and comes in as bytes is what another stack (asyncua's protocol classes) makes of it; what they mean."""

from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import extensionobject_from_binary, struct_to_binary

from dtios.model.status import status_code
from dtios.model.values import LATEST, LocalizedText, NodeId, QualifiedName, StatusCode
from dtios_opcua.binary.decoder import Decoder
from dtios_opcua.binary.nodeid import Namespaces
from dtios_opcua.binary.notification import decode_notifications
from dtios_opcua.binary.standard_types import standard_types
from dtios_opcua.binary.typetable import TypeTable
from dtios_opcua.binary.wire import Undecodable
from dtios_opcua.observing.event_filter import BASE, CONDITION, Clause, event_filter
from dtios_opcua.observing.told import condition_of, event_of, is_there

SPACES = Namespaces(("http://opcfoundation.org/UA/", "urn:server", "urn:maker"))
ALARM = (QualifiedName("http://opcfoundation.org/UA/", "OffNormalAlarmType"),)


def decoder() -> Decoder:
    return Decoder(TypeTable(SPACES, standard_types()))


def notification(*events: tuple[int, list[ua.Variant]]) -> bytes:
    made = ua.EventNotificationList(Events=[ua.EventFieldList(ClientHandle=h, EventFields=fields) for h, fields in events])
    return struct_to_binary(made)


def test_the_filter_is_what_another_stack_reads() -> None:
    clauses = [*BASE.values(), *CONDITION.values(), Clause((2, "Type"), ((2, "Größe"), (0, "Id")))]
    read: Any = extensionobject_from_binary(Buffer(event_filter(clauses)))
    assert isinstance(read, ua.EventFilter)
    assert not read.WhereClause.Elements
    assert len(read.SelectClauses) == len(clauses)
    for clause, operand in zip(clauses, read.SelectClauses, strict=True):
        assert (operand.TypeDefinitionId.NamespaceIndex, operand.TypeDefinitionId.Identifier) == clause.type
        assert tuple((step.NamespaceIndex, step.Name) for step in operand.BrowsePath) == clause.path
        assert operand.AttributeId == clause.attribute
        assert operand.IndexRange is None
    condition = read.SelectClauses[len(BASE)]
    assert (condition.BrowsePath, condition.AttributeId) == ([], ua.AttributeIds.NodeId)


def test_events_are_decoded_beside_values() -> None:
    fields = [
        ua.Variant(b"\x01\x02", ua.VariantType.ByteString),
        ua.Variant(ua.NodeId(2915)),
        ua.Variant(None),
        ua.Variant(700, ua.VariantType.UInt16),
    ]
    columns = decode_notifications(decoder(), [((0, 916), notification((3, fields), (4, [])))])
    assert columns.events == [(3, [b"\x01\x02", NodeId("i=2915"), None, 700]), (4, [])]
    assert columns.handles == []


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_message_that_ends_inside_an_event_is_undecodable(cut: int) -> None:
    whole = notification((3, [ua.Variant(b"\x01\x02", ua.VariantType.ByteString), ua.Variant("source")]))
    with pytest.raises(Undecodable):
        decode_notifications(decoder(), [((0, 916), whole[:-cut])])


def test_a_count_beyond_the_message_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        decode_notifications(decoder(), [((0, 916), b"\xff\xff\xff\x7f" + bytes(100))])


FIELDS: dict[str, Any] = {
    "EventId": b"\x07",
    "SourceNode": NodeId("nsu=urn:maker;s=Door"),
    "SourceName": "Door",
    "Time": 1_700_000_000_000_000_000,
    "Message": LocalizedText("the door is open", "en"),
    "Severity": 700,
    "ConditionId": NodeId("nsu=urn:maker;s=DoorAlarm"),
    "ConditionName": "DoorAlarm",
    "BranchId": NodeId("i=0"),
    "Retain": True,
    "EnabledState/Id": True,
    "ActiveState/Id": True,
    "AckedState/Id": False,
    "ConfirmedState/Id": False,
}


def test_a_condition_is_what_its_fields_say() -> None:
    told = condition_of(FIELDS, ALARM)
    condition = told.condition
    assert (told.source, told.address, told.event) == ("nsu=urn:maker;s=Door", "nsu=urn:maker;s=DoorAlarm", b"\x07")
    assert (condition.condition, condition.name, condition.type) == (
        "nsu=urn:maker;s=DoorAlarm",
        "DoorAlarm",
        "OffNormalAlarmType",
    )
    assert (condition.source, condition.message, condition.severity) == ("Door", "the door is open", 700)
    assert (condition.active, condition.acknowledged, condition.confirmed, condition.retain) == (True, False, False, True)
    assert (condition.shelved, condition.suppressed, condition.status) == (False, False, 0)


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"BranchId": NodeId("nsu=urn:server;g=1")}, "condition", "nsu=urn:maker;s=DoorAlarm#nsu=urn:server;g=1"),
        ({"ConditionId": None}, "condition", "nsu=urn:maker;s=Door/DoorAlarm"),
        ({"EnabledState/Id": False}, "retain", False),
        ({"Retain": False}, "retain", False),
        ({"AckedState/Id": None, "ConfirmedState/Id": None}, "acknowledged", True),
        ({"AckedState/Id": None, "ConfirmedState/Id": None}, "confirmed", True),
        ({"ActiveState/Id": None}, "active", True),
        ({"ActiveState/Id": StatusCode(status_code("BadNodeIdUnknown"))}, "active", True),
        ({"ShelvingState/CurrentState/Id": NodeId("i=2930")}, "shelved", False),
        ({"ShelvingState/CurrentState/Id": NodeId("i=2932")}, "shelved", True),
        ({"ShelvingState/CurrentState/Id": NodeId("nsu=urn:maker;i=9")}, "shelved", False),
        ({"ShelvingState/CurrentState": LocalizedText("One Shot Shelved", "")}, "shelved", True),
        ({"ShelvingState/CurrentState": LocalizedText("Unshelved", "en")}, "shelved", False),
        ({"Quality": StatusCode(status_code("BadSensorFailure"))}, "status", status_code("BadSensorFailure")),
        ({"Severity": 0}, "severity", 1),
        ({"Severity": 65535}, "severity", 1000),
        ({"Severity": "high"}, "severity", 1),
        ({"Severity": True}, "severity", 1),
        ({"Time": LATEST}, "time", None),
        ({"Message": LocalizedText("x" * 1_000_000, "")}, "message", "x" * 4_096),
        ({"Time": None}, "time", None),
        ({"SourceName": None}, "source", "nsu=urn:maker;s=Door"),
        ({"Message": StatusCode(status_code("BadAttributeIdInvalid"))}, "message", ""),
    ],
)
def test_what_is_not_there_or_not_as_the_standard_says(fields: dict[str, Any], attribute: str, value: object) -> None:
    assert getattr(condition_of({**FIELDS, **fields}, ALARM).condition, attribute) == value


def test_an_event_has_the_fields_that_were_there() -> None:
    path, other, third = ((QualifiedName("urn:maker", name),) for name in "abc")
    event = event_of(FIELDS, ALARM, {path: 1.5, other: None, third: StatusCode(status_code("BadNodeIdUnknown"))})
    assert dict(event.fields) == {path: 1.5}
    assert (event.source, event.event, event.severity, event.types) == ("nsu=urn:maker;s=Door", "07", 700, ALARM)
    assert is_there(StatusCode(0)), "a good StatusCode may be a value"
