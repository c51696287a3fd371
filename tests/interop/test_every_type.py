"""Every type of every companion NodeSet that the stack ships, described and decoded; judged by what the server says it set."""

import json

import pytest

from tests.interop.reach import machines_of
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Ended, runner

pytestmark = [pytest.mark.interop, pytest.mark.slow]

COUNT = 33  # NodeSets, the OPC UA namespace's own among them


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, companion_server: MachineProcess) -> Ended:
    folder = tmp_path_factory.mktemp("every")
    return runner(folder, folder / "state")("describe", companion_server.endpoint, "--json")


def test_nothing_is_left_out(shown: Ended, companion_server: MachineProcess) -> None:
    (gallery,) = companion_server.calls("gallery")
    assert gallery["args"]["failed"] == []
    assert (gallery["args"]["nodesets"], gallery["args"]["instances"] > 450, gallery["args"]["values"] > 200) == (
        COUNT,
        True,
        True,
    )
    about_types = [note for m in machines_of(shown).values() for note in m["notes"] if "type" in note or "nsu=" in note]
    assert about_types == []


def test_every_value_decodes(shown: Ended) -> None:
    statuses: dict[str, list[str]] = {}
    for name, machine in machines_of(shown).items():
        for path, signal in machine["signals"].items():
            statuses.setdefault(signal["status"], []).append(f"{name}/{path}")
            assert '"Body"' not in json.dumps(signal["value"]), f"{name}/{path}"
    assert len(statuses["Good"]) > 10_000
    assert statuses.keys() <= {"Good", "UncertainInitialValue", "BadWaitingForInitialData"}


def test_values_are_what_the_server_set(shown: Ended, companion_server: MachineProcess) -> None:
    """Structures, unions, optional fields, recursion, enumerations and option sets, each as the bytes of Part 6."""
    told = {signal["address"]: signal["value"] for m in machines_of(shown).values() for signal in m["signals"].values()}
    wanted = {call["address"]: (call["name"], call["args"]) for call in companion_server.calls("value")}
    assert len(wanted) > 300
    assert {address: (name, told.get(address)) for address, (name, _) in wanted.items()} == wanted
