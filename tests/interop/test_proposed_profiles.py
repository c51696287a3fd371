"""`dtios profile URL`: what it prints loads, and describes the same machine, on a third party's server."""

import json
from pathlib import Path
from typing import Any

import pytest

from dtios.cli.schema import schemas
from tests.interop.node_server import node_server
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Dtios

pytestmark = pytest.mark.interop


def machines(dtios: Dtios, *arguments: str) -> dict[str, dict[str, Any]]:
    ended = dtios("describe", *arguments, "--json")
    assert ended.status == 0, ended.err
    return {machine["name"]: machine for machine in ended.lines[0]["machines"]}


def points(machine: dict[str, Any]) -> set[str]:
    return {json.dumps([s[k] for k in ("path", "address", "data_type", "unit", "range", "access")]) for s in machine["signals"]}


def skills(machine: dict[str, Any]) -> set[str]:
    return {json.dumps([s["path"], s["binding"], s["parameters"], s["results"]], sort_keys=True) for s in machine["skills"]}


def comes_out_the_same(dtios: Dtios, folder: Path, endpoint: str) -> dict[str, str]:
    """For each machine behind the endpoint: its proposed profile, after it was used with `--profile`."""
    before = machines(dtios, endpoint)
    texts: dict[str, str] = {}
    for name, machine in before.items():
        ended = dtios("profile", endpoint, "--machine", name, "--json")
        assert ended.status == 0, ended.err
        (form,) = ended.lines
        file = folder / "proposed.yaml"
        file.write_text(form["yaml"])
        after = machines(dtios, endpoint, "--profile", str(file))
        assert after.keys() == before.keys()
        assert (points(after[name]), skills(after[name])) == (points(machine), skills(machine)), name
        assert after[name]["identification"] == machine["identification"]
        assert set(after[name]["notes"]) <= set(machine["notes"])
        assert form["profile"] in after[name]["profiles"]
        texts[name] = form["yaml"]
    return texts


@pytest.mark.slow
def test_machines_of_companion_specifications(dtios: Dtios, tmp_path: Path, interop_server: MachineProcess):
    texts = comes_out_the_same(dtios, tmp_path, interop_server.endpoint)
    assert len(texts) > 2
    assert any("extends: machinery" in text for text in texts.values())


@pytest.mark.slow
def test_a_server_without_any(dtios: Dtios, tmp_path: Path, bare_server: MachineProcess):
    texts = comes_out_the_same(dtios, tmp_path, bare_server.endpoint)
    assert all("extends" not in text for text in texts.values())


@pytest.mark.slow
def test_machines_in_machines(dtios: Dtios, tmp_path: Path):
    with node_server(tmp_path / "log", script="nested") as server:
        comes_out_the_same(dtios, tmp_path, server.endpoint)


def test_which_machine_has_to_be_said(dtios: Dtios, interop_server: MachineProcess):
    ended = dtios("profile", interop_server.endpoint, "--json")
    assert ended.status == 2
    assert "--machine" in ended.error["mend"]
    assert "profile" in schemas()
