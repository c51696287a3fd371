"""Writing a signal: through the gate, with its exact type, confirmed by reading back."""

import math
import struct
from functools import partial
from typing import Any
from uuid import uuid4

from dtios.model.coercion import check
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.errors import DtiosError, RefusedError
from dtios.model.status import is_bad, status_name
from dtios.model.values import DataValue
from dtios.runtime.commands.gate import Action, Command, Gate
from dtios.runtime.commands.principal import Principal
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk.adapter import Write
from dtios.sdk.clock import Clock

__all__ = ["SignalWriter"]


class SignalWriter:
    def __init__(self, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock

    async def write(
        self,
        principal: Principal,
        machine: LiveMachine,
        path: str,
        value: Any,
        *,
        command: str = "",
        deadline: float | None = None,
        lease: int | None = None,
    ) -> tuple[int, bool, DataValue | None]:
        """(StatusCode, whether reading back gave the value, what was read back). `value` is in canonical units.

        Raises RefusedError (gate, access, type, the machine), TemporaryError (offline: nothing was sent), OutcomeUnknown.
        """
        signal = machine.signal(path)
        where = f"{machine.name} {path}"
        asked = Command(
            command or str(uuid4()), principal, machine, Action.WRITE, path, {"": value},
            None if deadline is None else self._clock.monotonic() + deadline, lease,
        )  # fmt: skip
        try:
            if not signal.access.writable:
                raise RefusedError("the machine does not let this user write it", where=where, mend="choose a writable signal")
            wire = self._wire(machine, path, value, where)
            machine.check_reachable()
        except DtiosError as refusal:
            await self._gate.refuse(asked, refusal)
            raise
        permit = await self._gate.admit(asked)
        wiring = machine.mapped.signals[path]
        try:
            # As rounded to the machine's type: a coarse one may leave limits that the asked value keeps.
            check = partial(permit.verify_write, wiring.address, wire)
            (status,) = await machine.link.write([Write(wiring.address, wire, wiring.wire)], check)
        except DtiosError as error:
            await permit.conclude(f"{error.kind}: {error}")
            raise
        await permit.conclude(status_name(status))
        if is_bad(status):
            raise RefusedError(f"the machine refused the value ({status_name(status)})", where=where)
        return (status, *await self._read_back(machine, path, wire, wiring.wire))

    @staticmethod
    def _wire(machine: LiveMachine, path: str, value: Any, where: str) -> Any:
        wiring = machine.mapped.signals[path]
        if wiring.conversion is not None:
            value = wiring.conversion.down(value, wiring.wire)
        return check(value, wiring.wire, where)

    @staticmethod
    async def _read_back(machine: LiveMachine, path: str, wire: Any, type: ValueType) -> tuple[bool, DataValue | None]:
        if not machine.signal(path).access.readable:
            return False, None
        try:
            raw, shown = await machine.read_raw(path)
        except DtiosError:
            return False, None
        return raw.is_good and _same(raw.value, wire, type), shown


def _same(found: Any, written: Any, type: ValueType) -> bool:
    if isinstance(written, list) and isinstance(found, list):
        return len(found) == len(written) and all(_same(f, w, type) for f, w in zip(found, written, strict=True))
    if type.builtin is BuiltinType.Float and isinstance(written, int | float) and isinstance(found, int | float):
        written = struct.unpack("<f", struct.pack("<f", written))[0]
        return math.isclose(found, written, rel_tol=1e-6)
    return bool(found == written)
