"""What the documents show is what happens: their commands, apps, configurations and profiles are run, in order, one document
after another."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dtios.cli.schema import schemas
from dtios.mapping.profiles.library import ProfileLibrary
from dtios.runtime.configuration.config import load_config
from dtios.sdk import App
from dtios.testing import packml_machine
from dtios.testing.apps import app_under_test
from tests.docs.markdown import DOCUMENTS, ROOT, Block, blocks
from tests.docs.terminal import Terminal, Zygote, missing

PORT = "4840"
"""Stands in the documents for the port of the simulated machine; a free one is put in its place."""
BROKER_PORT = "18830"
"""The same for the embedded broker."""
MACHINE = "python -m dtios_packml"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    try:
        yield zygote
    finally:
        zygote.close()


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


class Reader:
    """Goes through one document as a reader would."""

    def __init__(self, terminal: Terminal, port: str) -> None:
        self.terminal = terminal
        self.port = port
        self.broker_port = _free_port()

    def follow(self, block: Block) -> None:
        if "norun" in block.options:
            return
        text = block.text.replace(BROKER_PORT, self.broker_port).replace(PORT, self.port)
        getattr(self, f"_{block.language}", self._nothing)(block, text)

    def close(self) -> None:
        self.terminal.close()

    def have_machine(self) -> None:
        """The simulated machine, for a document that does not start one itself."""
        shown = self.terminal.start("the machine", f"{MACHINE} --port {self.port}")
        shown.wait(lambda: "endpoint" in shown.text)

    # --- one for each language ---

    def _nothing(self, block: Block, text: str) -> None:
        assert block.language in ("", "text", "toml", "ini", "sql"), f"{block.where}: nobody tests {block.language}"

    def _console(self, block: Block, text: str) -> None:
        options = block.options
        if "background" in options:
            [(line, expected)] = _commands(text)
            shown = self.terminal.start(options["background"], line)
            shown.wait(lambda: missing(expected, shown.text) is None)
            self._compare(block, line, expected, shown.text)
        elif "shows" in options or "interrupt" in options or "kill" in options:
            self._other(block, [line for line in text.splitlines() if line != "^C"])
        else:
            for line, expected in _commands(text):
                status, printed = self.terminal.run(line)
                assert status == int(options.get("status", "0")), (
                    f"{block.where}: {line}: status {status}; it printed:\n{printed}"
                )
                self._compare(block, line, expected, printed)

    def _other(self, block: Block, expected: list[str]) -> None:
        """What happens in another terminal."""
        options = block.options
        name = options.get("shows") or options.get("interrupt") or options["kill"]
        shown = self.terminal.started(name)
        if "shows" in options:
            shown.wait(lambda: missing(expected, shown.text) is None)
        else:
            shown.send(signal.SIGINT if "interrupt" in options else signal.SIGKILL)
            shown.wait()
        self._compare(block, name, expected, shown.text)

    @staticmethod
    def _compare(block: Block, command: str, expected: list[str], printed: str) -> None:
        lost = missing(expected, printed)
        assert lost is None, (
            f"{block.where}: {command}: the line\n{lost}\nis not (any more) where it should be; it printed:\n{printed}"
        )

    def _python(self, block: Block, text: str) -> None:
        code = compile(text, block.where, "exec")
        if "file" in block.options:
            self._write(block, text)
            return
        space: dict[str, Any] = {"__name__": "snippet"}
        exec(code, space)
        if isinstance(space.get("app"), App):
            _run_app(space["app"])

    def _yaml(self, block: Block, text: str) -> None:
        path = self._write(block, text)
        if "profile" in yaml.safe_load(text):
            ProfileLibrary.load([path])
        else:
            load_config(path)

    def _json(self, block: Block, text: str) -> None:
        if "schema" not in block.options:
            json.loads(text)
            return
        schema = schemas()[block.options["schema"]]
        for line in text.splitlines():
            jsonschema.validate(json.loads(line), schema)

    def _write(self, block: Block, text: str) -> Path:
        path = self.terminal.cwd / block.options.get("file", f"line{block.line}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path


def _commands(text: str) -> list[tuple[str, list[str]]]:
    """(command, the lines shown below it); a line that ends in a backslash goes on."""
    found: list[tuple[str, list[str]]] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:].strip(), []))
        else:
            found[-1][1].append(line)
    return found


def _run_app(app: App[Any]) -> None:
    """In the real runtime, on a machine in memory, for ten seconds of the test's clock."""
    import anyio

    async def run() -> None:
        async with app_under_test(app, machines=[packml_machine("filler")]) as test:
            await test.clock.advance(10)
            await test.settle()

    anyio.run(run)


TESTED = [d for d in DOCUMENTS if any(b.language in ("console", "python", "yaml", "json") for b in blocks(d))]


@pytest.fixture
def reader(zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    for name in ("work", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "work/simulators").symlink_to(ROOT / "simulators")  # readers are in the repository
    for name in ("DTIOS_STATE", "DTIOS_LOG", "DTIOS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    env = {"XDG_STATE_HOME": str(tmp_path / "state"), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    reader = Reader(Terminal(zygote, tmp_path / "work", tmp_path / "logs", env), _free_port())
    try:
        yield reader
    finally:
        reader.close()


@pytest.mark.parametrize("document", TESTED, ids=lambda d: str(d.relative_to(ROOT)))
def test_document(document: Path, reader: Reader) -> None:
    parts = blocks(document)
    runs = any(b.language == "console" for b in parts)
    if runs and any(PORT in b.text for b in parts) and not any(MACHINE in b.text for b in parts):
        reader.have_machine()
    for block in parts:
        reader.follow(block)


README_LINE = """\
profiles: [simulators/dtios_packml/profile.yaml]
machines:
  filler: {endpoint: "opc.tcp://localhost:PORT"}
apps:
  careful:
    config: {order: order-1}
    grants: [{machine: filler, run: [Fill], stop: true}]
"""
README_PLUGIN = """\
[project]
name = "dtios-careful"
version = "0.1.0"
[project.entry-points."dtios.apps"]
careful = "dtios_careful:app"
"""


def test_the_readme_app_fills_its_order(reader: Reader) -> None:
    """In a process of its own, on the simulated machine."""
    reader.have_machine()
    [app] = [b for b in blocks(ROOT / "README.md") if b.language == "python"]
    reader.follow(app)
    (reader.terminal.cwd / "pyproject.toml").write_text(README_PLUGIN, "utf-8")
    (reader.terminal.cwd / "dtios.yaml").write_text(README_LINE.replace("PORT", reader.port), "utf-8")
    reader.terminal.run("pip install -e .")
    shown = reader.terminal.start("run", "dtios run")
    shown.wait(lambda: '"filled"' in shown.text)
    assert '"made": 5' in shown.text


def test_the_runner_notices_what_is_not_shown() -> None:
    assert missing(["a ... c", "d"], "x\na  b c\nd\n") is None
    assert missing(["d", "a ... c"], "a b c\nd\n") == "a ... c"
    assert missing(["b"], "a b c\n") == "b"
