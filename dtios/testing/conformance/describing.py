"""Rules BRO: what stands behind an endpoint is described the same whenever one looks."""

from typing import Any

from dtios.mapping.facts import BrowseFacts
from dtios.model.datatypes import BuiltinType
from dtios.sdk.grade import Level
from dtios.testing.conformance.base import Suite
from dtios.testing.conformance.probe import connected
from dtios.testing.conformance.rule import Need, check

__all__ = ["Describing", "outline"]


class Describing(Suite):
    @check("BRO-1", "browsing finds every variable with its type and access", Level.BRONZE)
    async def test_browse_finds_types(self) -> None:
        async with self.session() as (rig, probe):
            for name, builtin, rank, _ in self.samples(rig):
                node = await probe.node(name)
                found = None if node.type is None else (node.type.builtin, node.type.rank)
                assert found == (builtin, rank), f"{name} was found with the type {found}, not {(builtin, rank)}"
                assert node.access.readable, f"{name} was found not readable"
                assert node.access.writable, f"{name} was found not writable"
            assert not (await probe.node("Fixed")).access.writable, "Fixed was found writable"

    @check("BRO-2", "browsing twice finds the same", Level.BRONZE)
    async def test_browse_is_stable(self) -> None:
        async with self.session() as (rig, probe):
            first = outline(await probe.connection.browse())
            await rig.set("Double", 2.0)
            assert outline(await probe.connection.browse()) == first, "a second browsing found something else"

    @check("BRO-3", "a new session finds the same, with the same addresses", Level.SILVER)
    async def test_browse_is_the_same_in_a_new_session(self) -> None:
        async with self.rigged() as rig:
            async with connected(rig) as probe:
                first = outline(await probe.connection.browse())
            async with connected(rig) as probe:
                assert outline(await probe.connection.browse()) == first, "a new session found something else"

    @check("BRO-4", "the fingerprint stays while nothing changes", Level.SILVER)
    async def test_fingerprint_is_stable(self) -> None:
        async with self.session() as (rig, probe):
            before = await probe.connection.fingerprint()
            await rig.set("Double", 1.0)
            assert await probe.connection.fingerprint() == before, "it changed with a value"
            async with connected(rig) as other:
                assert await other.connection.fingerprint() == before, "it is another one in another session"

    @check("BRO-5", "browsing finds methods with the types of their arguments", Level.BRONZE, Need.METHODS)
    async def test_browse_finds_methods(self) -> None:
        async with self.session() as (_, probe):
            add = await probe.node("Add")
            found = [argument.type.builtin for argument in (*add.inputs, *add.outputs)]
            assert found == [BuiltinType.Double] * 3, f"the arguments of Add were found as {found}"


def outline(facts: BrowseFacts) -> list[tuple[Any, ...]]:
    """All that may not change between two looks."""
    return [(node.address, node.name, node.kind, node.types, node.type, node.access) for node in facts.root.walk()]
