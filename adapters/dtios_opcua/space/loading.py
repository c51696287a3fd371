"""Reading the server's data types into the session's table: one walk down from BaseDataType, a level in one request.

A definition that cannot be read or understood is a note; values of that type appear as Records with their bytes.
"""

from dtios.model.status import status_name
from dtios.model.values import LocalizedText, Record
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.binary.typetable import ENUMERATION, OPTION_SET, DataTypeInfo, StructureField, StructureInfo
from dtios_opcua.session.services import MOST_LEVELS, Attribute, Reference, View, browse
from dtios_opcua.session.session import Session

__all__ = ["NOT_UNDERSTOOD", "load_types"]

NOT_UNDERSTOOD = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""What comes of a value that is not of the type it should have."""
_BASE: NodeKey = (0, 24)
_STRUCTURE: NodeKey = (0, 22)
_HAS_SUBTYPE, _HAS_ENCODING, _HAS_PROPERTY = 45, 38, 46
_ALL_FORWARD = View(0, (0, 31))
_MOST_TYPES = 50_000
_MEMBER_NAMES = ("EnumValues", "EnumStrings", "OptionSetValues")


async def load_types(session: Session) -> None:
    """Once for a session; callers wait for each other. Raises LostError or BadStatus."""
    async with session.loading:
        if not session.types_loaded:
            properties = await _walk(session)
            await _definitions(session)
            await _members_from_properties(session, properties)
            _inherit_fields(session)
            session.types_loaded = True


async def _walk(session: Session) -> dict[NodeKey, dict[str, NodeKey]]:
    """Fill in names, parents and encodings; returns the properties that may name an enumeration's members."""
    types = session.types
    properties: dict[NodeKey, dict[str, NodeKey]] = {}
    level: list[NodeKey] = [_BASE]
    seen = {_BASE}
    for _ in range(MOST_LEVELS):
        below: list[NodeKey] = []
        async for key, found in browse(session.channel, session.limits, level, _ALL_FORWARD, session.uri_index):
            if isinstance(found, int):
                session.notes.append(f"{session.namespaces.address(key)}: its subtypes cannot be browsed ({status_name(found)})")
                continue
            for reference in found:
                kind = reference.type[1] if reference.type[0] == 0 else None
                if kind == _HAS_SUBTYPE and reference.target not in seen and len(seen) < _MOST_TYPES:
                    seen.add(reference.target)
                    below.append(reference.target)
                    _add(session, reference, key)
                elif kind == _HAS_ENCODING and reference.name[1] == "Default Binary":
                    types.set_encoding(reference.target, types.types[key])
                elif kind == _HAS_PROPERTY and reference.name[1] in _MEMBER_NAMES:
                    properties.setdefault(key, {})[reference.name[1]] = reference.target
        level = below
    return properties


def _add(session: Session, reference: Reference, parent: NodeKey) -> None:
    known = session.types.types.get(reference.target)
    fresh = DataTypeInfo(reference.target, reference.name[1] or reference.display_name, parent)
    if known is not None:  # of the OPC UA namespace: the table of all connections is not to be touched
        fresh.encoding, fresh.structure = known.encoding, known.structure
    session.types.add(fresh)
    if fresh.encoding is not None:
        session.types.by_encoding[fresh.encoding] = fresh


async def _definitions(session: Session) -> None:
    keys = [
        key for key, info in session.types.types.items() if key[0] != 0 or _has_members(session, key) or _unknown(session, info)
    ]
    wanted = [(key, attribute) for key in keys for attribute in (Attribute.DATA_TYPE_DEFINITION, Attribute.IS_ABSTRACT)]
    readings = await session.read(wanted)
    for (key, attribute), (value, *_) in zip(wanted, readings, strict=True):
        info = session.types.types[key]
        if attribute == Attribute.IS_ABSTRACT:
            info.abstract = value is True
        elif isinstance(value, Record):
            try:
                _define(session, info, value)
            except NOT_UNDERSTOOD as error:
                session.notes.append(f"{info.name}: its definition is not understood ({error})")


def _unknown(session: Session, info: DataTypeInfo) -> bool:
    """A structure of the OPC UA namespace that is newer than what is known here."""
    return info.structure is None and _STRUCTURE in session.types.supertypes(info.key) and info.key != _STRUCTURE


def _has_members(session: Session, key: NodeKey) -> bool:
    above = list(session.types.supertypes(key))[1:]
    return ENUMERATION in above or OPTION_SET in above or any(at[0] == 0 and at[1] in (3, 5, 7, 9) for at in above)


def _define(session: Session, info: DataTypeInfo, definition: Record) -> None:
    if definition.type == "EnumDefinition":
        # an option set's Value is the bit's number (Part 3, 8.52)
        info.members = tuple((int(one["Value"]), str(one["Name"] or "")) for one in definition["Fields"] or [])
    elif definition.type == "StructureDefinition":
        kind = int(definition["StructureType"])
        subtyped = kind in (3, 4)
        fields = [_field(session, one, subtyped) for one in definition["Fields"] or []]
        info.structure = StructureInfo(fields, masked=kind == 1, union=kind in (2, 4))
        encoding = session.namespaces.told(definition["DefaultEncodingId"])
        if encoding is not None and encoding != (0, 0) and info.encoding is None:
            session.types.set_encoding(encoding, info)


def _field(session: Session, one: Record, subtyped: bool) -> StructureField:
    data_type = session.namespaces.told(one["DataType"])
    if data_type is None:
        raise ValueError(f"its field {one['Name']!r} has a type in an undeclared namespace")
    flagged = bool(one["IsOptional"])
    description = one["Description"]
    return StructureField(
        str(one["Name"]),
        data_type,
        int(one["ValueRank"]),
        optional=flagged and not subtyped,
        polymorphic=flagged and subtyped,
        dimensions=tuple(one["ArrayDimensions"] or ()),
        description=description.text if isinstance(description, LocalizedText) else "",
    )


async def _members_from_properties(session: Session, properties: dict[NodeKey, dict[str, NodeKey]]) -> None:
    """EnumStrings and EnumValues, as servers before 1.04 have them (Part 3, 5.8.3)."""
    wanted = [
        (key, name, node)
        for key, found in properties.items()
        if not session.types.types[key].members
        for name, node in found.items()
    ]
    readings = await session.read([(node, Attribute.VALUE) for _, _, node in wanted])
    for (key, name, _), (value, *_) in zip(wanted, readings, strict=True):
        info = session.types.types[key]
        if not isinstance(value, list) or info.members:
            continue
        if name == "EnumValues":
            records = [one.fields for one in value if isinstance(one, Record)]
            named = [(one.get("Value"), one.get("DisplayName")) for one in records]
            info.members = tuple((n, text.text) for n, text in named if isinstance(n, int) and isinstance(text, LocalizedText))
        else:
            info.members = tuple((number, one.text) for number, one in enumerate(value) if isinstance(one, LocalizedText))


def _inherit_fields(session: Session) -> None:
    """Some servers leave a supertype's fields out of a definition (Part 3, 8.48 wants them first)."""
    types = session.types
    for key, info in types.types.items():
        if key[0] == 0 or info.structure is None or info.structure.union:
            continue
        for above in list(types.supertypes(key))[1:]:
            parent = types.types[above].structure if above in types.types else None
            if parent is None or above in (_STRUCTURE, OPTION_SET):
                continue
            names = {one.name for one in info.structure.fields}
            missing = [one for one in parent.fields if one.name not in names]
            info.structure.fields[:0] = missing
            info.structure.masked = info.structure.masked or parent.masked
