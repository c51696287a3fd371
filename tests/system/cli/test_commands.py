"""Every command's real output fits the schema that `dtios schema` prints for it."""

from pathlib import Path

import jsonschema
import pytest

import dtios_packml
from dtios.cli.schema import schemas
from tests.system.cli.conftest import Background, Dtios, Ended

PROFILE = Path(dtios_packml.__file__).parent / "profile.yaml"
SCHEMAS = schemas()


def fits(command: str, ended: Ended, status: int = 0) -> list[dict]:
    assert ended.status == status, ended
    validator = jsonschema.Draft202012Validator(SCHEMAS[command])
    for line in ended.lines:
        validator.validate(line)
    return ended.lines


def test_on_a_url_without_any_configuration(dtios: Dtios, machine: str):
    (described,) = fits("describe", dtios("describe", machine, "--json"))
    (found,) = described["machines"]
    paths = {signal["path"]: signal for signal in found["signals"]}
    assert found["name"] == "Filler"
    assert (paths["Status/MachSpeed"]["data_type"], paths["Status/MachSpeed"]["access"]) == ("Float", "read-write")
    assert paths["Status/MachSpeed"]["range"] == [0.0, 240.0]
    assert paths["Status/UnitModeCurrent"]["value"] == {"value": 1, "name": "Produce"}

    read = fits("read", dtios("read", machine, "Status/*", "--json"))
    assert {line["signal"] for line in read} == {path for path in paths if path.startswith("Status/")}
    assert all(line["status"] == "Good" for line in read)

    watched = fits("watch", dtios("watch", machine, "Process/Temperature", "--count", "5", "--json"))
    times = [line["source_time"] for line in watched]
    assert len(times) == 5
    assert times == sorted(times)

    (written,) = fits("write", dtios("write", machine, "Status/MachSpeed", "90", "--json"))
    assert written == {"machine": "Filler", "signal": "Status/MachSpeed", "value": 90.0, "status": "Good", "confirmed": True}

    states = fits("start", dtios("start", machine, "SetMachSpeed", "RequestedMachineSpeed=80", "--job", "j1", "--json"))
    assert [line["state"] for line in states][-1] == "Ended"
    assert states[-1]["result"] == {}
    assert all("result" not in line for line in states[:-1])

    assert [line["job"] for line in fits("job list", dtios("job", "list", "--json"))] == ["j1"]
    (shown,) = fits("job show", dtios("job", "show", "j1", "--json"))
    assert shown["parameters"] == {"RequestedMachineSpeed": 80}
    assert shown["history"][-1]["event"] == "Ended"


def test_text_for_a_person(dtios: Dtios, machine: str):
    text = dtios("describe", machine).out
    assert "Status/MachSpeed" in text
    assert "1/min" in text
    assert "Skills (" in text
    assert "Good" in dtios("read", machine, "Status/MachSpeed").out
    assert [line.split()[0] for line in dtios("adapters", "list").out.splitlines()[1:]] == ["mqtt", "opcua"]
    fits("adapters list", dtios("adapters", "list", "--json"))
    fits("app list", dtios("app", "list", "--json"))


def test_check_reaches_the_machines(dtios: Dtios, machine: str, tmp_path: Path):
    lines = f"machines:\n  filler:\n    endpoint: {machine}\n"
    (tmp_path / "dtios.yaml").write_text(lines)
    (report,) = fits("check", dtios("check", "--online", "--json"))
    assert report["machines"][0]["reached"] is True
    (tmp_path / "dtios.yaml").write_text(lines + "    envelope: {signals: {Status/MachSped: [0, 1]}}\n")
    (report,) = fits("check", dtios("check", "--online", "--json"), 2)
    assert "Status/MachSped" in str(report["machines"][0]["problems"])


def test_run_serves_commands_and_keeps_the_envelope(dtios: Dtios, machine: str, tmp_path: Path, state: Path):
    (tmp_path / "dtios.yaml").write_text(
        f"machines:\n  filler:\n    endpoint: {machine}\n    envelope: {{signals: {{Status/MachSpeed: [0, 100]}}}}\n"
    )
    refused = dtios("write", machine, "Status/MachSpeed", "150", "--json")  # by URL, and no runtime runs: the envelope holds
    assert refused.error["kind"] == "refused"
    with Background(tmp_path, state, "run", "--json") as runtime:
        line = runtime.until(lambda line: line.get("health") == "online")
        jsonschema.Draft202012Validator(SCHEMAS["run"]).validate(line)
        assert line["machine"] == "filler"
        for target in ("filler", machine):
            assert dtios("write", target, "Status/MachSpeed", "150", "--json").error["kind"] == "refused"
            (written,) = fits("write", dtios("write", target, "Status/MachSpeed", "95", "--json"))
            assert (written["machine"], written["confirmed"]) == ("filler", True)
        (status,) = fits("status", dtios("status", "--counters", "--json"))
        assert [(m["name"], m["health"]) for m in status["machines"]] == [("filler", "online")]
        assert all(page["balanced"] for page in fits("ledger", dtios("ledger", "filler", "--signals", "--json")))
        assert dtios("ledger").status == 0
        second = dtios("run", "--json")
        assert second.error["kind"] == "temporary"
        assert f"process {runtime.process.pid}" in second.error["message"]
        assert fits("app questions", dtios("app", "questions", "--json")) == []
        ended, seconds = runtime.end()
    assert (ended.status, seconds < 5) == (0, True)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", ["press-watch"])
def test_new_app_passes_its_own_test_at_once(dtios: Dtios, tmp_path: Path, name: str):
    (made,) = fits("app new", dtios("app", "new", name, "--json"))
    tested = dtios("app", "test", made["directory"], "--json")
    assert fits("app test", tested) == [{"directory": made["directory"], "passed": True}], tested.err
    package = tmp_path / made["directory"] / "dtios_press_watch" / "__init__.py"
    package.write_text(package.read_text().replace("too fast", "all is well"))
    assert fits("app test", dtios("app", "test", made["directory"], "--json"), 1)[0]["passed"] is False


def test_schema_command_prints_what_the_tests_use(dtios: Dtios):
    (printed,) = dtios("schema", "--command", "job list", "--json").lines
    assert printed == SCHEMAS["job list"]
