"""The OPC UA adapter keeps the promises of every adapter, on a real server in a process of its own."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest

from dtios.testing.conformance import AdapterConformance, Rig
from dtios_opcua_rig import OpcUaBench


@pytest.fixture(autouse=True, scope="module")
def one_server() -> Iterator[None]:
    bench = TestOpcUa.bench = OpcUaBench()
    bench.start()
    yield
    bench.stop()


class TestOpcUa(AdapterConformance):
    bench: ClassVar[OpcUaBench]

    def rig(self) -> AbstractAsyncContextManager[Rig]:
        return self.bench.rig()
