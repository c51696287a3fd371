"""`dtios doctor` at third-party servers that are wrong in one way, as a person reads it."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dtios.cli.schema import schemas
from tests.interop.node_server import node_server
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Background, Dtios, Ended

pytestmark = pytest.mark.interop


def findings(ended: Ended) -> dict[str, dict[str, Any]]:
    for line in ended.lines:
        jsonschema.Draft202012Validator(schemas()["doctor"]).validate(line)
    return {line["check"]: line for line in ended.lines}


def levels(found: dict[str, dict[str, Any]], level: str) -> list[str]:
    return [check for check, line in found.items() if line["level"] == level]


def test_a_sound_server(dtios: Dtios, interop_server: MachineProcess):
    ended = dtios("doctor", interop_server.endpoint, "--json")
    found = findings(ended)
    assert (ended.status, levels(found, "problem")) == (0, []), ended.out
    assert {"name", "port", "protocol", "endpoints", "clock", "session", "subscription", "rights", "limits"} <= found.keys()


def test_one_session_and_it_is_taken(dtios: Dtios, tmp_path: Path):
    with node_server(tmp_path / "log", "--sessions", "1", script="limited") as server:
        assert dtios("doctor", server.endpoint, "--json").status == 0
        assert dtios("doctor", server.endpoint, "--json").status == 0  # the one before left its session to nobody
        with Background(tmp_path, tmp_path / "other", "watch", server.endpoint, "--lines", "--json") as watching:
            watching.line()
            ended = dtios("doctor", server.endpoint, "--json")
            assert (ended.status, levels(findings(ended), "problem")) == (1, ["sessions"])
            text = dtios("doctor", server.endpoint).out
        assert "✗ sessions" in text
        assert "-> end another client" in text


def test_the_one_session_is_the_runtimes_own(dtios: Dtios, tmp_path: Path):
    with node_server(tmp_path / "log", "--sessions", "1", script="limited") as server:
        (tmp_path / "dtios.yaml").write_text(f"machines:\n  press:\n    endpoint: {server.endpoint}\n")
        with Background(tmp_path, tmp_path / "state", "run", "--json") as runtime:
            runtime.until(lambda line: line.get("health") == "online")
            ended = dtios("doctor", "--json")
            found = findings(ended)
            assert (ended.status, levels(found, "problem"), levels(found, "warning")) == (0, [], ["sessions"])
            assert found["machine"]["message"].startswith("press is online")
            assert found["sessions"]["machines"] == ["press"]
            assert dtios("read", "press", "Signal3", "--json").lines[0]["value"] == 3.0


def test_limits_that_are_too_low(dtios: Dtios, tmp_path: Path):
    with node_server(tmp_path / "log", "--items", "50", "--operations", "1", script="limited") as server:
        ended = dtios("doctor", server.endpoint, "--json")
    found = findings(ended)
    assert (ended.status, levels(found, "problem")) == (1, ["limits"]), ended.out
    assert "of 120 signals" in found["limits"]["message"]
    assert levels(found, "warning") == ["operations"]


def test_rights_that_are_missing(dtios: Dtios, tmp_path: Path):
    with node_server(tmp_path / "log", "--forbidden", script="limited") as server:
        ended = dtios("doctor", server.endpoint, "--json")
    found = findings(ended)
    assert (ended.status, levels(found, "warning")) == (0, ["rights"]), ended.out
    assert "may not read 7 of 120 signals" in found["rights"]["message"]
    assert "--user" in found["rights"]["mend"]
