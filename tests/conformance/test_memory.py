"""The in-memory adapter keeps the promises of every adapter."""

from contextlib import AbstractAsyncContextManager

from dtios.testing.conformance import AdapterConformance, Rig
from tests.conformance.memory_rig import MemoryBench


class TestMemory(AdapterConformance):
    def rig(self) -> AbstractAsyncContextManager[Rig]:
        return MemoryBench().rig()
