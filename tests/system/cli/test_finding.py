"""discover, profile and doctor as a person has them, without a third party's server."""

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from dtios.cli.schema import schemas
from tests.system.cli.conftest import Background, Dtios, Ended

NOBODY = "plc-that-no-dns-knows.invalid"


def fits(command: str, ended: Ended, status: int = 0) -> list[dict]:
    assert ended.status == status, ended
    for line in ended.lines:
        jsonschema.Draft202012Validator(schemas()[command]).validate(line)
    return ended.lines


@pytest.fixture
def swallowing() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    held: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield "127.0.0.1:%d" % listener.getsockname()[1]  # noqa: UP031
        listener.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


def test_discover(dtios: Dtios, machine: str, tmp_path: Path):
    host = machine.removeprefix("opc.tcp://").partition("/")[0]
    found, silent = fits("discover", dtios("discover", host, NOBODY, "--json"))
    assert (found["url"], found["adapter"]) == (f"opc.tcp://{host}", "opcua")
    assert NOBODY in silent["error"]["where"]
    ended = dtios("discover", host)
    assert "security          None" in ended.out
    for wrong, status in (([NOBODY], 1), (["gopher://x"], 2), (["host:port"], 2), ([host, "--interface", "127.0.0.1"], 2)):
        ended = dtios("discover", *wrong, "--json")
        assert ended.status == status
        assert ended.error["message"]
        assert "Traceback" not in ended.err


def test_discover_goes_through_the_runtime(dtios: Dtios, machine: str, tmp_path: Path, state: Path):
    (tmp_path / "dtios.yaml").write_text("machines: {}\n")
    host = machine.removeprefix("opc.tcp://").partition("/")[0]
    with Background(tmp_path, state, "run", "--json"):
        (found,) = fits("discover", dtios("discover", host, "--json"))
        assert found["url"] == f"opc.tcp://{host}"


@pytest.mark.parametrize("command", ["discover", "doctor"])
def test_ctrl_c_ends_it_in_order(tmp_path: Path, state: Path, swallowing: str, command: str):
    target = swallowing if command == "discover" else f"opc.tcp://{swallowing}"
    with Background(tmp_path, state, command, target, "--json") as asking:
        with pytest.raises(Exception, match="timed out"):
            asking.process.wait(2.5)
        ended, seconds = asking.end(signal.SIGINT)
    assert (ended.status, ended.out) == (130, "")
    assert seconds < 3
    assert "Traceback" not in ended.err


def test_a_proposed_profile_can_be_used(dtios: Dtios, machine: str, tmp_path: Path):
    (form,) = fits("profile", dtios("profile", machine, "--json"))
    text = dtios("profile", machine).out
    assert text == form["yaml"]
    (tmp_path / "own.yaml").write_text(text)
    (before,) = dtios("describe", machine, "--json").lines[0]["machines"]
    (after,) = dtios("describe", machine, "--profile", "own.yaml", "--json").lines[0]["machines"]
    assert form["profile"] in after["profiles"]
    for key in ("signals", "skills"):
        paths = [{one["path"] for one in described[key]} for described in (before, after)]
        assert paths[0] == paths[1]


def test_doctor_at_a_url(dtios: Dtios, machine: str, free_port: int):
    lines = fits("doctor", dtios("doctor", machine, "--json"))
    assert {line["level"] for line in lines} == {"good"}
    ended = dtios("doctor", f"opc.tcp://127.0.0.1:{free_port}")
    assert ended.status == 1
    assert "✗ port" in ended.out
    assert "->" in ended.out
    assert "1 problem" in ended.out


def test_doctor_needs_somebody(dtios: Dtios, tmp_path: Path):
    ended = dtios("doctor", "--json")
    assert (ended.status, ended.error["kind"]) == (2, "configuration")
    assert "dtios discover" in ended.error["mend"]
    (tmp_path / "dtios.yaml").write_text("machines: {}\n")
    assert "has no machines" in dtios("doctor", "--json").error["message"]
    (tmp_path / "dtios.yaml").write_text("machines: {press: {endpoint: 'opc.tcp://h', settings: {security: none}}}\n")
    assert "press" in dtios("doctor", "pres", "--json").error["mend"]


def test_doctor_examines_what_is_configured(dtios: Dtios, machine: str, tmp_path: Path, state: Path, free_port: int):
    gone = f"opc.tcp://127.0.0.1:{free_port}"
    (tmp_path / "dtios.yaml").write_text(
        f"machines:\n  filler: {{endpoint: '{machine}'}}\n  gone: {{endpoint: '{gone}'}}\n"
        f"  twin: {{endpoint: '{gone}', machine: Other}}\n  odd: {{endpoint: 'gopher://x'}}\n"
    )
    lines = fits("doctor", dtios("doctor", "--json"), 1)
    wrong = {tuple(line["machines"]): line["check"] for line in lines if line["level"] == "problem"}
    assert wrong == {("gone", "twin"): "port", ("odd",): "settings"}
    (tmp_path / "dtios.yaml").write_text(f"machines:\n  filler: {{endpoint: '{machine}'}}\n  gone: {{endpoint: '{gone}'}}\n")
    with Background(tmp_path, state, "run", "--json") as runtime:
        seen: dict[str, str] = {}
        while seen.get("filler") != "online" or seen.get("gone") != "offline":
            line = runtime.line()
            seen[line["machine"]] = line["health"]
        lines = fits("doctor", dtios("doctor", "--json"), 1)
    own = {line["where"]: line["level"] for line in lines if line["check"] == "machine"}
    assert own == {"filler": "good", "gone": "problem"}
