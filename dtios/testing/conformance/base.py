"""What every part of the suite stands on."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from dtios.model.datatypes import BuiltinType, ValueType
from dtios.sdk.adapter import Call
from dtios.testing.conformance.probe import Probe, connected
from dtios.testing.conformance.rig import SAMPLES, Rig
from dtios.testing.conformance.rule import Need, NotApplicable

__all__ = ["DOUBLE", "Suite", "call_of"]

DOUBLE: Final = ValueType(BuiltinType.Double)


class Suite(ABC):
    """A part of the conformance suite: methods marked with `check`."""

    needs: tuple[Need, ...] = ()
    """Of the check that runs."""
    notes: tuple[str, ...] = ()
    """What the check could not try, and why."""

    @abstractmethod
    def rig(self) -> AbstractAsyncContextManager[Rig]:
        """For one check. It is entered inside the check."""

    @asynccontextmanager
    async def rigged(self) -> AsyncIterator[Rig]:
        """A rig that has what the check needs. Raises NotApplicable."""
        async with self.rig() as rig:
            for need in self.needs:
                if need in rig.lacks:
                    raise NotApplicable(rig.lacks[need])
            yield rig

    @asynccontextmanager
    async def session(self, **settings: Any) -> AsyncIterator[tuple[Rig, Probe]]:
        async with self.rigged() as rig, connected(rig, **settings) as probe:
            yield rig, probe

    def samples(self, rig: Rig) -> Iterator[tuple[str, BuiltinType, int, tuple[Any, ...]]]:
        """(name, type, value rank, values to try). What the rig cannot have is noted."""
        for name, (builtin, rank, samples) in SAMPLES.items():
            if name in rig.absent:
                self.notes = (*self.notes, f"{name} was not tried: {rig.absent[name]}")
            else:
                yield name, builtin, rank, samples


async def call_of(probe: Probe, name: str, *arguments: float) -> Call:
    """A method of `Conformance` with Doubles."""
    owner, method = await probe.node(""), await probe.node(name)
    return Call(owner.address, method.address, [(value, DOUBLE) for value in arguments], timeout=5.0)
