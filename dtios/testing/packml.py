"""A PackML unit in memory: the nested state machines of OPC 30050, moved by the clock."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from dtios.mapping.facts import Node, ReferenceKind
from dtios.model.datatypes import BuiltinType
from dtios.model.errors import RefusedError
from dtios.model.machine import Access, Range, Unit
from dtios.model.packml import ACTING, PackMLCommand, PackMLState, UnitMode, next_state
from dtios.model.values import LocalizedText, NodeId, QualifiedName
from dtios.sdk.clock import Clock
from dtios.testing.server import UA, MemoryServer

__all__ = ["PACKML", "PackMLMachine"]

PACKML: Final = "http://opcfoundation.org/UA/PackML/"

_C = PackMLCommand
_S = PackMLState
_COMMANDS: Final = {
    "BaseStateMachine": (_C.ABORT, _C.CLEAR),
    "MachineState": (_C.STOP, _C.RESET),
    "ExecuteState": (_C.RESET, _C.START, _C.HOLD, _C.UNHOLD, _C.SUSPEND, _C.UNSUSPEND, _C.TO_COMPLETE),
}
"""Where OPC 30050 puts the methods."""
_TYPES: Final = {
    "BaseStateMachine": "PackMLBaseStateMachineType",
    "MachineState": "PackMLMachineStateMachineType",
    "ExecuteState": "PackMLExecuteStateMachineType",
}
_OUTERMOST: Final = frozenset({_S.Aborting, _S.Aborted})
_MIDDLE: Final = frozenset({_S.Stopping, _S.Stopped, _S.Clearing})


class PackMLMachine(MemoryServer):
    """`state` is where it stands; `go` moves it there, as a fault or a hand on the machine would."""

    def __init__(self, name: str, *, clock: Clock | None, execute: float, acting: float) -> None:
        super().__init__(name, clock=clock)
        self._execute = execute
        self._acting = acting
        self._moves = 0
        self._remaining = execute
        self._entered = 0.0
        self.state = PackMLState.Idle
        self.parts = 0

    def build(self, unit: Node) -> None:
        """The address space of PackMLBaseObjectType below `unit`."""
        self._machines: list[Node] = []
        above = unit
        for name in _COMMANDS:
            types = (QualifiedName(PACKML, _TYPES[name]), QualifiedName(UA, "FiniteStateMachineType"))
            above = self.object(name, parent=above, types=types, namespace=PACKML, reference=ReferenceKind.COMPONENT)
            self._machines.append(self._current_state(above))
            for command in _COMMANDS[name]:
                self.method(command.value, self._method(command), parent=above, namespace=PACKML)
        self._build_status(unit)
        self._show()

    def _current_state(self, above: Node) -> Node:
        text = LocalizedText("", "en")
        node = self.variable("CurrentState", text, BuiltinType.LocalizedText, parent=above, access=Access.READ, namespace=UA)
        self.variable("Id", NodeId(""), BuiltinType.NodeId, parent=node, access=Access.READ, namespace=UA, property=True)
        return node

    def _build_status(self, unit: Node) -> None:
        status = self.object("Status", parent=unit, types=QualifiedName(PACKML, "PackMLStatusObjectType"), namespace=PACKML)
        admin = self.object("Admin", parent=unit, types=QualifiedName(PACKML, "PackMLAdminObjectType"), namespace=PACKML)
        speed = {"unit": Unit("H60", "1/min"), "range": Range(0, 200), "namespace": PACKML}
        kind = BuiltinType.Float
        self._mode = self.variable(
            "UnitModeCurrent", int(UnitMode.Produce), BuiltinType.Int32, parent=status, access=Access.READ, namespace=PACKML
        )
        self._speed = self.variable("CurMachSpeed", 0.0, kind, parent=status, access=Access.READ, **speed)  # type: ignore[arg-type]  # mypy joins the types of a dict's values
        self._set_speed = self.variable("MachSpeed", 100.0, kind, parent=status, **speed)  # type: ignore[arg-type]  # as above
        self._parts = self.variable("AccTimeSinceReset", 0, BuiltinType.Int32, parent=admin, access=Access.READ, namespace=PACKML)
        self.method("SetMachSpeed", self._on_speed, parent=unit, inputs=[("RequestedMachineSpeed", kind)], namespace=PACKML)
        self.method("SetUnitMode", self._on_mode, parent=unit, inputs=[("RequestedMode", BuiltinType.Int32)], namespace=PACKML)

    def go(self, state: PackMLState) -> None:
        """Move there now, whatever the transition table says."""
        if self.state is _S.Execute:
            self._remaining -= self.clock.monotonic() - self._entered
        if state is _S.Starting:
            self._remaining = self._execute
        self.state, self._entered = state, self.clock.monotonic()
        self._moves += 1
        self._show()
        if state in ACTING:
            self.spawn(self._act, state, self._moves)

    async def _act(self, state: PackMLState, move: int) -> None:
        await self.clock.sleep(self._remaining if state is _S.Execute else self._acting)
        if self._moves != move:
            return
        if state is _S.Completing:
            self.parts += 1
        self.go(ACTING[state])

    def _method(self, command: PackMLCommand) -> Callable[[], Coroutine[Any, Any, None]]:
        async def call() -> None:
            state = next_state(self.state, command)
            if state is None:
                raise RefusedError(
                    f"the machine answered BadInvalidState: {command.value} is not possible in {self.state.name}",
                    where=self.url,
                    mend="look at its state first",
                )
            self.go(state)

        return call

    async def _on_speed(self, speed: float) -> None:
        self.set(self._set_speed, speed)

    async def _on_mode(self, mode: int) -> None:
        self.set(self._mode, mode)

    def _show(self) -> None:
        """An inner state machine is not active, and its state Bad, while the one around it is elsewhere."""
        names = [self.state.name, None, None]
        if self.state not in _OUTERMOST:
            names = ["Cleared", self.state.name, None]
            if self.state not in _MIDDLE:
                names = ["Cleared", "Running", self.state.name]
        for node, name in zip(self._machines, names, strict=True):
            # BadStateNotActive, Part 16
            status = 0 if name else "BadStateNotActive"
            self.set(node, LocalizedText(name or "", "en"), status=status)
            self.set(f"{node.address}/Id", NodeId(f"nsu={PACKML};s={name}"), status=status)
        self.set(self._speed, self.get(self._set_speed) if self.state is _S.Execute else 0.0)
