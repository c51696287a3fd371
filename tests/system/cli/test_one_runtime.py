"""One runtime owns a state directory; commands go through it, and go on without it."""

import array
import fcntl
import os
import signal
import socket
import stat
import subprocess
import termios
import time
from pathlib import Path
from typing import IO

import pytest

import dtios_packml
from tests.system.cli.conftest import Background, Dtios, command_line, environment

PROFILE = Path(dtios_packml.__file__).parent / "profile.yaml"


def test_second_command_goes_through_the_first(dtios: Dtios, machine: str, tmp_path: Path, state: Path):
    with Background(tmp_path, state, "watch", machine, "Process/Temperature", "--json") as first:
        first.line()
        assert int((state / "lock").read_text()) == first.process.pid
        assert stat.S_IMODE((state / "control.sock").stat().st_mode) == 0o600
        assert dtios("status", "--json").lines[0]["machines"][0]["name"] == "Filler"
        assert dtios("read", machine, "Status/MachSpeed", "--json").lines[0]["status"] == "Good"
        ended, seconds = first.end()
    assert (ended.status, ended.err) == (0, "")
    assert seconds < 3
    assert not (state / "control.sock").exists()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["in order", "suddenly"])
def test_watch_goes_on_by_itself_when_the_runtime_ends(machine: str, tmp_path: Path, state: Path, end: signal.Signals):
    with Background(tmp_path, state, "watch", machine, "Status/StateCurrent", "--json") as first:
        first.line()  # it owns the directory now
        with Background(tmp_path, state, "watch", machine, "Process/Temperature", "--json") as second:
            before = second.line()
            first.end(end)
            gap = second.until(lambda line: "gap" in line)
            after = second.until(lambda line: "value" in line)
            assert (gap["signal"], gap["gap"]["cause"], gap["gap"]["count"]) == ("Process/Temperature", "runtime-restart", None)
            assert before["source_time"] < gap["gap"]["from"] < after["receive_time"]
            assert int((state / "lock").read_text()) == second.process.pid
            ended, _ = second.end()
    assert (ended.status, ended.err) == (0, "")


def test_reader_that_goes_away_is_no_error(machine: str, tmp_path: Path, state: Path):
    with subprocess.Popen(
        command_line("watch", machine, "--json"),
        cwd=tmp_path,
        env=environment(state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        watch.stdout.readline()
        watch.stdout.close()
        assert watch.wait(20) == 0
        assert watch.stderr.read() == b""


def test_reader_that_stalls_does_not_keep_ctrl_c_waiting(machine: str, tmp_path: Path, state: Path):
    with Background(tmp_path, state, "watch", machine, "--json") as watch:
        pipe = watch.process.stdout
        assert pipe is not None
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
        while _waiting(pipe) < 4096:  # nobody reads; more than this is said at once at the start
            time.sleep(0.05)
        begun = time.monotonic()
        watch.process.send_signal(signal.SIGINT)
        assert watch.process.wait(10) == 0
        assert time.monotonic() - begun < 3


def _waiting(pipe: IO[str]) -> int:
    """Bytes in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_ctrl_c_while_connecting(tmp_path: Path, state: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"opc.tcp://127.0.0.1:{silent.getsockname()[1]}"
        with Background(tmp_path, state, "describe", url, "--timeout", "30") as command:
            connection, _ = silent.accept()
            ended, seconds = command.end()
            connection.close()
    assert (ended.status, ended.out, ended.err) == (130, "", "")
    assert seconds < 3


def _with_profile(folder: Path, machine: str) -> None:
    (folder / "dtios.yaml").write_text(f"profiles: [{PROFILE}]\nmachines:\n  filler:\n    endpoint: {machine}\n")


def test_ctrl_c_holds_the_job_that_was_started(dtios: Dtios, machine: str, tmp_path: Path, state: Path):
    _with_profile(tmp_path, machine)
    with Background(tmp_path, state, "start", "filler", "Fill", "count=1000", "speed=200", "--job", "long", "--json") as start:
        start.until(lambda line: line["state"] == "Running")
        ended, _ = start.end()
    assert ended.status == 130
    assert "the job long was Running; it is held" in ended.err
    assert dtios("read", "filler", "Status/StateCurrent", "--json").lines[0]["value"] in (10, 11)
    stopped = dtios("job", "stop", "long", "--json")
    assert stopped.status == 0, stopped
    assert dtios("job", "show", "long", "--json").lines[0]["principal"] == f"cli:{os.environ.get('USER', 'root')}"


def test_job_is_followed_to_its_end_though_nobody_reads(dtios: Dtios, machine: str, tmp_path: Path, state: Path):
    _with_profile(tmp_path, machine)
    with subprocess.Popen(
        command_line("start", "filler", "Fill", "count=3", "speed=200", "--job", "short", "--json"),
        cwd=tmp_path, env=environment(state), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as start:  # fmt: skip
        assert start.stdout is not None
        start.stdout.readline()
        start.stdout.close()
        assert start.wait(30) == 0
    (shown,) = dtios("job", "show", "short", "--json").lines
    assert (shown["state"], shown["substate"]) == ("Ended", "Completed")
