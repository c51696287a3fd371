"""The suite's own form: every check has an id and a name of its own, and would notice an adapter that breaks a promise."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dtios.model.values import DataValue
from dtios.sdk.adapter import Connection, ConnectionSettings, LastCheck, Write
from dtios.testing import MemoryAdapter
from dtios.testing.conformance import RULES, AdapterConformance, Rig
from dtios.testing.memory import MemoryConnection
from tests.conformance.memory_rig import MemoryRig


def test_every_check_has_its_own_id_and_name() -> None:
    found = RULES
    tests = [name for name in dir(AdapterConformance) if name.startswith("test_")]
    assert sorted(rule.test for rule in found) == sorted(tests)
    assert len({rule.id for rule in found}) == len({rule.title for rule in found}) == len(found) > 20


class Forgetful(MemoryConnection):
    """Asks the last check after the hand-over, repeats what was not answered, and shows the last good value."""

    async def write(self, writes: Sequence[Write], last_check: LastCheck) -> list[int]:
        statuses = await super().write(writes, lambda: None)
        last_check()
        return statuses

    async def read(self, addresses: Sequence[str]) -> list[DataValue]:
        readings = await super().read(addresses)
        return [DataValue(0.0 if r.value is None else r.value, r.status) for r in readings]


class Broken(MemoryAdapter):
    def connect(self, url: str, settings: ConnectionSettings, home: Path) -> Connection:
        super().connect(url, settings, home)
        return Forgetful(self._servers[url], settings)


class Suite(AdapterConformance):
    __test__ = False

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        rig = MemoryRig()
        rig.adapter = Broken(rig.server)
        async with rig.server:
            yield rig


@pytest.mark.parametrize("test", ["test_last_check_refuses", "test_bad_has_no_value", "test_unknown_points", "test_source_times"])
async def test_an_adapter_that_breaks_a_promise_fails_the_check(test: str) -> None:
    checks: Any = Suite()
    with pytest.raises(ExceptionGroup) as caught:
        await getattr(checks, test)()
    assert caught.group_contains(AssertionError)


@pytest.mark.parametrize("test", ["test_read_types", "test_outputs"])
async def test_and_passes_those_it_keeps(test: str) -> None:
    checks: Any = Suite()
    await getattr(checks, test)()
