"""The MQTT adapter keeps the promises of every adapter, with a Sparkplug machine behind the embedded broker."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest

from dtios.testing.conformance import AdapterConformance, Rig
from dtios_mqtt_rig import SparkplugBench


@pytest.fixture(autouse=True, scope="module")
def one_broker() -> Iterator[None]:
    TestSparkplug.bench = SparkplugBench()
    yield
    TestSparkplug.bench.close()


class TestSparkplug(AdapterConformance):
    bench: ClassVar[SparkplugBench]

    def rig(self) -> AbstractAsyncContextManager[Rig]:
        return self.bench.rig()
