"""The broker's process: `python -m dtios.runtime.broker.child OPTIONS`. A line says that it listens; it ends with its parent.

OPTIONS are JSON: those of `iotcore.Broker`.
"""

import json
import logging
import os
import sys
import threading
import time
from typing import Final

from iotcore.broker import Broker, port_in_use

__all__ = ["main"]

_LOOK: Final = 0.02
"""Seconds between two looks: the broker does not say that it listens."""


def main() -> None:
    options = json.loads(sys.argv[1])
    # its spans come out as errors, one for each message
    logging.basicConfig(level=logging.CRITICAL)
    threading.Thread(target=_announce, args=(options["listen"], options["port"]), name="announce", daemon=True).start()
    threading.Thread(target=_end_with_parent, name="stdin", daemon=True).start()
    Broker(**options).run_forever()


def _announce(host: str, port: int) -> None:
    while not port_in_use(port, host):
        time.sleep(_LOOK)
    os.write(1, b"listening\n")


def _end_with_parent() -> None:
    # os.read and not sys.stdin: a daemon thread that holds the lock of a buffered reader aborts the interpreter's end
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
