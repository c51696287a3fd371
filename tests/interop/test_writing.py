"""Each type is written as it is and read back the same; what does not fit is refused and never reaches the server.

The server's own log is the judge.
"""

from pathlib import Path
from typing import Any

import pytest

from dtios.model.errors import DtiosError, RefusedError
from dtios.model.values import LocalizedText, Record
from dtios.model.wire import from_json, to_json
from dtios.sdk.client import Client
from tests.interop.reach import reached
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Dtios

pytestmark = pytest.mark.interop

GUID = "72962b91-fa75-4ae6-8d28-b404dc7daf63"
LEAVE = object()
"""The server's log has its own form of it."""

WRITES: list[tuple[str, Any, Any]] = [
    ("Boolean", True, True),
    ("SByte", -128, -128),
    ("Byte", 255, 255),
    ("Int16", -32768, -32768),
    ("UInt16", 65535, 65535),
    ("Int32", -(2**31), -(2**31)),
    ("UInt32", 2**32 - 1, 2**32 - 1),
    ("Int64", "-9223372036854775808", "-9223372036854775808"),
    ("Int64", "9223372036854775807", "9223372036854775807"),
    ("UInt64", "18446744073709551615", "18446744073709551615"),
    ("Float", 1.5, 1.5),
    ("Float", 3.4028234663852886e38, 3.4028234663852886e38),
    ("Double", 0.1, 0.1),
    ("Double", 5e-324, 5e-324),
    ("String", "naïve ☃ \u0000 end", "naïve ☃ \u0000 end"),
    ("DateTime", "2024-02-29T12:34:56.789Z", "2024-02-29T12:34:56.789Z"),
    ("DateTime", "1650-01-01T00:00:00Z", "1650-01-01T00:00:00.000Z"),
    ("DateTime", "2500-06-07T08:09:10Z", "2500-06-07T08:09:10.000Z"),
    ("Guid", GUID, GUID.upper()),
    ("ByteString", "AAH+/w==", "AAH+/w=="),
    ("XmlElement", "<a>1</a>", "<a>1</a>"),
    ("NodeId", "nsu=urn:interop:strange;s=names.0", LEAVE),
    ("ExpandedNodeId", "i=2253", LEAVE),
    ("StatusCode", "BadOutOfService", LEAVE),
    ("QualifiedName", {"name": "Thing", "namespace": "urn:interop:strange"}, LEAVE),
    ("LocalizedText", {"text": "Hallo", "locale": "de"}, LEAVE),
    ("Doubles", [1.5, -2.5], [1.5, -2.5]),
    ("Doubles", [], []),
    ("Int64s", ["1", "-1"], ["1", "-1"]),
    ("Strings", ["a", None, ""], ["a", None, ""]),
    ("Texts", [{"text": "x", "locale": "de"}], LEAVE),
    ("ByteStrings", ["AA==", ""], ["AA==", ""]),
    ("Matrix", [[1, 2, 3], [4, 5, 6]], [1, 2, 3, 4, 5, 6]),
    ("Anything", 2.5, 2.5),
    ("Point", {"X": 1.5, "Y": -2}, {"x": 1.5, "y": -2}),
    ("Points", [{"X": 1, "Y": 2}, {"X": 3, "Y": 4}], [{"x": 1, "y": 2}, {"x": 3, "y": 4}]),
    ("Colour", {"value": 7, "name": "Blue"}, 7),
    ("Route", {
        "Name": "r", "Colour": {"value": 1, "name": "Green"}, "Points": [{"X": 1, "Y": 2}],
        "Comment": None, "Limit": 2.5, "Marks": [1],
    }, LEAVE),
]  # fmt: skip

