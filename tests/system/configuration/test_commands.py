"""`dtios reload` and `dtios status` as a person has them: exit statuses, lines, and a file that is wrong."""

import json
from pathlib import Path

import jsonschema
import pytest

from dtios.cli.schema import schemas
from tests.machines.process import machine_process, python_machine
from tests.system.cli.conftest import Background, runner

CONFIG = "state: ./own  # here\nmachines:\n  m:\n    endpoint: {endpoint}\n"
LIMITS = "    envelope:\n      signals:\n        {signal}: [1, {high}]\n"


def test_a_changed_file_is_applied_shown_and_refused(tmp_path: Path) -> None:
    dtios = runner(tmp_path, Path(""))
    file = tmp_path / "dtios.yaml"
    with machine_process(python_machine("tests.machines.plain", "--rate", "5"), tmp_path / "log") as machine:
        config = CONFIG.format(endpoint=machine.endpoint)
        file.write_text(config)
        with Background(tmp_path, Path(""), "run", "--no-watch", "--json") as running:
            running.until(lambda line: line.get("health") == "online")

            file.write_text(config + LIMITS.format(signal="Speed", high=50))
            status = dtios("status")
            assert "the file on disk is not what runs, because dtios.yaml: it was changed since it was applied" in status.out
            dry = dtios("reload", "--dry-run")
            assert (dry.status, dry.out.splitlines()[0]) == (0, "machine m changed (envelope): at once")
            done = dtios("reload", "--json")
            assert done.status == 0, done.err
            jsonschema.validate(json.loads(done.out), schemas()["reload"])
            assert [change["keys"] for change in json.loads(done.out)["changes"]] == [["envelope"]]
            assert dtios("reload").out == "nothing changed\n"
            assert "outside the envelope [1, 50]" in dtios("write", "m", "Speed", "70").err

            file.write_text(config + LIMITS.format(signal="Sped", high=60))
            wrong = dtios("reload", "--json")
            assert wrong.status == 2
            error = json.loads(wrong.out)["error"]
            assert (error["kind"], error["mend"]) == ("configuration", "did you mean Speed?")
            assert error["where"].startswith("dtios.yaml:7 machines.m.envelope.signals.Sped")
            status = dtios("status", "--json")
            jsonschema.validate(json.loads(status.out), schemas()["status"])
            assert json.loads(status.out)["configuration"]["problem"]["message"] == "it has no signal 'Sped'"

            file.write_text("machines: [\nstate: ./own\n")
            for command in ("reload", "status"):
                asked = dtios(command)
                assert "dtios.yaml:3: expected" in asked.out + asked.err, command
                assert asked.status == (2 if command == "reload" else 0)
            assert (
                "outside the envelope [1, 50]"
                in dtios("write", "m", "Speed", "70", "--config", str(_other(tmp_path, config))).err
            )
            ended, _ = running.end()
            assert ended.status == 0, ended.err
        nobody = dtios("reload")
        assert (nobody.status, "no runtime runs here" in nobody.err) == (1, True)


def _other(folder: Path, config: str) -> Path:
    """Commands read a configuration of their own, to find the state directory and the machine."""
    file = folder / "other.yaml"
    file.write_text(config)
    return file


COUNTER = "apps:\n  counter:\n    machines: {roles}\n    config: {config}\n"


@pytest.mark.parametrize(
    ("roles", "config", "says"),
    [("{press: m}", "{x: 1}", "config.x"), ("{nobody: m}", "{}", "the app counter has no role nobody")],
)
def test_an_app_in_a_process_is_asked_before_it_is_started(tmp_path: Path, roles: str, config: str, says: str) -> None:
    dtios = runner(tmp_path, Path(""))
    file = tmp_path / "dtios.yaml"
    with machine_process(python_machine("tests.machines.plain", "--rate", "5"), tmp_path / "log") as machine:
        text = CONFIG.format(endpoint=machine.endpoint)
        file.write_text(text)
        with Background(tmp_path, Path(""), "run", "--no-watch", "--json") as running:
            running.until(lambda line: line.get("health") == "online")
            file.write_text(text + COUNTER.format(roles=roles, config=config))
            wrong = dtios("reload")
            assert wrong.status == 2
            assert f"dtios.yaml:6 apps.counter: {says}" in wrong.err.replace("apps.counter: machines: nobody: ", "apps.counter: ")
            assert json.loads(dtios("status", "--json").out)["apps"] == []


def test_a_saved_file_is_applied_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "dtios.yaml"
    with machine_process(python_machine("tests.machines.plain", "--rate", "5"), tmp_path / "log") as machine:
        config = CONFIG.format(endpoint=machine.endpoint)
        file.write_text(config)
        with Background(tmp_path, Path(""), "run", "--json") as running:
            running.until(lambda line: line.get("health") == "online")
            file.write_text(config.replace("  m:\n", "  press:\n"))
            assert running.until(lambda line: line.get("machine") == "press")["health"] == "online"
            file.write_text("machines: {}\nstate: ./own\n")
            assert running.until(lambda line: line.get("health") == "gone")["machine"] == "press"
        assert len(machine.calls("CreateSession")) == 1
