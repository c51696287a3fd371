import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dtios.model.errors import ConfigurationError
from dtios.runtime.state import StateDirectory, StateLocked

_HOLD = """
import sys, time
from dtios.runtime.state import StateDirectory
with StateDirectory(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("option", "environment", "configured", "expected"),
    [
        ("opt", "env", "conf", "opt"),
        (None, "env", "conf", "env"),
        (None, "", "conf", "conf"),
        (None, None, None, "xdg/dtios"),
    ],
)
def test_which_directory_is_chosen(tmp_path, monkeypatch, option, environment, configured, expected):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("DTIOS_STATE", raising=False)
    if environment is not None:
        monkeypatch.setenv("DTIOS_STATE", environment and str(tmp_path / environment))
    chosen = StateDirectory.choose(option and tmp_path / option, configured and tmp_path / configured)
    assert chosen.path == tmp_path / expected
    assert not chosen.path.exists()


def test_directory_is_private_and_the_lock_may_be_entered_again(tmp_path):
    state = StateDirectory(tmp_path / "a" / "b")
    with state.lock():
        assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
        with state.lock():
            assert state.held
        assert state.held
        assert state.holder() == os.getpid()
    assert not state.held


def test_second_owner_is_told_the_pid_of_the_first_and_gets_in_after_its_sudden_end(tmp_path):
    state = StateDirectory(tmp_path / "state")
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(state.path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateLocked, match=f"process {holder.pid}") as caught, state.lock():
            pass
        assert caught.value.pid == holder.pid
        holder.send_signal(signal.SIGKILL)
    with state.lock():
        assert state.holder() == os.getpid()


def test_lock_within_one_process_is_refused_too(tmp_path):
    with StateDirectory(tmp_path).lock(), pytest.raises(StateLocked), StateDirectory(tmp_path).lock():
        pass


def test_a_place_where_no_directory_can_be(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--state DIR"), StateDirectory(tmp_path / "file" / "state").lock():
        pass


def test_an_app_has_a_folder_below_the_directory_whatever_its_name(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "s")
    with state.lock():
        names = ["counter", "Zähler", "..", ".hidden", "%2e", "x" * 100, "日" * 100]
        folders = [state.app_folder(name) for name in names]
        assert [folder.name for folder in folders[:2]] == ["counter", "Zähler"]
        assert len(set(folders)) == len(names)
        assert all(folder.is_dir() and folder.resolve().parent == (tmp_path / "s" / "apps").resolve() for folder in folders)
        assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in folders)
        assert state.app_folder("counter") == folders[0]
