"""Coverage-guided search with atheris (libFuzzer): `python -m tests.fuzz.hunt values|client|mqtt CORPUS... -runs=20000 -seed=1`.

    -merge=1 tests/fuzz/corpus/values NEW...       # what adds coverage is kept

Needs the extra `fuzz`. libFuzzer's options go through; it ends the process itself, with a status other than 0 when an input
crashed, hung (-timeout) or took too much memory (-rss_limit_mb, -malloc_limit_mb), and leaves that input in a file.
"""

import asyncio
import logging
import shlex
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import atheris
import structlog

with atheris.instrument_imports(include=["dtios_opcua", "dtios_mqtt", "dtios.mapping.json_paths"]):
    from tests.fuzz import client, mqtt, values


def _client(server: AbstractAsyncContextManager[client.Client]) -> Callable[[bytes], None]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    one = loop.run_until_complete(server.__aenter__())

    def run(data: bytes) -> None:
        loop.run_until_complete(one.run(data))
        # what fails before it begins finds nothing
        assert one.runs < 500 or one.stood > one.runs / 20, f"{one.stood} of {one.runs} sessions stood: {one.outcomes}"

    return run


def _mqtt() -> Callable[[bytes], None]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    runs, messages, understood = 0, 0, 0

    def run(data: bytes) -> None:
        nonlocal runs, messages, understood
        one = mqtt.Listener()
        loop.run_until_complete(one.run(data))
        runs, messages, understood = runs + 1, messages + one.messages, understood + bool(one.sink.values)
        if not runs % 1000:
            print(f"messages {messages}, inputs {runs}, with values {understood}", file=sys.stderr)
            assert understood > runs / 20  # what nobody understands finds nothing

    return run


def _executable(name: str) -> str:
    """libFuzzer starts itself again for -merge=1 and -minimize_crash=1, by argv[0]."""
    handle, path = tempfile.mkstemp(prefix="hunt-", suffix=".sh")
    with open(handle, "w") as script:
        script.write(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tests.fuzz.hunt {name} "$@"\n')
    Path(path).chmod(0o700)
    return path


if __name__ == "__main__":
    name = sys.argv.pop(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    server = client.client() if name == "client" else None  # a context manager that nobody holds would be over at once
    if {"-merge=1", "-minimize_crash=1"} & set(sys.argv):
        sys.argv[0] = _executable(name)
    atheris.Setup(sys.argv, _client(server) if server is not None else _mqtt() if name == "mqtt" else values.decode)
    atheris.Fuzz()
