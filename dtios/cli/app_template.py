"""What `dtios app new` writes: a plug-in that works, with a test that runs. `NAME` and `PACKAGE` are filled in."""

from typing import Final

__all__ = ["FILES", "fill"]

FILES: Final[dict[str, str]] = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "PROJECT"
version = "0.1.0"
description = "NAME, an app for DTI-OS"
requires-python = ">=3.11"
dependencies = ["dtios"]

[project.entry-points."dtios.apps"]
NAME = "PACKAGE:app"

[tool.hatch.build.targets.wheel]
packages = ["PACKAGE"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
""",
    "PACKAGE/__init__.py": '''\
"""NAME: says when a machine runs faster than its limit."""

from dtios.sdk import App, AppConfig, Change, Context

__all__ = ["Config", "app"]


class Config(AppConfig):
    """The `config:` of this app in dtios.yaml."""

    limit: float = 100.0


app = App("NAME", config=Config, summary="says when a machine runs faster than its limit", version="0.1.0")
machine = app.needs("machine", signals=["Speed"])


@app.on_change(machine, "Speed")
async def speed(ctx: Context[Config], change: Change) -> None:
    """Called for each new value. `number` is NaN for a value that is not Good, so the comparison fails safely."""
    if change.number > ctx.config.limit:
        ctx.log.warning("too fast", machine=change.machine, speed=change.number, limit=ctx.config.limit)
''',
    "tests/test_PACKAGE.py": '''\
"""The real runtime, the app in it, a machine in memory, and a clock turned by hand: this takes milliseconds."""

import anyio
from PACKAGE import app

from dtios.testing import VirtualClock, app_under_test, method_machine


async def limit_is_watched() -> None:
    filler = method_machine("filler", clock=VirtualClock())
    speed = filler.find("Machines/filler/Speed")
    async with app_under_test(app, [filler], config={"limit": 70}) as test:
        filler.set(speed, 69.0)
        await test.settle()
        assert "too fast" not in test.said
        filler.set(speed, 71.0)
        await test.until(lambda: "too fast" in test.said)


def test_limit_is_watched() -> None:
    anyio.run(limit_is_watched)
''',
    "dtios.yaml": """\
# dtios run dtios.yaml
machines:
  filler:
    endpoint: opc.tcp://localhost:4840
apps:
  NAME:
    machines:
      machine: filler
    grants:
      - machine: filler
        read: ["**"]
    config:
      limit: 100
""",
    "README.md": """\
# NAME

    dtios app test .          # the test, in memory
    pip install -e .          # make the plug-in known
    dtios check               # is dtios.yaml right?
    dtios run                 # run it on the machine that dtios.yaml names
""",
}
"""path -> text; NAME, PACKAGE and PROJECT stand in paths and texts."""


def fill(text: str, name: str) -> str:
    """Put the app's name in."""
    package = "dtios_" + name.replace("-", "_")
    return text.replace("PACKAGE", package).replace("PROJECT", f"dtios-{name}").replace("NAME", name)
