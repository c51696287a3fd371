// A variable of each built-in type, of arrays, a matrix and of structures, each write of which is in the log.
import { DataType, StatusCodes, Variant, VariantArrayType, coerceExpandedNodeId, coerceNodeId, coerceQualifiedName } from "node-opcua";

const SCALARS = {
  Boolean: false, SByte: 0, Byte: 0, Int16: 0, UInt16: 0, Int32: 0, UInt32: 0, Int64: [0, 0], UInt64: [0, 0], Float: 0, Double: 0,
  String: "", DateTime: new Date(0), Guid: "00000000-0000-0000-0000-000000000000", ByteString: Buffer.alloc(0), XmlElement: "<a/>",
  NodeId: coerceNodeId("ns=0;i=1"), ExpandedNodeId: coerceExpandedNodeId("ns=0;i=1"), StatusCode: StatusCodes.Good,
  QualifiedName: coerceQualifiedName("0:a"), LocalizedText: { text: "" },
};
const WIDE = [DataType.Int64, DataType.UInt64];

export function addWritable(addressSpace, own, to, log) {
  const add = (browseName, dataType, value, more = {}) => {
    const node = own.addVariable({
      browseName, componentOf: to, dataType: more.type ?? DataType[dataType], minimumSamplingInterval: 20,
      valueRank: more.rank ?? -1, ...(more.rank > 0 && { arrayDimensions: Array(more.rank).fill(0) }),
      value: { dataType, arrayType: VariantArrayType[["Array", "Matrix"][(more.rank ?? 0) - 1] ?? "Scalar"], value, dimensions: more.dimensions },
    });
    node.on("value_changed", (reading) => log("write", [told(reading.value)], { node: `Writable/${browseName}`, type: DataType[reading.value.dataType] }));
  };
  for (const [name, value] of Object.entries(SCALARS)) add(name, DataType[name], value);
  add("Doubles", DataType.Double, new Float64Array(0), { rank: 1 });
  add("Int64s", DataType.Int64, [], { rank: 1 });
  add("Strings", DataType.String, [], { rank: 1 });
  add("Texts", DataType.LocalizedText, [], { rank: 1 });
  add("ByteStrings", DataType.ByteString, [], { rank: 1 });
  add("Matrix", DataType.Int32, new Int32Array(4), { rank: 2, dimensions: [2, 2] });
  add("Anything", DataType.Double, 0, { type: "BaseDataType" });
  const make = (name, fields) => addressSpace.constructExtensionObject(addressSpace.findDataType(name, own.index), fields);
  const type = (name) => addressSpace.findDataType(name, own.index).nodeId;
  add("Point", DataType.ExtensionObject, make("PointDataType", { x: 0, y: 0 }), { type: type("PointDataType") });
  add("Route", DataType.ExtensionObject, make("RouteDataType", { name: "", colour: 0, points: [] }), { type: type("RouteDataType") });
  add("Points", DataType.ExtensionObject, [], { type: type("PointDataType"), rank: 1 });
  add("Colour", DataType.Int32, 0, { type: type("ColourEnum") });
}

/** A value as JSON can hold it: 64 bits as digits, bytes as base64, an array's elements each. */
function told({ dataType, arrayType, value }) {
  const wide = ([high, low]) => {
    const bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    return (dataType === DataType.Int64 ? BigInt.asIntN(64, bits) : bits).toString();
  };
  const one = (v) => (WIDE.includes(dataType) ? wide(v) : Buffer.isBuffer(v) ? v.toString("base64") : v);
  return arrayType === VariantArrayType.Scalar ? one(value) : Array.from(value ?? [], one);
}
