"""What a PackML skill touches: where its state is read, how its commands are given, where its parameters go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dtios.mapping.bindings.arguments import ASKED, exact
from dtios.mapping.bindings.job_order_data import empty, eu_information
from dtios.mapping.bindings.variables import CallPoint, ResultPoint, WritePoint
from dtios.mapping.points import Points
from dtios.mapping.state_names import INNER, look_up
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import RefusedError
from dtios.model.machine import Unit
from dtios.model.packml import PackMLCommand, PackMLState
from dtios.model.values import DataValue, Record

__all__ = [
    "COMMAND_NUMBERS",
    "CallPoint",
    "Commands",
    "PackMLParameter",
    "ResultPoint",
    "StateLevel",
    "StateReader",
    "WritePoint",
    "descriptor",
]

COMMAND_NUMBERS: Final = {
    PackMLCommand.RESET: 1,
    PackMLCommand.START: 2,
    PackMLCommand.STOP: 3,
    PackMLCommand.HOLD: 4,
    PackMLCommand.UNHOLD: 5,
    PackMLCommand.SUSPEND: 6,
    PackMLCommand.UNSUSPEND: 7,
    PackMLCommand.ABORT: 8,
    PackMLCommand.CLEAR: 9,
    PackMLCommand.TO_COMPLETE: 10,
}
"""Command.CntrlCmd (ISA-TR88.00.02)."""


@dataclass(frozen=True, slots=True)
class StateLevel:
    """One of the nested state machines: the address of its CurrentState, and the PackML states its values stand for (an empty
    name: the machine inside tells)."""

    address: str
    states: Mapping[int | str, str]


class StateReader:
    """Tells the unit's state from the readings of all levels, as they come in. None while they do not tell."""

    def __init__(self, levels: tuple[StateLevel, ...]) -> None:
        self._levels = levels
        self._readings: dict[str, DataValue] = {}

    @property
    def addresses(self) -> list[str]:
        return [level.address for level in self._levels]

    def take(self, address: str, reading: DataValue) -> None:
        self._readings[address] = reading

    @property
    def state(self) -> PackMLState | None:
        """The outermost level whose value names a state. A level that is Bad, or says what nobody named, hides those inside it:
        an inner machine that is not active may still show an older state."""
        for level in self._levels:
            reading = self._readings.get(level.address)
            if reading is None or not reading.is_good or reading.value is None:
                return None
            name = look_up(level.states, reading.value)
            if name != INNER:
                return None if name is None else PackMLState.__members__.get(name)
        return None

    @property
    def shown(self) -> str:
        """What the machine says of its state, for a sentence."""
        state = self.state
        if state is not None:
            return state.name
        said = [self._readings[a] for a in self.addresses if a in self._readings]
        return " / ".join(str(getattr(r.value, "text", r.value)) if r.is_good else r.status_name for r in said) or "nothing"


@dataclass(frozen=True, slots=True)
class Commands:
    """Methods by command; or CntrlCmd, with CmdChangeRequest where the machine waits for one."""

    methods: Mapping[PackMLCommand, CallPoint] = field(default_factory=dict)
    number: WritePoint | None = None
    change_request: WritePoint | None = None
    reset_stopped: CallPoint | None = None
    """Reset of the outer state machine, which leads from Stopped, where it is another method than that from Complete."""

    def has(self, command: PackMLCommand) -> bool:
        return command in self.methods or self.number is not None

    async def give(self, command: PackMLCommand, points: Points, *, state: PackMLState | None, first: Any = None) -> None:
        """`first` is what goes into the method's first input, an empty value if None. Raises as `Points` does, and
        RefusedError for a command that this machine lacks."""
        method = self.methods.get(command)
        if command is PackMLCommand.RESET and state is PackMLState.Stopped and self.reset_stopped is not None:
            method = self.reset_stopped
        if method is not None:
            values = [empty(t) for t in method.inputs]
            if first is not None and values:
                values[0] = first
            await points.call(method.owner, method.method, list(zip(values, method.inputs, strict=True)))
        elif self.number is not None:
            await points.write(self.number.address, COMMAND_NUMBERS[command], self.number.type)
            if self.change_request is not None:
                await points.write(self.change_request.address, _raised(self.change_request.type), self.change_request.type)
        else:
            raise RefusedError(f"this machine has no command {command.value}", mend="use one of the verbs in its description")


def _raised(type: ValueType) -> Any:
    return True if type.builtin is BuiltinType.Boolean else 1


@dataclass(frozen=True, slots=True)
class PackMLParameter:
    """Where a parameter goes before the start: one of `write`, `call` (as its input number `index`), or a descriptor of Start."""

    name: str
    type: ValueType
    write: WritePoint | None = None
    call: CallPoint | None = None
    index: int = 0
    label: str = ""
    number: int = 0
    unit: Unit | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    fixed: Any = ASKED
    required: bool = False

    @property
    def is_descriptor(self) -> bool:
        """True if it goes in a PackMLDescriptorDataType: with Start, or in a call whose input is a list of them."""
        if self.write is not None:
            return False
        return self.call is None or self.call.inputs[self.index].builtin is BuiltinType.ExtensionObject

    def wanted(self, parameters: Mapping[str, Any]) -> Any:
        """The value to be given, in its exact type; ASKED if the job does not give one."""
        value = parameters.get(self.name, ASKED) if self.fixed is ASKED else self.fixed
        return value if value is ASKED else exact(value, self.type, f"parameter {self.name}")


def descriptor(number: int, name: str, value: float, unit: Unit | None = None) -> Record:
    """OPC 30050 PackMLDescriptorDataType."""
    return Record("PackMLDescriptorDataType", {"ID": number, "Name": name, "Unit": eu_information(unit), "Value": float(value)})
