// A server without any companion specification: loose variables and methods, depth, breadth, and data types that few servers have.
import { fileURLToPath } from "node:url";
import {
  AccessLevelFlag, DataType, StatusCodes, Variant, VariantArrayType, coerceLocalizedText, coerceNodeId, makeAccessLevelFlag,
} from "node-opcua";
import { OpaqueStructure } from "node-opcua-extension-object";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";

const GROUPS = 50;
const EACH = 100;
const DEPTH = 30;

/** A structure whose type the server tells nobody. The stack copies one by its constructor. */
class Unknown extends OpaqueStructure {
  constructor({ nodeId, buffer }) {
    super(nodeId, buffer);
  }
}

await host([nodesets.standard, fileURLToPath(new URL("./kinds.NodeSet2.xml", import.meta.url))], (addressSpace, log) => {
  const own = addressSpace.getNamespace("urn:interop:kinds");
  const objects = addressSpace.rootFolder.objects;
  addLoose(own, objects, log);
  addBroad(own, own.addObject({ browseName: "Broad", organizedBy: objects }));
  addDeep(own, own.addObject({ browseName: "Deep", organizedBy: objects }));
  const rare = own.addObject({ browseName: "Rare", organizedBy: objects });
  addKinds(addressSpace, own, own.addObject({ browseName: "Kinds", componentOf: rare }));
  addExtremes(own, own.addObject({ browseName: "Extremes", componentOf: rare }));
  addFlags(own, own.addObject({ browseName: "Flags", componentOf: rare }));
  return [];
});

function scalar(own, componentOf, browseName, dataType, value, more = {}) {
  return own.addVariable({ browseName, componentOf, dataType: DataType[dataType], value: { dataType, value }, ...more });
}

function addLoose(own, objects, log) {
  own.addVariable({ browseName: "Temperature", organizedBy: objects, dataType: "Double", value: { dataType: DataType.Double, value: 21.5 } });
  own.addVariable({ browseName: "Label", organizedBy: objects, dataType: "String", value: { dataType: DataType.String, value: "loose" } });
  const number = (name) => ({ name, dataType: DataType.Int32, valueRank: -1, description: { text: "" } });
  const pinger = own.addObject({ browseName: "Pinger", organizedBy: objects });
  const ping = own.addMethod(pinger, { browseName: "Ping", inputArguments: [number("number")], outputArguments: [number("answer")] });
  ping.bindMethod(async (inputs, _context) => {
    log("Ping", [inputs[0].value]);
    return { statusCode: StatusCodes.Good, outputArguments: [new Variant({ dataType: DataType.Int32, value: inputs[0].value + 1 })] };
  });
  objects.addReference({ referenceType: "HasComponent", nodeId: ping }); // the stack makes no method there by itself
}

function addBroad(own, broad) {
  for (let group = 0; group < GROUPS; group++) {
    const to = own.addObject({ browseName: `Group${group}`, componentOf: broad });
    for (let i = 0; i < EACH; i++) scalar(own, to, `Value${i}`, DataType.Double, group * EACH + i);
  }
}

function addDeep(own, deep) {
  let at = deep;
  for (let level = 1; level <= DEPTH; level++) at = own.addObject({ browseName: `L${level}`, componentOf: at });
  scalar(own, at, "Bottom", DataType.Int32, DEPTH);
}

function addKinds(addressSpace, own, to) {
  const type = (name) => addressSpace.findDataType(name, own.index);
  const make = (name, fields) => addressSpace.constructExtensionObject(type(name), fields);
  const structure = (browseName, name, value, more = {}) => {
    const arrayType = more.dimensions ? VariantArrayType.Matrix : Array.isArray(value) ? VariantArrayType.Array : VariantArrayType.Scalar;
    const rank = { [VariantArrayType.Scalar]: -1, [VariantArrayType.Array]: 1, [VariantArrayType.Matrix]: 2 }[arrayType];
    own.addVariable({
      browseName, componentOf: to, dataType: typeof name === "string" ? type(name).nodeId : name, valueRank: rank,
      ...(rank > 0 && { arrayDimensions: Array(rank).fill(0) }),
      value: { dataType: DataType.ExtensionObject, arrayType, value, dimensions: more.dimensions },
    });
  };
  const part = (id, weight) => make("PartDataType", { id, weight });
  const painted = (id) => make("PaintedPartDataType", { id, weight: 1.5, layers: [1, 2], flags: 17, extra: { dataType: DataType.String, value: "any" } });
  structure("PlaceNumber", "PlaceDataType", make("PlaceDataType", { number: 4 }));
  structure("PlaceText", "PlaceDataType", make("PlaceDataType", { text: "shelf" }));
  structure("Part", "PartDataType", part("p", 1));
  structure("Painted", "PaintedPartDataType", painted("q"));
  structure("PaintedAsPart", "PartDataType", painted("r"));
  structure("AnyStructure", coerceNodeId("i=22"), part("s", 2));
  structure("Mixed", coerceNodeId("i=22"), [part("t", 3), make("PlaceDataType", { number: 5 })]);
  structure("Parts", "PartDataType", [part("a", 1), part("b", 2), part("c", 3), part("d", 4)], { dimensions: [2, 2] });
  structure("Batch", "BatchDataType", make("BatchDataType", { parts: [painted("u")], place: make("PlaceDataType", { text: "rack" }) }));
  const unknown = new Unknown({ nodeId: coerceNodeId(`ns=${own.index};i=9999`), buffer: Buffer.from([1, 2, 3]) });
  own.addVariable({
    browseName: "Unknown", componentOf: to, dataType: "Structure", minimumSamplingInterval: 50,
    value: { get: () => new Variant({ dataType: DataType.ExtensionObject, value: unknown }) },
  });
  const plain = (browseName, name, dataType, value) => own.addVariable({ browseName, componentOf: to, dataType: type(name).nodeId, value: { dataType, value } });
  plain("Flags", "FlagsDataType", DataType.UInt16, 17);
  plain("Width", "MillimetresDataType", DataType.Double, 12.25);
  plain("Phase", "PhaseEnum", DataType.Int32, 2);
  plain("StrayPhase", "PhaseEnum", DataType.Int32, 9);
}

