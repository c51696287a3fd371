"""Checks an app in a process that ends with it: the runtime never imports an app that has a process of its own.

`python -m dtios.runtime.configuration.apart` reads one JSON object on stdin and prints the error, or null.
"""

import json
import subprocess
import sys
from typing import Any, Final

import anyio

from dtios.model.errors import ConfigurationError
from dtios.runtime.configuration.checking import check_hosted
from dtios.runtime.configuration.setup import HostedSetup
from dtios.runtime.registry import AppPlugin

__all__ = ["check_apart"]

LIMIT: Final = 30.0
"""Seconds that importing an app may take, as at its start."""


async def check_apart(plugin: AppPlugin, setup: HostedSetup) -> None:
    """Raises ConfigurationError for an app that cannot be imported or does not take its configuration."""
    asked = {
        "kind": plugin.kind, "name": plugin.name, "target": plugin.target, "distribution": plugin.distribution,
        "config": setup.settings.config, "roles": setup.roles,
    }  # fmt: skip
    command = [sys.executable, "-m", "dtios.runtime.configuration.apart"]
    with anyio.move_on_after(LIMIT) as limit:
        ended = await anyio.run_process(
            command, input=json.dumps(asked, default=str).encode(), check=False, stderr=subprocess.DEVNULL
        )
    if limit.cancelled_caught:
        raise ConfigurationError(f"it could not be imported within {LIMIT:g} s", mend="look at what it does when it is imported")
    lines = ended.stdout.splitlines()
    try:
        error: dict[str, str] | None = json.loads(lines[-1]) if lines else {"message": f"it ended with {ended.returncode}"}
    except ValueError:
        error = {"message": "it cannot be checked: importing it prints and ends the process"}
    if error is not None:
        raise ConfigurationError(error["message"], where=error.get("where", ""), mend=error.get("mend", "correct the plug-in"))


def _main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    plugin = AppPlugin(asked["kind"], asked["name"], asked["target"], asked["distribution"])
    try:
        check_hosted(plugin, asked["config"], asked["roles"])
    except ConfigurationError as error:
        print("\n" + json.dumps({"message": error.message, "where": error.where, "mend": error.mend}))
    else:
        print("\nnull")


if __name__ == "__main__":
    _main()
