"""Browse facts, reads, writes and calls against a real server."""

import pytest
from asyncua import ua
from asyncua.common.structures104 import new_struct, new_struct_field
from opcua_server import URI, connected, find, points, rich, serving

from dtios.mapping.facts import NodeKind, ReferenceKind
from dtios.model.datatypes import BuiltinType
from dtios.model.machine import Access, Range, Unit
from dtios.model.status import status_code
from dtios.model.values import DateTime, QualifiedName, Record
from dtios.sdk.adapter import Call, MonitoredPoint, Write
from dtios.sdk.errors import ConfigurationError, RefusedError


def allowed() -> None:
    """The gate has nothing against it."""


async def test_an_unknown_server_is_described():
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
    assert facts.notes == []
    assert facts.namespaces[-1] == URI
    mill = find(facts, "Mill")
    assert mill.address == f"nsu={URI};s=Mill"
    assert mill.kind is NodeKind.OBJECT
    assert [name.name for name in mill.types] == ["MillType", "BaseMachineType", "BaseObjectType"]
    assert mill.types[0] == QualifiedName(URI, "MillType")
    assert all(node.name.name != "Server" for node in facts.root.walk())
    assert {how for how, _ in mill.children} == {ReferenceKind.COMPONENT}

    speed = find(facts, "Speed")
    assert (speed.unit, speed.range, speed.access) == (Unit("MTR", "m"), Range(0, 100), Access.READ_WRITE)
    assert {how for how, _ in speed.children} == {ReferenceKind.PROPERTY}
    pressure = find(facts, "Pressure")
    assert (pressure.unit, pressure.access, pressure.type.builtin) == (Unit(None, "blob"), Access.READ, BuiltinType.UInt16)
    matrix = find(facts, "Matrix")
    assert matrix.type.label() in ("Int16[][]", "Int16[2][2]")

    light = find(facts, "Light").type
    assert (light.builtin, light.name, light.members) == (BuiltinType.Int32, "Color", ((0, "Red"), (1, "Green")))
    assert light.is_enumeration
    track = find(facts, "Track").type
    assert [one.name for one in track.fields] == ["Points", "Name", "Started"]
    assert [one.optional for one in track.fields] == [False, True, False]
    assert [one.name for one in track.fields[0].type.fields] == ["X", "Y"]
    assert track.fields[0].type.rank == 1

    double = find(facts, "Double")
    assert double.executable
    assert [(one.name, one.type.builtin, one.description) for one in double.inputs] == [
        ("value", BuiltinType.Double, "what to double")
    ]
    assert [one.name for one in double.outputs] == ["result"]


async def test_children_come_in_node_id_order_and_shared_nodes_once():
    async def fill(server, idx):
        top = await server.nodes.objects.add_object(idx, "Top")
        for number in (30, 9, 200):
            await top.add_variable(ua.NodeId(number, idx), ua.QualifiedName("V", idx), number)
        other = await server.nodes.objects.add_object(idx, "Other")
        await other.add_reference(ua.NodeId(9, idx), ua.ObjectIds.Organizes)
        await other.add_reference(top, ua.ObjectIds.Organizes)
        await top.add_reference(other, ua.ObjectIds.HasEventSource)  # a loop

    async with serving(fill) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
    top, other = find(facts, "Top"), find(facts, "Other")
    assert [node.address.rpartition("=")[2] for _, node in top.children] == ["2", "9", "30", "200"]
    assert other.child(QualifiedName("*", "V")) is top.children[1][1]
    assert sum(1 for _ in facts.root.walk()) == 6


async def test_interfaces_and_add_ins_are_among_the_types():
    async def fill(server, idx):
        base = server.get_node(ua.NodeId(17602))  # BaseInterfaceType
        interface = await base.add_object_type(idx, "IMachine")
        machine = await server.nodes.objects.add_object(idx, "Machine")
        await machine.add_reference(interface, ua.ObjectIds.HasInterface)
        plug = await server.nodes.base_object_type.add_object_type(idx, "LockType")
        lock = await machine.add_object(idx, "Lock", plug.nodeid)
        await machine.delete_reference(lock, ua.ObjectIds.HasComponent)
        await machine.add_reference(lock, ua.ObjectIds.HasAddIn)

    async with serving(fill) as (url, _), connected(url) as (connection, _):
        machine = find(await connection.browse(), "Machine")
    names = [name.name for name in machine.types]
    assert names[0] == "BaseObjectType"
    assert "IMachine" in names
    assert "LockType" in names
    assert [(how, node.name.name) for how, node in machine.children] == [(ReferenceKind.COMPONENT, "Lock")]


