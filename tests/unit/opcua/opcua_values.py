"""Values as asyncua has them, and what they are in the model: an independent way to the same end."""

from datetime import UTC, datetime
from uuid import UUID

from asyncua import ua
from hypothesis import strategies as st

from dtios.model.values import DateTime, LocalizedText, NodeId, QualifiedName, StatusCode
from dtios_opcua.binary.nodeid import Namespaces
from dtios_opcua.binary.standard_types import standard_types
from dtios_opcua.binary.typetable import TypeTable

SPACES = Namespaces(("http://opcfoundation.org/UA/", "urn:a", "urn:b"))


def table() -> TypeTable:
    return TypeTable(SPACES, standard_types())


T = ua.VariantType
RANGES = {
    T.SByte: (-(2**7), 2**7 - 1),
    T.Byte: (0, 2**8 - 1),
    T.Int16: (-(2**15), 2**15 - 1),
    T.UInt16: (0, 2**16 - 1),
    T.Int32: (-(2**31), 2**31 - 1),
    T.UInt32: (0, 2**32 - 1),
    T.Int64: (-(2**63), 2**63 - 1),
    T.UInt64: (0, 2**64 - 1),
}
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
MOMENTS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
NODE_IDS = st.builds(ua.NodeId, st.one_of(st.integers(0, 2**32 - 1), TEXT, st.uuids()), st.integers(0, 2))


SCALARS = {
    T.Boolean: st.booleans(),
    **{kind: st.integers(*limits) for kind, limits in RANGES.items()},
    T.Float: st.floats(width=32, allow_nan=False),
    T.Double: st.floats(allow_nan=False),
    T.String: st.one_of(st.none(), TEXT),
    T.DateTime: MOMENTS,
    T.Guid: st.uuids(),
    T.ByteString: st.one_of(st.none(), st.binary(max_size=20)),
    T.NodeId: NODE_IDS,
    T.StatusCode: st.integers(0, 2**32 - 1).map(ua.StatusCode),
    T.QualifiedName: st.builds(ua.QualifiedName, TEXT, st.integers(0, 2)),
    T.LocalizedText: st.builds(ua.LocalizedText, st.one_of(st.none(), TEXT), st.one_of(st.none(), TEXT)),
}


def variants():
    scalars = [values.map(lambda value, kind=kind: ua.Variant(value, kind)) for kind, values in SCALARS.items()]
    arrays = [
        st.lists(values, max_size=5).map(lambda value, kind=kind: ua.Variant(value, kind, is_array=True))
        for kind, values in SCALARS.items()
    ]
    return st.one_of(st.just(ua.Variant()), *scalars, *arrays)


def data_values():
    """Bad ones too; asyncua keeps a value then, the model does not."""
    times = st.one_of(st.none(), MOMENTS)
    statuses = st.one_of(st.just(0), st.sampled_from([0x480, 0x40000000, 0x80000000, 0x800A0000]))
    return st.builds(
        lambda value, status, source, server: ua.DataValue(
            Value=value,
            StatusCode=ua.StatusCode(status),
            SourceTimestamp=source,
            ServerTimestamp=server,
        ),
        variants(),
        statuses,
        times,
        times,
    )


def nanoseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def in_model(value):
    """An asyncua value in the model's form."""
    match value:
        case list():
            return [in_model(one) for one in value]
        case datetime():
            return DateTime(nanoseconds(value))
        case ua.NodeId():
            return NodeId(SPACES.address((value.NamespaceIndex, value.Identifier)))
        case ua.StatusCode():
            return StatusCode(value.value)
        case ua.QualifiedName():
            return QualifiedName(SPACES.uri(value.NamespaceIndex), value.Name or "")
        case ua.LocalizedText():
            return LocalizedText(value.Text or "", value.Locale or "")
        case UUID() | None | bool() | int() | float() | str() | bytes():
            return value
    raise AssertionError(value)
