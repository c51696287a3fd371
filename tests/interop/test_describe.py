"""What `describe` says of machines of a stack that nobody here wrote: the same from the command line and from the runtime."""

import json
from pathlib import Path

import pytest

from tests.interop.expected import BAD, ODDBALL
from tests.interop.reach import described, machines_of, reached
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Ended, runner

pytestmark = pytest.mark.interop

PRODUCE = "urn:dtios:capability:produce"
JOB_VERBS = ["start", "pause", "resume", "stop", "abort", "cancel", "update"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, interop_server: MachineProcess) -> Ended:
    folder = tmp_path_factory.mktemp("describe")
    return runner(folder, folder / "state")("describe", interop_server.endpoint, "--json")


def test_machines_and_their_profiles(shown: Ended) -> None:
    found = machines_of(shown)
    assert {name: machine["profiles"] for name, machine in found.items()} == {
        "Assembler": ["machinery", "job-order"],
        "Shop": ["job-order"],  # by a type that derives from the receiver's
        "Unit1": ["packml"],
        "Labeller": ["packml"],  # by the type of its type
        "Oddball": ["generic"],
    }
    assert all(machine["notes"] == [] for machine in found.values())
    assembler = found["Assembler"]
    assert {k: v for k, v in assembler["identification"].items() if v is not None} == {
        "manufacturer": "Interop Works",
        "model": "Assembler 7",
        "serial_number": "SN-0042",
        "product_instance_uri": "urn:interop:assembler:SN-0042",
        "software_revision": "2.1",
        "year_of_construction": 2024,
    }
    for name, path in (("Assembler", "JobManagement/JobOrderControl"), ("Shop", "Orders")):
        skill = found[name]["skills"][path]
        assert (skill["capability"]["iri"], skill["verbs"], skill["binding"]) == (PRODUCE, JOB_VERBS, "job_order")
        assert skill["identity"] == "native"
    for name in ("Unit1", "Labeller"):
        assert found[name]["state"] == {"packml": "Idle", "unit_mode": "Produce"}
        skill = found[name]["skills"]["BaseStateMachine"]
        assert (skill["capability"]["iri"], skill["binding"], skill["identity"]) == (PRODUCE, "packml", "inferable")
        assert skill["verbs"] == ["start", "pause", "resume", "stop", "abort"]
        assert found[name]["signals"]["Admin/StateCumulativeTime"]["value"] == []
        assert found[name]["signals"]["Status/MachSpeed"]["range"] == [0, 600]


def test_signals_of_a_type_no_profile_knows(shown: Ended) -> None:
    oddball = machines_of(shown)["Oddball"]
    signals = oddball["signals"]
    told = {path: (signals[path]["value"], signals[path]["status"]) for path in (*ODDBALL, *BAD)}
    assert told == {path: (value, "Good") for path, value in ODDBALL.items()} | BAD
    assert {p: s["access"] for p, s in signals.items() if p.startswith("Access/")} == {
        "Access/ReadOnly": "read", "Access/WriteOnly": "write", "Access/NoAccess": "none", "Access/NotForYou": "read",
        "Access/Failing": "read-write", "Access/Doubtful": "read-write", "Access/Waiting": "read-write",
    }  # fmt: skip
    measures = {
        p: (signals[f"SetPoints/{p}"]["unit"], signals[f"SetPoints/{p}"]["range"]) for p in ("Length", "Temperature", "Speed")
    }
    assert measures == {
        "Length": ({"code": "MMT", "symbol": "mm"}, [0, 100]),
        "Temperature": ({"code": "CEL", "symbol": "°C"}, [-40, 150]),
        "Speed": ({"code": "RPM", "symbol": "r/min"}, [0, 3000]),
    }
    types = {
        name: signals[name]["data_type"] for name in ("Arrays/Cube", "Arrays/Empty", "Structures/Points", "Structures/Colour")
    }
    assert types == {
        "Arrays/Cube": "Double[][][]", "Arrays/Empty": "Int32[]", "Structures/Points": "PointDataType[]",
        "Structures/Colour": "ColourEnum",
    }  # fmt: skip
    assert signals["Names/Twin#2"]["address"] == "nsu=urn:interop:strange;s=names.7"
    assert set(oddball["skills"]) == {f"Methods/{name}" for name in ("Add", "Scale", "Slow", "Refuse", "Nothing", "Norm")}
    scale = oddball["skills"]["Methods/Scale"]
    assert scale["parameters"]["required"] == ["values", "factor"]
    assert scale["parameters"]["properties"]["values"]["items"] == {"type": "number"}
    assert list(scale["results"]["properties"]) == ["scaled", "count"]


async def test_the_runtime_says_the_same(tmp_path: Path, shown: Ended, interop_server: MachineProcess) -> None:
    by_command = {m["name"]: m for m in shown.lines[0]["machines"]}
    async with reached(tmp_path / "own", interop_server.endpoint) as client:
        for name, told in by_command.items():
            form = await described(client, name)
            for one in (*form["signals"], *told["signals"]):
                del one["value"], one["status"]
            told = {key: value for key, value in told.items() if key != "clock"}  # measured anew each time
            assert json.dumps({**form, "state": None}) == json.dumps({**told, "state": None})