async def test_a_bad_node_is_a_note():
    async def fill(server, idx):
        good = await server.nodes.objects.add_object(idx, "Good")
        await good.add_variable(idx, "Fine", 1.0)
        odd = await good.add_variable(idx, "Odd", 1.0, datatype=ua.NodeId("gone", idx))
        await odd.add_property(0, "EURange", "not a range")

    async with serving(fill) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
    assert find(facts, "Fine").type.builtin is BuiltinType.Double
    assert find(facts, "Odd").type.builtin is BuiltinType.Variant
    assert find(facts, "Odd").range is None
    assert any("Odd" in note and "data type" in note for note in facts.notes)
    assert any("EURange" in note for note in facts.notes)


async def test_reads_come_in_the_order_asked():
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
        speed, track, matrix = (find(facts, name).address for name in ("Speed", "Track", "Matrix"))
        values = await connection.read([track, f"nsu={URI};s=gone", "nsu=urn:nobody;i=1", speed, matrix, "i=2259"])
    assert values[0].value["Points"] == [Record("Point", {"X": 1.0, "Y": 2.0})]
    assert [one.status for one in values[1:3]] == [status_code("BadNodeIdUnknown")] * 2
    assert values[1].value is None
    assert values[3].value == 10.0
    assert values[3].source_time is not None
    assert values[4].value == [[1, 2], [3, 4]]
    assert values[5].value == 0


async def test_structures_are_read_without_a_browse_before():
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        address = f"nsu={URI};i=0"
        facts = await connection.browse()
        address = find(facts, "Track").address
        async with connected(url) as (fresh, _):
            (value,) = await fresh.read([address])
    assert value.value.type == "Path"


async def test_writes_have_exact_types_and_no_times():
    async with serving(rich) as (url, server), connected(url) as (connection, _):
        facts = await connection.browse()
        speed, track = find(facts, "Speed"), find(facts, "Track")
        moment = DateTime(1_700_000_000_123_456_700)
        path = Record("Path", {"Points": [{"X": 5, "Y": 6.5}], "Started": moment})
        writes = [Write(speed.address, 7, speed.type), Write(track.address, path, track.type)]
        assert await connection.write(writes, allowed) == [0, 0]
        idx = await server.get_namespace_index(URI)
        held = await server.get_node(ua.NodeId("Speed", idx)).read_data_value()
        assert held.Value == ua.Variant(7.0, ua.VariantType.Double)
        assert held.SourceTimestamp is None
        (back,) = await connection.read([track.address])
    assert back.value["Points"] == [Record("Point", {"X": 5.0, "Y": 6.5})]
    assert "Name" not in back.value.fields


async def test_what_may_not_be_written_is_answered_with_its_status():
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
        pressure, speed = find(facts, "Pressure"), find(facts, "Speed")
        statuses = await connection.write(
            [Write(pressure.address, 1, pressure.type), Write(speed.address, 1.0, speed.type)], allowed
        )
        assert statuses[0] in (status_code("BadUserAccessDenied"), status_code("BadNotWritable"))
        assert statuses[1] == 0
        with pytest.raises(RefusedError, match="does not fit UInt16"):
            await connection.write([Write(pressure.address, 70_000, pressure.type)], allowed)
        with pytest.raises(ConfigurationError, match="namespace"):
            await connection.write([Write("nsu=urn:gone;i=1", 1.0, speed.type)], allowed)


async def test_calls_and_their_refusals():
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
        mill, double = find(facts, "Mill"), find(facts, "Double")
        type_ = double.inputs[0].type
        assert await connection.call(Call(mill.address, double.address, [(21, type_)]), allowed) == [42.0]
        with pytest.raises(RefusedError, match="BadInvalidState"):
            await connection.call(Call(mill.address, double.address, [(-1.0, type_)]), allowed)
        with pytest.raises(ConfigurationError, match="'x' is not a Double"):
            await connection.call(Call(mill.address, double.address, [("x", type_)]), allowed)
        with pytest.raises(ConfigurationError, match="Bad"):
            await connection.call(Call(mill.address, f"nsu={URI};s=gone", []), allowed)


async def test_the_last_check_stands_before_the_socket():
    def no():
        raise RefusedError("the lease is gone")

    async with serving(rich) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
        speed, mill, double = (find(facts, name) for name in ("Speed", "Mill", "Double"))
        with pytest.raises(RefusedError, match="lease"):
            await connection.write([Write(speed.address, 99.0, speed.type)], no)
        with pytest.raises(RefusedError, match="lease"):
            await connection.call(Call(mill.address, double.address, [(1.0, speed.type)]), no)
        assert (await connection.read([speed.address]))[0].value == 10.0  # and the channel is whole


