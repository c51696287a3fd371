"""The child's side of `isolation: process`: `python -m dtios.sdk.process MODULE:ATTRIBUTE FD NAME`.

FD is one end of a socket pair, inherited. The child ends when the runtime does, and lets itself be asked where it stands
(SIGUSR1: its stacks on stderr), whatever its event loop is doing. Exit status: 0 finished, 1 failed, 3 stopped.
"""

import faulthandler
import importlib
import os
import signal
import sys
import threading
from contextlib import suppress

import anyio
from anyio.abc import UNIXSocketStream

from dtios.model.errors import ConfigurationError
from dtios.sdk.app import App
from dtios.sdk.client import open_client
from dtios.sdk.clock import SystemClock
from dtios.sdk.crew import report
from dtios.sdk.host import Ending, Host
from dtios.sdk.transport import StreamTransport, Transport

__all__ = ["STOPPED_STATUS", "load_app", "main"]

STOPPED_STATUS = 3
_STATUS = {Ending.FINISHED: 0, Ending.FAILED: 1, Ending.STOPPED: STOPPED_STATUS}

_PR_SET_PDEATHSIG = 1
_NICENESS = 5
"""An app that takes all the processor must not take it from the runtime."""


def load_app(target: str, name: str) -> App:  # type: ignore[type-arg]  # of which configuration is not known before
    """Import `module:attribute`. Raises ConfigurationError, one sentence naming the entry point."""
    where = f"entry point {name} = {target}"
    module, _, attribute = target.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in filter(None, attribute.split(".")):
            found = getattr(found, part)
    except ConfigurationError as error:
        raise ConfigurationError(str(error), where=where, mend="correct the plug-in") from error
    except Exception as error:
        reason = f"it cannot be imported: {type(error).__name__}: {error}"
        raise ConfigurationError(reason, where=where, mend="correct or uninstall the plug-in") from error
    if not isinstance(found, App):
        raise ConfigurationError(f"it is a {type(found).__name__}, no App", where=where, mend="let it name an App object")
    if found.name != name:
        raise ConfigurationError(f"the app calls itself {found.name}", where=where, mend="give both the same name")
    found.manifest()
    return found


def _die_with_the_runtime() -> None:
    """An app that blocks would not see that its socket has closed."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_wait_for_end_of_stdin, name="dies with the runtime", daemon=True).start()


def _wait_for_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def _be_the_first_to_go() -> None:
    """Where memory runs out, the kernel is to end an app and never the runtime. Neither call needs rights."""
    with suppress(OSError):
        os.nice(_NICENESS)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


async def _run(target: str, name: str, fd: int) -> Ending:
    stream = await UNIXSocketStream.from_socket(fd)
    transport = StreamTransport(stream)
    try:
        app = load_app(target, name)
    except ConfigurationError as error:
        await _report(transport, error)
        return Ending.FAILED
    return await Host(app, transport, SystemClock()).run()


async def _report(transport: Transport, error: ConfigurationError) -> None:
    async with open_client(transport, "app") as client:
        await client.tell(report("import", error))


def main(arguments: list[str]) -> int:
    target, fd, name = arguments
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on a terminal is for the runtime, which then stops its apps in order
    _die_with_the_runtime()
    _be_the_first_to_go()
    return _STATUS[anyio.run(_run, target, name, int(fd))]


if __name__ == "__main__":
    # os._exit: threads that an app left behind must not keep the process. What was printed is written first.
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
