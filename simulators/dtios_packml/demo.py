"""`make demo`: two simulated machines in processes of their own, one by OPC UA and one by Sparkplug, run by the same app.

    python -m dtios_packml.demo [--seconds 20]

No broker need be installed: the runtime starts one. Each step is a `dtios` command in a process of its own; what it prints is
what the user would see.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROFILES = [str(Path(__file__).with_name(name)) for name in ("profile.yaml", "sparkplug.yaml")]
SPEED = "2"
"""Simulated seconds for each second: a demo is short."""

CONFIGURATION = """\
# What `make demo` runs: two machines with their limits, and the same app for each with what it may do.
state: state
profiles: {profiles}
broker: {{port: {port}}}
machines:
  filler:
    endpoint: {endpoint}
    envelope:
      skills:
        Fill: {{speed: [10, 200]}}
    interlocks:
      - {{signal: Process/Jammed, equals: false, skills: [Fill], message: the filler is jammed}}
  bottler:
    endpoint: mqtt:embedded
    machine: Bottler
    envelope:
      skills:
        Fill: {{speed: [10, 200]}}
    interlocks:
      - {{signal: Process/Jammed, equals: false, skills: [Fill], message: the bottler is jammed}}
apps:
  counter:
    config: {{jobs: 0, parts: 25, speed: 180, warm: 33, hot: 42}}
    machines: {{press: filler}}
    grants:
      - {{machine: filler, run: [Fill], stop: true}}
  counter-2:
    app: counter
    config: {{jobs: 0, parts: 15, speed: 120, warm: 33, hot: 42}}
    machines: {{press: bottler}}
    grants:
      - {{machine: bottler, run: [Fill], stop: true}}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="Two simulated machines, run by the same app.")
    parser.add_argument("--seconds", type=float, help="end after this time; without it Ctrl-C ends it")
    options = parser.parse_args()
    if not sys.stdout.isatty():
        os.environ.setdefault("PYTHONUNBUFFERED", "1")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="dtios-demo-") as folder, _opcua_machine() as endpoint, _sparkplug_machine(port):
        home = Path(folder)
        text = CONFIGURATION.format(profiles=json.dumps(PROFILES), endpoint=endpoint, port=port)
        (home / "dtios.yaml").write_text(text, "utf-8")
        _say(f"A filling machine that follows PackML answers at {endpoint}. Nobody told dtios what it is.")
        if _run(home, "describe", "filler"):
            return 1
        _say("Now the runtime, with a second machine: a Sparkplug device, on a broker that the runtime starts.")
        _say("  The same app runs on both. `counter` knows neither OPC UA nor MQTT: it has bottles filled,")
        _say("  and holds its machine while it is hot.")
        _say(f"From another terminal: cd {home}; {Path(sys.executable).with_name('dtios')} watch filler 'Status/*'")
        seconds = [] if options.seconds is None else ["--seconds", str(options.seconds)]
        status = _run(home, "run", "--log-format", "console", *seconds)
        _say("The journal knows what was done:")
        return _run(home, "job", "list") or status


def _command(*options: str) -> list[str]:
    """A machine's process. It ends with this one, however this one ends."""
    return [sys.executable, "-m", "dtios_packml", "--with-parent", "--speed", SPEED, "--jam-every", "0", *options]


@contextmanager
def _sparkplug_machine(port: int) -> Iterator[None]:
    """It is born when the broker is there: nobody waits for its ready line."""
    command = _command("--sparkplug", f"mqtt://127.0.0.1:{port}", "--name", "Bottler")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def _opcua_machine() -> Iterator[str]:
    """The machine's endpoint, while its process runs."""
    command = _command()
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
