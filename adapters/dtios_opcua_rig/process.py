"""The server's process, asked and signalled. Its methods block: an event loop calls them in a thread."""

import base64
import json
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["ServerProcess"]


class ServerProcess:
    """One serves all checks; a check that switches it off starts it again, at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "dtios_opcua_rig.server", str(self.port), str(self.folder)]
        # A group of its own: Ctrl-C at a terminal is for who grades, who then ends this in order.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            raise RuntimeError(f"the server of the rig ended with {self.process.wait()} before it was ready")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def ask(self, name: str, *arguments: Any) -> Any:
        if self.process is None:
            self.start()
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        question = base64.b64encode(pickle.dumps((name, arguments))).decode()
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the server died of {name}{arguments}"
        return pickle.loads(base64.b64decode(json.loads(answer)))

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
