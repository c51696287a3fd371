"""Promise 6: bad input gets one clear sentence, what, where and the mend, and nothing is lost by it."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.cli.conftest import Background, Dtios, Ended, runner


def check_error(ended: Ended, status: int, kind: str, *fragments: str) -> None:
    """One sentence on stderr, the same as an object on stdout, the right status, and no traceback."""
    assert "Traceback" not in ended.err
    assert (ended.status, ended.error["kind"]) == (status, kind), ended
    assert ended.error["message"]
    assert ended.error["where"]
    sentences = ended.err.strip().splitlines()
    assert len(sentences) == 1, ended.err
    assert sentences[0].startswith("dtios: ")
    assert ended.error["message"] in sentences[0]
    for fragment in fragments:
        assert fragment in sentences[0]


@pytest.fixture(scope="module")
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server that answers whatever it is sent with the bytes of the parameter, or with nothing."""
    answer: bytes = request.param
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            taken = []
            try:
                while True:
                    connection, _ = server.accept()
                    taken.append(connection)
                    if answer:
                        connection.settimeout(5)
                        connection.recv(100)
                        connection.sendall(answer)
                        connection.close()
            except OSError:
                for connection in taken:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


# --- the address ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "status", "kind", "fragment"),
    [
        ("opc.tcp://no-such-host.invalid:4840", 1, "temporary", "no-such-host.invalid"),
        ("opc.tcp://127.0.0.1:{port}", 1, "temporary", "127.0.0.1"),
        ("gopher://127.0.0.1:70", 2, "configuration", "no adapter answers to gopher"),
        ("opc.tcp://", 2, "configuration", "opc.tcp://"),
        ("opc.tcp://127.0.0.1:99999", 2, "configuration", "99999"),
    ],
)
def test_address_that_leads_nowhere(dtios: Dtios, closed_port: int, url: str, status: int, kind: str, fragment: str):
    check_error(dtios("describe", url.format(port=closed_port), "--json", "--timeout", "5"), status, kind, fragment)


