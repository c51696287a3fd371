"""A terminal for documents: runs what stands behind `$ `, in the foreground or in the background, and compares what is shown."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.docs.markdown import ROOT

__all__ = ["Shown", "Terminal", "Zygote", "missing"]

LIMIT: Final = 30.0
"""Seconds for one command, or until a background one has shown what it should."""
_SHELL: Final = re.compile(r"[|&;<>$`*?]")


class Zygote:
    """See zygote.py. One for all documents."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.docs.zygote"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@dataclass
class Shown:
    """A process and the file with all that it printed."""

    pid: int
    out: Path
    poll: Callable[[], int | None]
    ended: int | None = None

    @property
    def text(self) -> str:
        return self.out.read_text("utf-8", errors="replace") if self.out.exists() else ""

    def wait(self, until: Callable[[], bool] = lambda: False) -> int | None:
        """Until it has ended (its exit status) or something is so (None). Raises AssertionError when neither comes."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            if self.ended is None:
                self.ended = self.poll()
            if until():
                return self.ended
            if self.ended is not None:
                return self.ended
            time.sleep(0.02)
        raise AssertionError(f"neither ended nor came to it within {LIMIT:g} s; it printed:\n{self.text}")

    def send(self, number: int) -> None:
        if self.ended is None:
            self.ended = self.poll()
        if self.ended is None:
            os.kill(self.pid, number)


class Terminal:
    """One document's. `cwd` follows `cd`; the simulated machine runs five times as fast as a reader's."""

    def __init__(self, zygote: Zygote, cwd: Path, logs: Path, env: Mapping[str, str]) -> None:
        self._zygote = zygote
        self._logs = logs
        self._env = dict(env)
        self._count = 0
        self._background: dict[str, Shown] = {}
        self.cwd = cwd

    def run(self, line: str) -> tuple[int, str]:
        """The exit status and what was printed, stdout and stderr together."""
        if line.startswith("cd "):
            self.cwd = self.cwd / line[3:].strip()
            return 0, ""
        if line.startswith("pip install "):
            self._install(self.cwd / line.split()[-1])
            return 0, ""
        shown = self._start(line)
        status = shown.wait()
        assert status is not None
        return status, shown.text

    def start(self, name: str, line: str) -> Shown:
        self._background[name] = self._start(line)
        return self._background[name]

    def started(self, name: str) -> Shown:
        return self._background[name]

    def close(self) -> None:
        for shown in self._background.values():
            shown.send(signal.SIGINT)
        for shown in self._background.values():
            shown.wait()

    def _install(self, folder: Path) -> None:
        """As `pip install -e` would, for this document alone and without a network."""
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
        groups = project["entry-points"].items()
        lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        self._env["PYTHONPATH"] = str(folder)

    def _start(self, line: str) -> Shown:
        self._count += 1
        out = self._logs / f"{self._count}.out"
        words = [] if _SHELL.search(re.sub(r"'[^']*'", "", line)) else shlex.split(line)
        if words[:1] == ["dtios"] or words[:3] == ["python", "-m", "dtios_packml"]:
            module, argv = ("dtios", words[1:]) if words[0] == "dtios" else (words[2], [*words[3:], "--speed", "5"])
            pid = self._zygote.ask(module=module, argv=argv, cwd=str(self.cwd), env=self._env, out=str(out))
            return Shown(pid, out, lambda: self._zygote.ask(poll=pid))
        bin = str(Path(sys.executable).parent)
        env = {**os.environ, **self._env, "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"}
        with out.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line}" if not _SHELL.search(line) else line],
                cwd=self.cwd, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Shown(process.pid, out, process.poll)


def missing(expected: list[str], text: str) -> str | None:
    """The first expected line that is not in the text, after those before it; None if all are there."""
    printed = iter([_squeezed(line) for line in text.splitlines()])
    for line in expected:
        wanted = _squeezed(line)
        if wanted in ("", "..."):
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("...")))
        if not any(pattern.fullmatch(candidate) for candidate in printed):
            return line
    return None


def _squeezed(line: str) -> str:
    return " ".join(line.split())
