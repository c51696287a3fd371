"""The real command line in processes of its own, against a simulated machine in another."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = [ROOT, ROOT / "adapters", ROOT / "apps", ROOT / "simulators"]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """stdout as JSON lines; raises if anything else is on it."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        found: dict[str, str] = self.lines[-1]["error"]
        return found


def environment(state: Path, more: dict[str, str] | None = None) -> dict[str, str]:
    path = os.pathsep.join([*(more or {}).get("PYTHONPATH", "").split(os.pathsep), *map(str, SOURCES)]).lstrip(os.pathsep)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DTIOS_")}
    return kept | {"DTIOS_STATE": str(state)} | (more or {}) | {"PYTHONPATH": path}


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dtios.cli", *arguments]


Dtios = Callable[..., Ended]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def dtios(tmp_path: Path, state: Path) -> Dtios:
    """Run one command in `tmp_path` and wait for its end."""
    return runner(tmp_path, state)


def runner(folder: Path, state: Path) -> Dtios:
    def run(*arguments: str, env: dict[str, str] | None = None) -> Ended:
        ended = subprocess.run(
            command_line(*arguments), cwd=folder, env=environment(state, env), capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture(scope="module")
def machine() -> Iterator[str]:
    """The URL of a simulated PackML machine that runs as long as the module's tests."""
    with subprocess.Popen(
        [sys.executable, "-m", "dtios_packml", "--speed", "5", "--with-parent"],
        env=environment(Path("unused")), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["endpoint"]
        process.terminate()


class Background:
    """A command that goes on while others are given."""

    def __init__(self, folder: Path, state: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command_line(*arguments), cwd=folder, env=environment(state), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self) -> Any:
        """The next JSON line of its stdout."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        return json.loads(line)

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        while not wanted(line := self.line()):
            pass
        return line

    def end(self, number: int = signal.SIGINT) -> tuple[Ended, float]:
        """Signal it; what it left to say, and how long it took to end."""
        self.process.send_signal(number)
        begun = time.monotonic()
        out, err = self.process.communicate(timeout=20)
        return Ended(self.process.returncode, out, err), time.monotonic() - begun

    def __enter__(self) -> "Background":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
