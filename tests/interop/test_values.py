"""Each value of the servers comes as what it is: read and watched from the command line, and as an app receives it."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from dtios.model.values import DateTime, LocalizedText, NodeId, QualifiedName, Record, StatusCode
from tests.interop.expected import BAD, EXTREMES, KINDS, ODDBALL
from tests.interop.reach import changes_of, reached
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Dtios

pytestmark = pytest.mark.interop

FIRST = {path: (value, "Good") for path, value in ODDBALL.items()} | BAD
RARE = {path: (value, "Good") for path, value in (KINDS | EXTREMES).items()} | {
    "Extremes/Unset": (None, "UncertainInitialValue"),
    "Flags/NotForUsers": (None, "BadNotReadable"),
}
UNSEEN = {"Access/WriteOnly", "Access/NoAccess", "Flags/NotForUsers"}
"""They can be read on demand, to be told that they cannot; nothing is to be watched of them."""


@pytest.mark.parametrize(("name", "wanted"), [("Oddball", FIRST), ("Rare", RARE)])
def test_read_and_watched(
    dtios: Dtios, interop_server: MachineProcess, bare_server: MachineProcess, name: str, wanted: dict[str, Any]
) -> None:
    endpoint = (interop_server if name == "Oddball" else bare_server).endpoint
    read = dtios("read", endpoint, "--machine", name, *wanted, "--json")
    assert read.status == 0, read.err
    assert {line["signal"]: (line["value"], line["status"]) for line in read.lines} == wanted
    if name == "Rare":
        (stamped,) = [line for line in read.lines if line["signal"] == "Flags/Stamped"]
        assert stamped["source_time"] == "2020-01-02T03:04:05.678Z"
        assert stamped["server_time"] > stamped["source_time"]
    watched = [path for path in wanted if path not in UNSEEN]
    lines = dtios("watch", endpoint, "--machine", name, *watched, "--count", str(len(watched)), "--json").lines
    assert {line["signal"]: (line["value"], line["status"]) for line in lines} == {path: wanted[path] for path in watched}
    assert all(line["machine"] == name and line["receive_time"].endswith("Z") for line in (*read.lines, *lines))


async def test_as_an_app_receives_them(tmp_path: Path, interop_server: MachineProcess) -> None:
    wanted = {
        "Scalars/DateTime": DateTime(1_709_210_096_789_000_000),
        "Scalars/Guid": uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63"),
        "Scalars/ByteString": b"\x00\x01\xfe\xff",
        "Scalars/NodeId": NodeId("i=85"),
        "Scalars/StatusCode": StatusCode(0x808D0000),
        "Scalars/QualifiedName": QualifiedName("urn:interop:strange", "Thing"),
        "Scalars/LocalizedText": LocalizedText("Hallo", "de"),
        "Scalars/UInt64": 2**64 - 1,
        "Structures/BareRoute": Record("RouteDataType", {"Name": "bare", "Colour": 1, "Points": []}),
        "Structures/Points": [Record("PointDataType", {"X": 1.0, "Y": 2.0}), Record("PointDataType", {"X": 3.0, "Y": 4.0})],
        "Arrays/Matrix": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
    }
    async with reached(tmp_path, interop_server.endpoint) as client:
        seen = await changes_of(client, "Oddball", [*wanted, "Access/Failing", "Access/Doubtful"])
        read = {path: value.value for path, value in await client.read("Oddball", list(wanted))}
    assert seen.pop("Access/Failing") == (None, "BadDeviceFailure")
    assert seen.pop("Access/Doubtful") == (3.25, "UncertainInitialValue")
    assert {path: value for path, (value, _) in seen.items()} == read == wanted
    for path, value in wanted.items():
        assert type(seen[path][0]) is type(value), path