async def test_two_servers_with_the_same_ids_and_other_structures():
    """asyncua would decode both with the class registered last."""

    def structured(names, before=None):
        async def fill(server, idx):
            fields = [new_struct_field(name, ua.VariantType.Double) for name in names]
            kind, (encoding,) = await new_struct(server, ua.NodeId(9000, idx), "Thing", fields)
            raw = ua.ExtensionObject(TypeId=encoding.nodeid, Body=b"".join([b"\0" * 6 + b"\xf0\x3f" for _ in names]))
            value = ua.Variant(raw, ua.VariantType.ExtensionObject)
            await server.nodes.objects.add_variable(ua.NodeId("V", idx), "V", value, datatype=kind.nodeid)

        return fill

    async with (
        serving(structured(["A", "B"])) as (first, _),
        serving(structured(["C"])) as (second, _),
        connected(first) as (one, _),
        connected(second) as (other, _),
    ):
        address = f"nsu={URI};s=V"
        assert (await one.read([address]))[0].value == Record("Thing", {"A": 1.0, "B": 1.0})
        assert (await other.read([address]))[0].value == Record("Thing", {"C": 1.0})
        assert (await one.read([address]))[0].value == Record("Thing", {"A": 1.0, "B": 1.0})


async def test_a_field_of_an_alias_of_string():
    """MachineVision's TrimmedString: asyncua's own loader stops there."""

    async def fill(server, idx):
        alias = await server.get_node(ua.NodeId(12)).add_data_type(idx, "TrimmedString")
        fields = [new_struct_field("Name", alias.nodeid), new_struct_field("Count", ua.VariantType.UInt32)]
        kind, (encoding,) = await new_struct(server, idx, "Part", fields)
        body = b"\x03\x00\x00\x00abc" + b"\x07\x00\x00\x00"
        value = ua.Variant(ua.ExtensionObject(TypeId=encoding.nodeid, Body=body), ua.VariantType.ExtensionObject)
        await server.nodes.objects.add_variable(idx, "Part1", value, datatype=kind.nodeid)

    async with serving(fill) as (url, _), connected(url) as (connection, _):
        facts = await connection.browse()
        part = find(facts, "Part1")
        assert part.type.fields[0].type.builtin is BuiltinType.String
        assert (await connection.read([part.address]))[0].value == Record("Part", {"Name": "abc", "Count": 7})


async def test_one_broken_definition_blocks_no_other():
    async def fill(server, idx):
        broken = [new_struct_field("X", ua.NodeId("nowhere", idx))]
        kind, (encoding,) = await new_struct(server, idx, "Broken", broken)
        whole, (whole_encoding,) = await new_struct(server, idx, "Whole", [new_struct_field("X", ua.VariantType.Byte)])
        for name, data_type, code in (("B", kind, encoding), ("W", whole, whole_encoding)):
            value = ua.Variant(ua.ExtensionObject(TypeId=code.nodeid, Body=b"\x05"), ua.VariantType.ExtensionObject)
            await server.nodes.objects.add_variable(idx, name, value, datatype=data_type.nodeid)

    async with serving(fill) as (url, _), connected(url) as (connection, sink):
        facts = await connection.browse()
        b, w = await connection.read([find(facts, "B").address, find(facts, "W").address])
        assert w.value == Record("Whole", {"X": 5})
        assert b.value.fields == {"Body": b"\x05"}
        assert await connection.subscribe(points(facts, "B", "W")) == [0, 0]
        await sink.until(lambda s: s.values(2) == [Record("Whole", {"X": 5})])


async def test_addresses_last_when_the_namespaces_come_in_another_order():
    async with serving(rich) as (url, _), connected(url) as (connection, _):
        before = find(await connection.browse(), "Speed").address
        mark = await connection.fingerprint()
    async with serving(rich, before=("urn:new:one", "urn:new:two")) as (url, _), connected(url) as (connection, sink):
        assert (await connection.read([before]))[0].value == 10.0
        assert await connection.fingerprint() != mark
        facts = await connection.browse()
        assert find(facts, "Speed").address == before
        assert await connection.subscribe([MonitoredPoint(1, before, find(facts, "Speed").type)]) == [0]
        await sink.until(lambda s: s.values(1) == [10.0])


async def test_arrays_with_empty_dimensions_beside_others():
    async def fill(server, idx):
        for name, value in (("Empty", []), ("Full", [1, 2])):
            variant = ua.Variant(value, ua.VariantType.Int32, is_array=True)
            if name == "Empty":
                variant.Dimensions = [0, 0]
            await server.nodes.objects.add_variable(idx, name, variant)

    async with serving(fill) as (url, _), connected(url) as (connection, sink):
        facts = await connection.browse()
        empty, full = await connection.read([find(facts, "Empty").address, find(facts, "Full").address])
        assert (empty.value, empty.status) == ([], 0)
        assert full.value == [1, 2]
        await connection.subscribe(points(facts, "Empty", "Full"))
        await sink.until(lambda s: s.values(1) == [[]] and s.values(2) == [[1, 2]])
