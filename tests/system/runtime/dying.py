"""Runtimes that kill themselves (SIGKILL) at every point of a job. Run as a program by `test_sudden_end`.

    python -m tests.system.runtime.dying FOLDER URL SKILL PARAMETERS

A point is a place where a sudden end could hurt: before and after each journal transaction, and before and after each command
on the wire. For point 1, 2, 3 ... a child is forked that runs a job of the id `point-N` in the state directory FOLDER/N and dies
there; the first child that reaches its end has passed all of them. A JSON line for each child: {"point", "signal", "state"}.
With `step` as a fifth argument a line on stdin is waited for before each but the first.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import anyio

import dtios_opcua.adapter  # imported once, before the forks
from dtios.runtime.commands.journal import Journal
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.links.link import Link
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from tests.runtimes import client_of

MOST_POINTS = 100


class Fate:
    """Counts points once it is armed, and kills at the one chosen."""

    def __init__(self, chosen: int) -> None:
        self.chosen = chosen
        self.passed = 0
        self.armed = False

    def point(self) -> None:
        if self.armed:
            self.passed += 1
            if self.passed == self.chosen:
                os.kill(os.getpid(), signal.SIGKILL)


def arm(fate: Fate) -> None:
    """Put points around every transaction and every command."""
    for owner, name in ((Journal, "_transact"), (Link, "call"), (Link, "write"), (Link, "publish")):
        setattr(owner, name, _with_points(getattr(owner, name), fate))


def _with_points(work: Any, fate: Fate) -> Any:
    async def pointed(*given: Any) -> Any:
        fate.point()
        result = await work(*given)
        fate.point()
        return result

    return pointed


async def live(folder: Path, url: str, skill: str, parameters: dict[str, Any], point: int) -> str:
    fate = Fate(point)
    arm(fate)
    config = RuntimeConfig.model_validate(json.loads((folder / "config.json").read_text()))
    async with Runtime(config, StateDirectory(folder / str(point)), Registry()) as runtime, client_of(runtime) as client:
        (machine, *_) = await client.open(url)
        fate.armed = True
        job = await client.start(machine, skill, parameters, job=f"point-{point}")
        outcome = await job.outcome()
        fate.armed = False
    return str(outcome.state)


def run_child(folder: Path, url: str, skill: str, parameters: dict[str, Any], point: int) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            state = anyio.run(live, folder, url, skill, parameters, point)
            os.write(writing, state.encode())
        except Exception:  # noqa: BLE001  # told on stderr; the parent sees that nothing was said
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        state = said.read().decode()
    _, status = os.waitpid(child, 0)
    return {"point": point, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "state": state}


def main(folder: str, url: str, skill: str, parameters: str, step: str = "") -> None:
    assert dtios_opcua.adapter is not None
    for point in range(1, MOST_POINTS):
        if step and point > 1 and not sys.stdin.readline():
            return
        lived = run_child(Path(folder), url, skill, json.loads(parameters), point)
        print(json.dumps(lived), flush=True)
        if not lived["signal"]:
            return


if __name__ == "__main__":
    main(*sys.argv[1:6])