function addExtremes(own, to) {
  scalar(own, to, "NoBytes", DataType.ByteString, null);
  scalar(own, to, "NoText", DataType.LocalizedText, null);
  scalar(own, to, "NoXml", DataType.XmlElement, null);
  scalar(own, to, "NoTime", DataType.DateTime, null);
  scalar(own, to, "Earliest", DataType.DateTime, new Date("1601-01-01T00:00:00Z"));
  scalar(own, to, "Old", DataType.DateTime, new Date("1700-03-04T05:06:07.008Z"));
  scalar(own, to, "Older", DataType.DateTime, new Date("1650-01-01T00:00:00Z"));
  scalar(own, to, "Far", DataType.DateTime, new Date("2500-06-07T08:09:10.011Z"));
  scalar(own, to, "Latest", DataType.DateTime, new Date("9999-12-31T23:59:59Z"));
  scalar(own, to, "Tiny", DataType.Double, 5e-324);
  scalar(own, to, "MinusZero", DataType.Double, -0);
  const list = (browseName, dataType, value, more = {}) =>
    own.addVariable({
      browseName, componentOf: to, dataType: DataType[dataType], valueRank: 1, arrayDimensions: [0],
      value: { dataType, arrayType: VariantArrayType.Array, value }, ...more,
    });
  list("Int64s", DataType.Int64, [[0x80000000, 0], [0xffffffff, 0xffffffff], [0x7fffffff, 0xffffffff]]);
  list("UInt64s", DataType.UInt64, [[0, 0], [0xffffffff, 0xffffffff]]);
  list("Guids", DataType.Guid, ["72962B91-FA75-4AE6-8D28-B404DC7DAF63"]);
  list("Bytes", DataType.ByteString, [Buffer.from([0]), null, Buffer.alloc(0)]);
  list("Strings", DataType.String, ["", null, "x"]);
  list("Texts", DataType.LocalizedText, [coerceLocalizedText({ text: "Hallo", locale: "de" }), coerceLocalizedText({ text: "Hello", locale: "en" })]);
  list("Times", DataType.DateTime, [new Date("2024-02-29T12:34:56.789Z")]);
  list("Variants", DataType.Variant, [
    new Variant({ dataType: DataType.Int32, value: 1 }), new Variant({ dataType: DataType.String, value: "two" }),
    new Variant({ dataType: DataType.Double, arrayType: VariantArrayType.Array, value: new Float64Array([3]) }),
  ], { dataType: "BaseDataType" });
  own.addVariable({ browseName: "Number", componentOf: to, dataType: "Number", value: { dataType: DataType.UInt16, value: 7 } });
  own.addVariable({ browseName: "AnyRank", componentOf: to, dataType: "Int32", valueRank: -2, value: { dataType: DataType.Int32, arrayType: VariantArrayType.Array, value: new Int32Array([1, 2]) } });
  own.addVariable({ browseName: "Duration", componentOf: to, dataType: "Duration", value: { dataType: DataType.Double, value: 250 } });
  own.addVariable({ browseName: "Unset", componentOf: to, dataType: "Double" });
}

function addFlags(own, to) {
  const flags = (...names) => makeAccessLevelFlag(names.join(" | "));
  scalar(own, to, "Historizing", DataType.Double, 1, {
    historizing: false, accessLevel: flags("CurrentRead", "HistoryRead"), userAccessLevel: flags("CurrentRead", "HistoryRead"),
  });
  scalar(own, to, "NotForUsers", DataType.Double, 1, { accessLevel: flags("CurrentRead", "CurrentWrite"), userAccessLevel: AccessLevelFlag.NONE });
  const stamped = scalar(own, to, "Stamped", DataType.Double, 0);
  stamped.setValueFromSource({ dataType: DataType.Double, value: 4 }, StatusCodes.Good, new Date("2020-01-02T03:04:05.678Z"));
}