REFUSED: list[tuple[str, Any]] = [
    ("SByte", -129), ("Byte", 256), ("Byte", -1), ("Int16", 2**15), ("UInt16", -1), ("Int32", 2**31), ("UInt32", 2**32),
    ("Int64", 2**63), ("UInt64", 2**64), ("UInt64", -1), ("Int32", 1.5), ("Int32", "1"), ("Int32", True), ("Boolean", 1),
    ("String", 5), ("Float", 1e39), ("Double", float("nan")), ("Double", float("inf")), ("Float", float("-inf")), ("Double", "1"),
    ("Double", None), ("Double", [1.0]), ("Doubles", 1.0), ("Doubles", [1.0, float("nan")]), ("Doubles", [[1.0]]),
    ("Matrix", [[1, 2], [3]]), ("Matrix", [1, 2]), ("Colour", 2), ("Point", Record("PointDataType", {"X": 1.0})),
    ("Point", Record("PointDataType", {"X": 1.0, "Y": float("nan")})), ("Point", LocalizedText("x")), ("ByteString", "text"),
    ("Guid", GUID), ("DateTime", "2024-01-01"), ("DateTime", 10**30),
]  # fmt: skip


def told(server: MachineProcess, name: str) -> list[Any]:
    return [call["args"][0] for call in server.calls("write") if call["node"] == f"Writable/{name}"]


async def written(client: Client, name: str, form: Any) -> Any:
    """What the machine shows after the write, as JSON."""
    types = {s.path: s.type for s in (await client.describe("Oddball")).machine.signals}
    type = types[f"Writable/{name}"]
    answer = await client.write("Oddball", f"Writable/{name}", from_json(form, type))
    assert (answer.status, answer.confirmed) == (0, True), (name, form, answer)
    assert answer.value is not None
    return to_json(answer.value.value, type)


async def test_each_type_is_written_and_read_back(tmp_path: Path, interop_server: MachineProcess) -> None:
    async with reached(tmp_path, interop_server.endpoint) as client:
        for name, form, logged in WRITES:
            assert await written(client, name, form) == form, name
            if logged is not LEAVE:
                assert told(interop_server, name)[-1] == logged, name
        length = await client.write("Oddball", "SetPoints/Length", 100)
        assert (length.confirmed, length.value.value if length.value else None) == (True, 100.0)


async def test_what_does_not_fit_never_reaches_the_server(tmp_path: Path, interop_server: MachineProcess) -> None:
    before = len(interop_server.calls("write"))
    async with reached(tmp_path, interop_server.endpoint) as client:
        for name, value in REFUSED:
            with pytest.raises(RefusedError) as refusal:
                await client.write("Oddball", f"Writable/{name}", value)
            assert name in refusal.value.where, (name, value, refusal.value)
            assert refusal.value.mend, (name, value)
        for beyond in (-0.1, 100.1, 1e300):
            with pytest.raises(RefusedError, match="Length"):
                await client.write("Oddball", "SetPoints/Length", beyond)
        for name in ("ReadOnly", "NotForYou", "NoAccess"):
            with pytest.raises(RefusedError, match="does not let this user write"):
                await client.write("Oddball", f"Access/{name}", 2)
        with pytest.raises(DtiosError):
            await client.write("Oddball", "SetPoints/Lenght", 2)
    assert len(interop_server.calls("write")) == before


def test_on_the_command_line(dtios: Dtios, interop_server: MachineProcess) -> None:
    def write(signal: str, text: str) -> Any:
        return dtios("write", interop_server.endpoint, "--machine", "Oddball", "--json", signal, "--", text)

    for name, text, value in (
        ("Int64", "-5", "-5"),
        ("Point", '{"X": 3, "Y": 4}', {"X": 3, "Y": 4}),
    ):
        ended = write(f"Writable/{name}", text)
        assert ended.lines == [
            {"machine": "Oddball", "signal": f"Writable/{name}", "value": value, "status": "Good", "confirmed": True}
        ], ended
    before = len(interop_server.calls("write"))
    for signal, text, status in (
        ("Writable/Double", "NaN", 1), ("Writable/UInt64", str(2**64), 1), ("Writable/Colour", "Mauve", 2),
    ):  # fmt: skip
        ended = write(signal, text)
        assert (ended.status, ended.error["where"]) == (status, f"Oddball {signal}"), ended
    assert len(interop_server.calls("write")) == before
