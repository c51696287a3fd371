"""`dtios` in forks of a process that has imported everything already: thirty commands of a document take seconds, not a minute.

Requests are JSON objects, a line each: {"module", "argv", "cwd", "env", "out"} answers a pid; {"poll": pid} answers the exit
status or null. Module `dtios` is the command, any other is run as by `python -m`.
"""

import importlib
import json
import os
import pkgutil
import runpy
import sys
import traceback
from typing import Any, NoReturn

import dtios.cli
import dtios_opcua
import dtios_packml
from dtios.runtime import core as _core  # noqa: F401  # imported for its weight


def _preload() -> None:
    for package in (dtios.cli, dtios_opcua, dtios_packml):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def _become(request: dict[str, Any]) -> NoReturn:
    out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((null, 0), (out, 1), (out, 2)):
        os.dup2(ours, standard)
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    sys.path[:0] = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))
    status = 70
    try:
        if request["module"] == "dtios":
            dtios.cli.main(request["argv"])
        sys.argv = [request["module"], *request["argv"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001  # the fork must end here, whatever happened
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _serve() -> None:
    _preload()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            answer = _poll(request["poll"])
        elif not (answer := os.fork()):
            _become(request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
