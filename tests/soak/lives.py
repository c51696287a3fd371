"""The runtime's lives: started, killed, started again on the same state; its memory and processor time, second by second."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import anyio
import anyio.to_thread
import psutil

__all__ = ["Life", "Lives"]

WARM: Final = 60.0
"""Seconds of a life in which caches fill and connections are made."""
_WINDOW: Final = 20
"""Samples whose median is one figure."""
_MIB: Final = 2**20


@dataclass
class Life:
    """Samples are (seconds of this life, bytes of the runtime, bytes of the recorder)."""

    pid: int
    begun: float = field(default_factory=time.monotonic)
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    processor: float = 0.0

    def sample(self) -> None:
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            spent = process.cpu_times()
            self.processor = spent.user + spent.system
            children = sum(child.memory_info().rss for child in process.children())
            self.samples.append((time.monotonic() - self.begun, process.memory_info().rss, children))

    @property
    def seconds(self) -> float:
        return self.samples[-1][0] if self.samples else 0.0

    def growth(self) -> tuple[float, float] | None:
        """MiB that the runtime and the recorder grew by after the first minute; None for a life too short to tell."""
        warm = [sample for sample in self.samples if sample[0] > WARM]
        if len(warm) < 2 * _WINDOW:
            return None
        first, last = warm[:_WINDOW], warm[-_WINDOW:]
        runtime, recorder = (median(s[which] for s in last) - median(s[which] for s in first) for which in (1, 2))
        return runtime / _MIB, recorder / _MIB

    def shown(self, step: float = 30.0) -> str:
        """MiB of the runtime every so many seconds."""
        due, told = 5.0, []
        for at, runtime, _ in self.samples:
            if at >= due:
                told.append(f"{runtime / _MIB:.1f}")
                due += step
        return " ".join(told)


class Lives:
    def __init__(self, state: Path, configuration: Path, log: Path) -> None:
        self.all: list[Life] = []
        self._command = [sys.executable, "-m", "tests.soak.runtime", str(state), str(configuration)]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it runs; whether data flows is another question."""
        with self._log.open("ab") as errors:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self.all.append(Life(self._process.pid))
        assert self._process.stdout is not None
        assert await anyio.to_thread.run_sync(self._process.stdout.readline) == b"ready\n", "the runtime did not start"

    async def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        await anyio.to_thread.run_sync(self._process.wait, 10)
        self._forget()

    async def end(self) -> None:
        """In order."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await anyio.to_thread.run_sync(self._process.wait, 20)
        self._forget()

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait(10)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @contextmanager
    def sure_to_end(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._process is not None:
                self._process.kill()
                self._forget()

    async def watch(self) -> None:
        """A sample each second, for ever."""
        while True:
            await anyio.sleep(1)
            if self.alive:
                self.all[-1].sample()
