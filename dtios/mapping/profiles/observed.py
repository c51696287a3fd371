"""What can be said of a machine from its browse facts alone: nameplate, signals and what is missing of them, methods."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from dtios.mapping.discovery import Found
from dtios.mapping.facts import Node, NodeKind
from dtios.mapping.layout import Entry, Layout
from dtios.mapping.mapped import MappedMachine
from dtios.mapping.paths import escape, parse_path, resolve
from dtios.mapping.profiles.bits import handshakes
from dtios.mapping.profiles.grouping import grouped_names
from dtios.mapping.profiles.library import GENERIC, LoadedProfile
from dtios.mapping.profiles.profile import IdentificationField
from dtios.mapping.profiles.proposal import Proposal, ProposedParameter, ProposedSignal, ProposedSkill
from dtios.mapping.skills.methods import argument_names
from dtios.model.datatypes import BuiltinType
from dtios.model.machine import Signal

__all__ = ["Observed", "as_written"]

_FLAT: Final = 4
"""Variables in one object from which on their names are looked at for groups."""
_PLATES: Final = ("", "Identification", "Nameplate", "NamePlate", "TypePlate")
"""Objects of a machine in which a nameplate is looked for."""
_FIELDS: Final = {name.replace("_", ""): name for name in get_args(IdentificationField)} | {
    "serialno": "serial_number", "vendor": "manufacturer", "vendorname": "manufacturer", "modelname": "model",
    "productname": "model", "firmwareversion": "software_revision", "softwareversion": "software_revision",
    "hardwareversion": "hardware_revision", "deviceid": "asset_id",
}  # fmt: skip


def as_written(path: str) -> str:
    """A path of a description as profiles write it: a colon in a name is no prefix."""
    return "/".join(f"*:{segment}" if ":" in segment else segment for segment in path.split("/")) if path else ""


@dataclass(frozen=True, slots=True)
class Observed:
    """`matched` are the profiles of the machine's own node."""

    found: Found
    mapped: MappedMachine
    matched: list[LoadedProfile]

    def proposal(self, name: str) -> Proposal:
        extends = next((p.name for p in self.matched if p.name != GENERIC), None)
        return Proposal(
            name,
            self.found.node.name.name,
            self.mapped.machine.endpoint,
            extends,
            identification=self._identification(),
            signals=tuple(self._signals()),
            skills=tuple(self._skills()),
            handshakes=tuple(handshakes(self._bits())),
        )

    def _layout(self) -> Layout:
        return Layout(self.found.node, self.found.outside, deep=self.found.deep)

    def _reaches(self, entry: Entry) -> bool:
        """A path that a profile would read otherwise is not proposed."""
        return resolve(self.found.node, parse_path(as_written(entry.path), {})) is entry.node

    def _identification(self) -> dict[str, str]:
        """Fields that no profile finds, and that stand where a nameplate is wont to stand."""
        told = {name for p in self.matched for name in p.rules.identification}
        said: dict[str, str] = {}
        for entry in self._layout():
            where = "" if entry.owner is None else entry.owner.path
            name = _FIELDS.get(re.sub(r"[^a-z]", "", entry.node.name.name.lower()))
            if name is not None and where in _PLATES and name not in told | said.keys() and _is_plate(entry.node):
                said[name] = as_written(entry.path)
        return said

    def _signals(self) -> Iterator[ProposedSignal]:
        by_address = {s.address: s for s in self.mapped.machine.signals}
        names = self._grouped()
        for entry in self._layout():
            signal = by_address.get(entry.node.address)
            if entry.node.kind is NodeKind.VARIABLE and signal is not None and self._reaches(entry):
                renamed = names.get(entry.path) if signal.path == entry.path else None
                yield ProposedSignal(as_written(entry.path), renamed, _missing(signal), _known(signal))

    def _grouped(self) -> dict[str, str]:
        """path -> a better one, for many variables that lie flat in one object."""
        entries = [e for e in self._layout() if e.node.kind is NodeKind.VARIABLE]
        siblings: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.owner is not None and entry.owner.node.kind is NodeKind.OBJECT:
                siblings.setdefault(entry.owner.path, []).append(entry)
        taken = {e.path for e in entries}
        found: dict[str, str] = {}
        for owner, flat in siblings.items():
            unique = {e.node.name.name: e for e in flat if e.path.rpartition("/")[2] == escape(e.node.name.name)}
            grouped = grouped_names(list(unique)) if len(flat) >= _FLAT else {}
            found |= {unique[n].path: f"{owner}/{new}" if owner else new for n, new in grouped.items()}
        return {path: new for path, new in found.items() if new not in taken}

    def _bits(self) -> dict[str, str]:
        """path -> BrowseName of the Boolean variables."""
        return {
            as_written(e.path): e.node.name.name
            for e in self._layout()
            if e.node.kind is NodeKind.VARIABLE and e.node.type is not None and e.node.type.builtin is BuiltinType.Boolean
            and e.node.type.rank < 0 and self._reaches(e)
        }  # fmt: skip

    def _skills(self) -> Iterator[ProposedSkill]:
        plain = {s.path for s in self.mapped.machine.skills if s.binding == "method"}
        for entry in self._layout():
            if entry.node.kind is NodeKind.METHOD and entry.path in plain and self._reaches(entry):
                given = zip(argument_names(entry.node.inputs), entry.node.inputs, strict=True)
                parameters = (ProposedParameter(n, a.type.is_numeric, f"{a.type.label()} {a.description}") for n, a in given)
                yield ProposedSkill(as_written(entry.path), None, tuple(parameters), entry.node.description)


def _is_plate(node: Node) -> bool:
    return (
        node.kind is NodeKind.VARIABLE and node.value is not None and bool(str(getattr(node.value, "text", node.value)).strip())
    )


def _missing(signal: Signal) -> tuple[str, ...]:
    if not signal.type.is_numeric:
        return ()
    return (*(("unit",) if signal.unit is None else ()), *(("range",) if signal.range is None else ()))


def _known(signal: Signal) -> str:
    unit = "" if signal.unit is None else signal.unit.symbol or signal.unit.code or ""
    limits = "" if signal.range is None else f"{signal.range.low:g}..{signal.range.high:g}"
    return ", ".join(filter(None, (signal.type.label(), unit, limits)))
