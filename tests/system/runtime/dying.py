"""A runtime that kills itself (SIGKILL) at a chosen point of a job. Run as a program by `test_sudden_end`.

    python -m tests.system.runtime.dying STATE URL MACHINE-SKILL JOB POINT

POINT counts the places where a sudden end could hurt: before and after each journal transaction, and before and after each
command on the wire. Without dying it prints the number of points it passed and how the job ended.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio

from dtios.runtime.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.journal import Journal
from dtios.runtime.link import Link
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from tests.runtimes import client_of


class Fate:
    """Counts points once it is armed, and kills at the one chosen."""

    def __init__(self, point: int) -> None:
        self.left = point
        self.passed = 0
        self.armed = False

    def point(self) -> None:
        if not self.armed:
            return
        self.passed += 1
        if self.passed == self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(fate: Fate) -> None:
    """Put points around every transaction and every command."""
    transact, call, write = Journal._transact, Link.call, Link.write

    async def transacted(self: Journal, work: Any) -> Any:
        fate.point()
        result = await transact(self, work)
        fate.point()
        return result

    async def called(self: Link, *given: Any) -> Any:
        fate.point()
        result = await call(self, *given)
        fate.point()
        return result

    async def written(self: Link, *given: Any) -> Any:
        fate.point()
        result = await write(self, *given)
        fate.point()
        return result

    Journal._transact = transacted  # type: ignore[method-assign]  # that is the point of this program
    Link.call = called  # type: ignore[method-assign]
    Link.write = written  # type: ignore[method-assign]


async def main(state: str, url: str, skill: str, job: str, point: int) -> None:
    fate = Fate(point)
    arm(fate)
    async with Runtime(RuntimeConfig(), StateDirectory(Path(state)), Registry()) as runtime, client_of(runtime) as client:
        (machine, *_) = await client.open(url)
        fate.armed = True
        handle = await client.start(machine, skill, {}, job=job)
        outcome = await handle.outcome()
        fate.armed = False
        print(fate.passed, outcome.state)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:5], int(sys.argv[5]))