@pytest.mark.parametrize(
    ("stranger", "status", "kind"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", 1, "temporary"), (b"", 1, "temporary")],
    indirect=["stranger"],
    ids=["another protocol", "silence"],
)
def test_not_an_opc_ua_server(dtios: Dtios, stranger: int, status: int, kind: str):
    check_error(dtios("describe", f"opc.tcp://127.0.0.1:{stranger}", "--json", "--timeout", "1.5"), status, kind, str(stranger))


@pytest.fixture(scope="module")
def through_runtime(machine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dtios]:
    """Commands that go through a running runtime, which is still there afterwards."""
    folder = tmp_path_factory.mktemp("runtime")
    (folder / "dtios.yaml").write_text(f"machines: {{Filler: {{endpoint: '{machine}'}}}}\n")
    with Background(folder, folder / "state", "run", "--json") as runtime:
        runtime.until(lambda line: line.get("health") == "online")
        yield runner(folder, folder / "state")
        assert runtime.process.poll() is None


# --- names, values and parameters on a machine ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "kind", "fragments"),
    [
        (
            ["read", "URL", "Status/MachSped"],
            2,
            "configuration",
            ["no signal 'Status/MachSped'", "did you mean", "Status/MachSpeed"],
        ),
        (["watch", "URL", "Nothing/*"], 2, "configuration", ["none of its signals fits 'Nothing/*'", "describe"]),
        (["start", "URL", "SetMachSped"], 2, "configuration", ["no skill 'SetMachSped'", "did you mean SetMachSpeed?"]),
        (["describe", "URL", "--machine", "Fillr"], 2, "configuration", ["'Fillr'", "did you mean Filler?"]),
        (["write", "URL", "Status/MachSpeed", "fast"], 2, "configuration", ["'fast' is not a Float", "give a number"]),
        (["write", "URL", "Status/MachSpeed", "[1, 2]"], 2, "configuration", ["not a Float", "single value"]),
        (["write", "URL", "Status/MachSpeed", "NaN"], 1, "refused", ["finite"]),
        (["write", "URL", "Status/MachSpeed", "1e300"], 1, "refused", ["Status/MachSpeed"]),
        (["write", "URL", "Status/MachSpeed", "500"], 1, "refused", ["outside the machine's range [0, 240]"]),
        (["write", "URL", "Process/PartsOrdered", "4294967296"], 1, "refused", ["does not fit in UInt32"]),
        (["write", "URL", "Process/PartsOrdered", "--", "-1"], 1, "refused", ["does not fit in UInt32"]),
        (["write", "URL", "Process/PartsOrdered", "2.5"], 1, "refused", ["2.5"]),
        (["write", "URL", "Process/Jammed", "true"], 1, "refused", ["does not let this user write"]),
        (
            ["start", "URL", "SetMachSpeed"],
            2,
            "configuration",
            ["RequestedMachineSpeed must be given", "RequestedMachineSpeed=VALUE"],
        ),
        (["start", "URL", "SetMachSpeed", "Speed=1"], 2, "configuration", ["no parameter 'Speed'"]),
        (["start", "URL", "SetMachSpeed", "fast"], 2, "configuration", ["'fast' is not NAME=VALUE"]),
        (["start", "URL", "SetMachSpeed", "RequestedMachineSpeed=fast"], 2, "configuration", ["'fast' is not of type number"]),
        (["start", "URL", "SetMachSpeed", "--params", "{"], 2, "configuration", ["--params is not JSON"]),
        (["start", "URL", "SetMachSpeed", "--params", "[1]"], 2, "configuration", ["--params is not an object"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and len(value) > 1 else "",
)
def test_wrong_word_for_a_machine(through_runtime: Dtios, machine: str, arguments, status, kind, fragments):
    ended = through_runtime(*(machine if a == "URL" else a for a in arguments[:2]), "--json", *arguments[2:])
    check_error(ended, status, kind, *fragments)


def test_nothing_was_lost_by_it(dtios: Dtios, machine: str):
    """After all of that the machine is as it was."""
    ended = dtios("read", machine, "Status/MachSpeed", "Process/PartsOrdered", "--json")
    assert {line["signal"]: line["value"] for line in ended.lines} == {"Status/MachSpeed": 120.0, "Process/PartsOrdered": 10}
    assert ended.status == 0


def test_security_that_nobody_knows(dtios: Dtios, machine: str):
    check_error(dtios("read", machine, "--security", "Basic1:Sometimes", "--json"), 2, "configuration", "Basic1")


def test_user_without_a_password(dtios: Dtios, machine: str):
    check_error(dtios("read", machine, "--user", "anna", "--json"), 1, "credentials", "no password for anna", "DTIOS_PASSWORD")


def test_password_is_in_no_output(dtios: Dtios, machine: str):
    ended = dtios("read", machine, "--user", "anna", "--json", env={"DTIOS_PASSWORD": "s3cret-word"})
    assert "s3cret-word" not in ended.out + ended.err
    assert "Traceback" not in ended.err


def test_job_id_that_means_another_job(dtios: Dtios, machine: str):
    start = ["start", machine, "SetMachSpeed", "--job", "order-1", "--json"]
    assert dtios(*start, "RequestedMachineSpeed=120").status == 0
    assert dtios(*start, "RequestedMachineSpeed=120").lines[-1]["result"] == {}
    check_error(dtios(*start, "RequestedMachineSpeed=121"), 1, "refused", "order-1")


# --- configuration ----------------------------------------------------------------------------------------------------------

_MACHINES = "machines:\n  press:\n    endpoint: opc.tcp://127.0.0.1:1\n"


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("machines: [unclosed\n", ["dtios.yaml:2", "expected"]),
        ("machines:\n\tpress: 1\n", ["dtios.yaml:2", "tab"]),
        (_MACHINES + "    enpoint: x\n", ["dtios.yaml:4", "`machines.press.enpoint`", "did you mean `endpoint`?"]),
        (_MACHINES + "  press:\n    endpoint: x\n", ["dtios.yaml:4", "`press` is given twice, first in line 2"]),
        (_MACHINES + "    envelope: {signals: {A: [5, 1]}}\n", ["dtios.yaml:4", "the lower limit comes first"]),
        (_MACHINES + "apps:\n  a:\n    grants: [{machine: pres}]\n", ["'pres'"]),
        ("- a\n- b\n", ["dtios.yaml:1", "not a mapping"]),
    ],
)
def test_wrong_configuration(dtios: Dtios, tmp_path: Path, state: Path, text: str, fragments: list[str]):
    (tmp_path / "dtios.yaml").write_text(text)
    check_error(dtios("run", "--json"), 2, "configuration", *fragments)
    assert not state.exists()


@pytest.mark.parametrize(
    ("text", "where", "fragment"),
    [
        (_MACHINES + "    profiles: [missing.yaml]\n", "machines.press", "missing.yaml"),
        (_MACHINES + "    profiles: [wrong.yaml]\n", "machines.press", "wrong.yaml"),
        (_MACHINES + "    adapter: opcau\n", "machines.press", "opcau"),
        (_MACHINES + "    settings: {keep_alife: 5}\n", "machines.press", "keep_alife"),
        ("machines: {press: {endpoint: nonsense}}\n", "machines.press", "nonsense"),
        ("apps: {feeder: {app: feedr}}\n", "apps.feeder", "feedr"),
        ("apps: {broken: {}}\n", "apps.broken", "ZeroDivisionError"),
    ],
)
def test_what_check_finds_beyond_the_file(dtios: Dtios, tmp_path: Path, text: str, where: str, fragment: str):
    (tmp_path / "dtios.yaml").write_text(text)
    (tmp_path / "wrong.yaml").write_text("profile: x\nnonsense: 1\n")
    _broken_plugin(tmp_path / "plugins")
    ended = dtios("check", "--json", env={"PYTHONPATH": str(tmp_path / "plugins")})
    (report,) = ended.lines
    problems = [p for group in ("machines", "apps") for item in report[group] for p in item["problems"]] + report["problems"]
    assert ended.status == 2
    assert len(problems) == 1
    assert where in problems[0]["where"]
    assert fragment in json.dumps(problems[0])
    assert "Traceback" not in ended.err


def test_broken_plugins_break_nothing_else(dtios: Dtios, tmp_path: Path):
    _broken_plugin(tmp_path / "plugins")
    env = {"PYTHONPATH": str(tmp_path / "plugins")}
    assert "Added by a plug-in." in dtios("--help", env=env).out
    check_error(dtios("broken", "--json", env=env), 2, "configuration", "ZeroDivisionError", "plug-in command broken")
    listed = dtios("adapters", "list", "--json", env=env)
    assert listed.status == 1
    assert {line["name"]: line["problem"] is None for line in listed.lines} == {"broken": False, "mqtt": True, "opcua": True}


def _broken_plugin(folder: Path) -> None:
    info = folder / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    groups = ("dtios.adapters", "dtios.apps", "dtios.commands")
    (info / "entry_points.txt").write_text("".join(f"[{g}]\nbroken = dtios_broken:thing\n" for g in groups))
    (folder / "dtios_broken.py").write_text("thing = 1 / 0\n")


# --- everything else --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "kind", "fragments"),
    [
        (["desribe"], 2, "configuration", ["no such command 'desribe'", "did you mean describe?"]),
        (["describe"], 2, "configuration", ["missing argument 'MACHINE'", "dtios describe --help"]),
        (["read", "press", "--timeot", "3"], 2, "configuration", ["no such option", "--timeout"]),
        (["read", "press", "--timeout", "-3"], 2, "configuration", ["--timeout", "-3"]),
        (["describe", "press"], 2, "configuration", ["no machine is called 'press'", "there is no dtios.yaml here"]),
        (["read", "press", "--config", "missing.yaml"], 2, "configuration", ["missing.yaml: there is no such file"]),
        (["run"], 2, "configuration", ["dtios.yaml: there is no such file"]),
        (["check", "."], 2, "configuration", ["this is a directory"]),
        (["job", "show", "order-99"], 2, "configuration", ["there is no such job", "order-99"]),
        (["job", "resolve", "order-99", "Ended", "--reason", "seen"], 2, "configuration", ["there is no such job"]),
        (["job", "resolve", "order-99", "Lost", "--reason", "seen"], 2, "configuration", ["'Lost'"]),
        (["job", "list", "--state", "file/state"], 2, "configuration", ["the state directory cannot be used", "--state DIR"]),
        (["schema", "--command", "descrbe"], 2, "configuration", ["did you mean describe?"]),
        (["app", "new", "My App"], 2, "configuration", ["'My App' cannot be an app's name"]),
        (["app", "test", "missing"], 2, "configuration", ["there is no such directory"]),
        (["app", "answer", "1", "yes"], 1, "temporary", ["no runtime runs here", "dtios run"]),
        (["status"], 1, "temporary", ["no runtime runs here"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and "'" not in str(value[-1]) else "",
)
def test_wrong_word(dtios: Dtios, tmp_path: Path, arguments, status, kind, fragments):
    (tmp_path / "file").write_text("")
    check_error(dtios(*arguments, "--json"), status, kind, *fragments)


def test_close_name_of_a_configured_machine(dtios: Dtios, tmp_path: Path):
    (tmp_path / "dtios.yaml").write_text(_MACHINES)
    check_error(dtios("read", "pres", "--json"), 2, "configuration", "no machine is called 'pres'", "did you mean press?")
    check_error(dtios("read", "press", "--security", "none", "--json"), 2, "configuration", "--security is for URLs")
    check_error(dtios("read", "press", "--json"), 1, "temporary", "127.0.0.1:1")


def test_files_that_exist_are_left_alone(dtios: Dtios, tmp_path: Path):
    (tmp_path / "dtios-mine").mkdir()
    (tmp_path / "dtios-mine" / "README.md").write_text("mine")
    check_error(dtios("app", "new", "mine", "--json"), 2, "configuration", "exists already")
    assert [p.name for p in (tmp_path / "dtios-mine").iterdir()] == ["README.md"]
