"""What is shipped for tests: machines in memory, a clock turned by hand, and the conformance suite for adapters."""

from dtios.testing.apps import AppFailure, AppUnderTest, app_under_test
from dtios.testing.clock import VirtualClock, settle
from dtios.testing.machines import METHOD_PROFILE, job_order_machine, method_machine, packml_machine
from dtios.testing.memory import MemoryAdapter
from dtios.testing.proxy import BOTH, DOWN, UP, FaultProxy, Injected
from dtios.testing.server import MemoryServer, Received

__all__ = [
    "BOTH",
    "DOWN",
    "METHOD_PROFILE",
    "UP",
    "AppFailure",
    "AppUnderTest",
    "FaultProxy",
    "Injected",
    "MemoryAdapter",
    "MemoryServer",
    "Received",
    "VirtualClock",
    "app_under_test",
    "job_order_machine",
    "method_machine",
    "packml_machine",
    "settle",
]
