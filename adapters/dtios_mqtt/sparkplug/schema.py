"""The protobuf messages of Sparkplug B 3.0 (chapter 6, payloads), built from their field numbers.

Made at import from plain data instead of generated code: the wire is defined by numbers and types alone.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["PayloadMessage", "PlainPayloadMessage"]

_F = descriptor_pb2.FieldDescriptorProto
_TYPES: Final[dict[str, int]] = {
    "u32": _F.TYPE_UINT32, "u64": _F.TYPE_UINT64, "float": _F.TYPE_FLOAT, "double": _F.TYPE_DOUBLE, "bool": _F.TYPE_BOOL,
    "string": _F.TYPE_STRING, "bytes": _F.TYPE_BYTES,
}  # fmt: skip

_VALUE = [("int_value", "u32"), ("long_value", "u64"), ("float_value", "float"), ("double_value", "double"),
          ("boolean_value", "bool"), ("string_value", "string")]  # fmt: skip

_MESSAGES: Final[dict[str, list[tuple[int, str, str, str]]]] = {
    "Payload": [
        (1, "timestamp", "u64", ""), (2, "metrics", "Metric", "many"), (3, "seq", "u64", ""), (4, "uuid", "string", ""),
        (5, "body", "bytes", ""),
    ],
    "Metric": [
        (1, "name", "string", ""), (2, "alias", "u64", ""), (3, "timestamp", "u64", ""), (4, "datatype", "u32", ""),
        (5, "is_historical", "bool", ""), (6, "is_transient", "bool", ""), (7, "is_null", "bool", ""),
        (8, "metadata", "MetaData", ""), (9, "properties", "PropertySet", ""),
        *((10 + n, name, type, "one") for n, (name, type) in enumerate(_VALUE)),
        (16, "bytes_value", "bytes", "one"), (17, "dataset_value", "DataSet", "one"), (18, "template_value", "Template", "one"),
    ],
    "PlainPayload": [(1, "timestamp", "u64", ""), (2, "metrics", "PlainMetric", "many"), (3, "seq", "u64", "")],
    "PlainMetric": [
        (1, "name", "string", ""), (2, "alias", "u64", ""), (3, "timestamp", "u64", ""), (4, "datatype", "u32", ""),
        *((10 + n, name, type, "one") for n, (name, type) in enumerate(_VALUE)),
    ],
    "MetaData": [
        (1, "is_multi_part", "bool", ""), (2, "content_type", "string", ""), (3, "size", "u64", ""), (4, "seq", "u64", ""),
        (5, "file_name", "string", ""), (6, "file_type", "string", ""), (7, "md5", "string", ""),
        (8, "description", "string", ""),
    ],
    "PropertySet": [(1, "keys", "string", "many"), (2, "values", "PropertyValue", "many")],
    "PropertyValue": [
        (1, "type", "u32", ""), (2, "is_null", "bool", ""),
        *((3 + n, name, type, "one") for n, (name, type) in enumerate(_VALUE)),
        (9, "propertyset_value", "PropertySet", "one"), (10, "propertysets_value", "PropertySetList", "one"),
    ],
    "PropertySetList": [(1, "propertyset", "PropertySet", "many")],
    "DataSet": [
        (1, "num_of_columns", "u64", ""), (2, "columns", "string", "many"), (3, "types", "u32", "many"),
        (4, "rows", "Row", "many"),
    ],
    "Row": [(1, "elements", "DataSetValue", "many")],
    "DataSetValue": [(1 + n, name, type, "one") for n, (name, type) in enumerate(_VALUE)],
    "Template": [
        (1, "version", "string", ""), (2, "metrics", "Metric", "many"), (3, "parameters", "Parameter", "many"),
        (4, "template_ref", "string", ""), (5, "is_definition", "bool", ""),
    ],
    "Parameter": [
        (1, "name", "string", ""), (2, "type", "u32", ""), *((3 + n, name, type, "one") for n, (name, type) in enumerate(_VALUE)),
    ],
}  # fmt: skip
"""message -> (number, field, type, "many" repeated, "one" a member of the oneof `value`)."""


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="dtios_mqtt/sparkplug_b.proto", package="dtios.sparkplug", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(how == "one" for *_, how in fields):
            message.oneof_decl.add(name="value")
        for number, field, type_, how in fields:
            made = message.field.add(name=field, number=number)
            made.label = _F.LABEL_REPEATED if how == "many" else _F.LABEL_OPTIONAL
            if type_ in _TYPES:
                made.type = _TYPES[type_]  # type: ignore[assignment]  # the enumeration's members are ints at run time
            else:
                made.type, made.type_name = _F.TYPE_MESSAGE, f".dtios.sparkplug.{type_}"
            if how == "one":
                made.oneof_index = 0
    return file


_POOL: Final = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"dtios.sparkplug.{name}"))


PayloadMessage: Final[Any] = _class("Payload")
"""The protobuf class of a whole payload."""
PlainPayloadMessage: Final[Any] = _class("PlainPayload")
"""The same wire, but of a metric only its name or alias, its time, its type and a scalar value: the rest is unknown to it."""
