"""`make demo`: a simulated machine in a process of its own, described, run by an app and watched, by the commands a user has.

    python -m dtios_packml.demo [--seconds 20]

Each step is a `dtios` command in a process of its own; what it prints is what the user would see.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROFILE = Path(__file__).with_name("profile.yaml")
SPEED = "2"
"""Simulated seconds for each second: a demo is short."""

CONFIGURATION = """\
# What `make demo` runs: one machine with its limits, and one app with what it may do.
state: state
profiles: [{profile}]
machines:
  filler:
    endpoint: {endpoint}
    envelope:
      skills:
        Fill: {{speed: [10, 200]}}
    interlocks:
      - {{signal: Process/Jammed, equals: false, skills: [Fill], message: the filler is jammed}}
apps:
  counter:
    config: {{jobs: 0, parts: 25, speed: 180, warm: 33, hot: 42}}
    grants:
      - {{machine: filler, run: [Fill], stop: true}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="A simulated machine, described, watched and run by an app.")
    parser.add_argument("--seconds", type=float, help="end after this time; without it Ctrl-C ends it")
    options = parser.parse_args()
    if not sys.stdout.isatty():
        os.environ.setdefault("PYTHONUNBUFFERED", "1")
    with tempfile.TemporaryDirectory(prefix="dtios-demo-") as folder, _machine() as endpoint:
        home = Path(folder)
        (home / "dtios.yaml").write_text(CONFIGURATION.format(profile=PROFILE, endpoint=endpoint), "utf-8")
        _say(f"A filling machine that follows PackML answers at {endpoint}. Nobody told dtios what it is.")
        if _run(home, "describe", "filler"):
            return 1
        _say("Now the runtime with one app. `counter` knows no OPC UA: it has bottles filled, 25 at a time,")
        _say("  and holds the machine while it is hot.")
        _say(f"From another terminal: cd {home}; {Path(sys.executable).with_name('dtios')} watch filler 'Status/*'")
        seconds = [] if options.seconds is None else ["--seconds", str(options.seconds)]
        status = _run(home, "run", "--log-format", "console", *seconds)
        _say("The journal knows what was done:")
        return _run(home, "job", "list") or status


@contextmanager
def _machine() -> Iterator[str]:
    """The machine's endpoint, while its process runs. It ends with this one, however this one ends."""
    command = [sys.executable, "-m", "dtios_packml", "--with-parent", "--speed", SPEED, "--jam-every", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        _say("starting the simulated machine ...")
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the simulated machine did not start; its reason stands above")
        try:
            yield str(json.loads(line)["endpoint"])
        finally:
            process.terminate()


def _run(home: Path, *words: str) -> int:
    """One dtios command; Ctrl-C is the command's to handle, and ends the demo in order."""
    shown = " ".join(words)
    sys.stdout.write(f"\n$ dtios {shown}\n")
    sys.stdout.flush()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = [sys.executable, "-m", "dtios.cli", *words]
        with subprocess.Popen(command, cwd=home, preexec_fn=_hear_ctrl_c) as process:
            return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n" if not text.startswith(" ") else f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
