"""A third party's discovery server, and one that registers with it under a host name nobody can resolve."""

from pathlib import Path

import jsonschema
import pytest

from dtios.cli.schema import schemas
from tests.interop.node_server import node_server
from tests.system.cli.conftest import Dtios

pytestmark = pytest.mark.interop

NAME = "plc-that-no-dns-knows.invalid"


def test_a_registered_server_is_found_at_the_address_that_was_asked(tmp_path: Path, dtios: Dtios, free_port: int):
    with node_server(tmp_path / "log", "--port", str(free_port), script="lds"):
        ended = dtios("discover", f"127.0.0.1:{free_port}", "127.0.0.1:1", "--json")
    assert ended.status == 0, ended.err
    for line in ended.lines:
        jsonschema.Draft202012Validator(schemas()["discover"]).validate(line)
    lds, registered, silent = ended.lines
    assert (lds["url"], lds["details"]["application_type"]) == (f"opc.tcp://127.0.0.1:{free_port}", "DiscoveryServer")
    assert lds["details"]["found"] == ["asked"]
    assert (registered["name"], registered["adapter"]) == ("Registered", "opcua")
    assert registered["url"].startswith("opc.tcp://127.0.0.1:")
    details = registered["details"]
    assert (details["application_uri"], details["security"], details["users"]) == (
        "urn:interop:registered",
        ["None"],
        ["Anonymous"],
    )
    assert details["found"] == [f"LDS opc.tcp://127.0.0.1:{free_port}"]
    (note,) = details["notes"]
    assert NAME in note
    assert registered["url"] in note
    assert silent["error"]["message"] == "nobody listens there"
    assert "127.0.0.1:1" in ended.err


def test_it_can_be_used_at_the_address_that_was_found(tmp_path: Path, dtios: Dtios, free_port: int):
    with node_server(tmp_path / "log", "--port", str(free_port), script="lds"):
        found = {one["name"]: one["url"] for one in dtios("discover", f"127.0.0.1:{free_port}", "--json").lines}
        (machine,) = dtios("describe", found["Registered"], "--json").lines[0]["machines"]
    assert machine["name"] == "Machine"
    assert [signal["value"] for signal in machine["signals"]] == [7.0]
