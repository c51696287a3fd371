"""The whole suite, and its rules."""

from typing import Final

from dtios.testing.conformance.calling import Calling
from dtios.testing.conformance.changing import Changing
from dtios.testing.conformance.commanding import Commanding
from dtios.testing.conformance.connection import Connecting
from dtios.testing.conformance.credentials import Identifying
from dtios.testing.conformance.describing import Describing
from dtios.testing.conformance.events import Telling
from dtios.testing.conformance.faults import Failing
from dtios.testing.conformance.jobs import Working
from dtios.testing.conformance.observing import Observing
from dtios.testing.conformance.rule import Rule
from dtios.testing.conformance.values import Values

__all__ = ["RULES", "AdapterConformance", "rules_of"]


class AdapterConformance(
    Describing, Values, Observing, Commanding, Calling, Connecting, Identifying, Failing, Changing, Working, Telling
):
    """What an adapter promises (dtios.sdk.adapter), tried on a real machine. Subclass it once for each adapter:

    class TestMine(AdapterConformance):
        def rig(self) -> AbstractAsyncContextManager[Rig]: ...

    pytest (with pytest-asyncio) runs the checks that the class inherits; `dtios adapters grade` runs them with the adapter's
    `Bench`.
    """


def rules_of(suite: type) -> tuple[Rule, ...]:
    """Of all checks of a suite, its parts in their order."""
    tests = (test for part in suite.__mro__ for test in vars(part).values())
    return tuple(rule for test in tests if isinstance(rule := getattr(test, "rule", None), Rule))


RULES: Final = rules_of(AdapterConformance)
