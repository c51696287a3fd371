"""The MQTT adapter keeps the promises of every adapter, with machines behind the embedded broker."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import pytest

from dtios.testing.conformance import AdapterConformance, Rig
from dtios_mqtt_rig import SparkplugBench, TopicBench


@pytest.fixture(autouse=True, scope="module")
def one_broker_each() -> Iterator[None]:
    TestSparkplug.bench, TestTopics.bench = SparkplugBench("5"), TopicBench("3.1.1")
    yield
    TestSparkplug.bench.close()
    TestTopics.bench.close()


class TestSparkplug(AdapterConformance):
    bench: ClassVar[SparkplugBench]

    def rig(self) -> AbstractAsyncContextManager[Rig]:
        return self.bench.rig()


@pytest.mark.slow
class TestTopics(AdapterConformance):
    bench: ClassVar[TopicBench]

    def rig(self) -> AbstractAsyncContextManager[Rig]:
        return self.bench.rig()
