"""The data and object types of OPC 10031-4 v2, built in code in a namespace of the caller's choice."""

from dataclasses import dataclass
from typing import Any, Final

from asyncua import Node, Server, ua
from asyncua.common.structures104 import new_struct, new_struct_field

__all__ = ["JobTypes", "build_job_types"]

_S, _L, _T = ua.VariantType.String, ua.VariantType.LocalizedText, ua.VariantType.DateTime
_EU: Final = ua.NodeId(ua.ObjectIds.EUInformation)
_QUANTITY: Final = ua.NodeId(ua.ObjectIds.DecimalString)
_ANY: Final = ua.NodeId(ua.ObjectIds.BaseDataType)


def _resource(use: str, *ids: str) -> list[tuple[str, Any]]:
    heads = [(name + ("?" if len(ids) > 1 else ""), _S) for name in ids]
    return [
        *heads, ("Description[]?", _L), (f"{use}?", _S), ("Quantity?", _QUANTITY), ("EngineeringUnits?", _EU),
        ("Properties[]?", "ISA95PropertyDataType"),
    ]  # fmt: skip


def _resources(suffix: str) -> list[tuple[str, Any]]:
    return [(f"{name}{suffix}[]?", f"ISA95{name}DataType") for name in ("Personnel", "Equipment", "PhysicalAsset", "Material")]


_FIELDS: Final[dict[str, list[tuple[str, Any]]]] = {
    "ISA95PropertyDataType": [
        ("ID", _S), ("Value", _ANY), ("Description[]?", _L), ("EngineeringUnits?", _EU),
        ("Subproperties[]?", "ISA95PropertyDataType"),
    ],
    "ISA95ParameterDataType": [
        ("ID", _S), ("Value", _ANY), ("Description[]?", _L), ("EngineeringUnits?", _EU),
        ("Subparameters[]?", "ISA95ParameterDataType"),
    ],
    "ISA95EquipmentDataType": _resource("EquipmentUse", "ID"),
    "ISA95PhysicalAssetDataType": _resource("PhysicalAssetUse", "ID"),
    "ISA95PersonnelDataType": _resource("PersonnelUse", "ID"),
    "ISA95MaterialDataType": _resource(
        "MaterialUse", "MaterialClassID", "MaterialDefinitionID", "MaterialLotID", "MaterialSublotID"
    ),
    "ISA95StateDataType": [
        ("BrowsePath", ua.NodeId(ua.ObjectIds.RelativePath)), ("StateText", _L), ("StateNumber", ua.VariantType.UInt32),
    ],
    "ISA95WorkMasterDataType": [("ID", _S), ("Description?", _L), ("Parameters[]?", "ISA95ParameterDataType")],
    "ISA95JobOrderDataType": [
        ("JobOrderID", _S), ("Description[]?", _L), ("WorkMasterID[]?", "ISA95WorkMasterDataType"), ("StartTime?", _T),
        ("EndTime?", _T), ("Priority?", ua.VariantType.Int16), ("JobOrderParameters[]?", "ISA95ParameterDataType"),
        *_resources("Requirements"),
    ],
    "ISA95JobResponseDataType": [
        ("JobResponseID", _S), ("Description?", _L), ("JobOrderID", _S), ("StartTime?", _T), ("EndTime?", _T),
        ("JobState[]", "ISA95StateDataType"), ("JobResponseData[]?", "ISA95ParameterDataType"), *_resources("Actuals"),
    ],
    "ISA95JobOrderAndStateDataType": [("JobOrder", "ISA95JobOrderDataType"), ("State[]", "ISA95StateDataType")],
}  # fmt: skip
"""Structure -> its fields in order; `[]` marks an array, `?` an optional field."""


@dataclass(frozen=True)
class JobTypes:
    index: int
    receiver: Node
    provider: Node

    def data_type(self, name: str) -> ua.NodeId:
        return ua.NodeId(name, self.index)

    def make(self, name: str, **fields: Any) -> Any:
        """A structure by the NodeId of its type: asyncua keeps one class for a name, whichever server came first."""
        return ua.get_type(self.data_type(name))(**fields)


async def build_job_types(server: Server, uri: str) -> JobTypes:
    index = await server.register_namespace(uri)
    for name, fields in _FIELDS.items():
        built = [_field(text, kind, index) for text, kind in fields]
        await new_struct(server, ua.NodeId(name, index), ua.QualifiedName(name, index), built)
    await server.load_data_type_definitions()
    machine = server.get_node(ua.ObjectIds.FiniteStateMachineType)
    receiver = await machine.add_object_type(ua.NodeId("Receiver", index), f"{index}:ISA95JobOrderReceiverObjectType")
    provider = await server.nodes.base_object_type.add_object_type(
        ua.NodeId("Provider", index), f"{index}:ISA95JobResponseProviderObjectType"
    )
    return JobTypes(index, receiver, provider)


def _field(text: str, kind: Any, index: int) -> ua.StructureField:
    of = ua.NodeId(kind, index) if isinstance(kind, str) else kind
    return new_struct_field(text.rstrip("?").removesuffix("[]"), of, array="[]" in text, optional=text.endswith("?"))
