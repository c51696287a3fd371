"""Coverage-guided search with atheris (libFuzzer): `python -m tests.fuzz.hunt values|client CORPUS... -runs=20000 -seed=1`.

Needs the extra `fuzz`. libFuzzer's options go through; it ends the process itself, with a status other than 0 when an input
crashed, hung (-timeout) or took too much memory (-rss_limit_mb, -malloc_limit_mb), and leaves that input in a file.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import atheris

with atheris.instrument_imports(include=["dtios_opcua"]):
    from tests.fuzz import client, values


def _client(server: AbstractAsyncContextManager[client.Client]) -> Callable[[bytes], None]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    one = loop.run_until_complete(server.__aenter__())

    def run(data: bytes) -> None:
        loop.run_until_complete(one.run(data))
        # what fails before it begins finds nothing
        assert one.runs < 500 or one.stood > one.runs / 20, f"{one.stood} of {one.runs} sessions stood: {one.outcomes}"

    return run


if __name__ == "__main__":
    name = sys.argv.pop(1)
    server = client.client()  # a context manager that nobody holds would be over at once
    atheris.Setup(sys.argv, values.decode if name == "values" else _client(server))
    atheris.Fuzz()
