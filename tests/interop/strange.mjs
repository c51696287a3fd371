// An instance of a type that no profile knows, with all that a browser, a decoder or a name may stumble over.
import {
  DataType, LocalizedText, StatusCodes, Variant, VariantArrayType, coerceLocalizedText, coerceNodeId, coerceQualifiedName,
  coerceExpandedNodeId, makeAccessLevelFlag, standardUnits,
} from "node-opcua";

export function addOddball(addressSpace, own, log) {
  const oddball = addressSpace.findObjectType("OddballType", own.index).instantiate({
    browseName: "Oddball", namespace: own, organizedBy: addressSpace.rootFolder.objects,
  });
  const part = (browseName) => own.addObject({ browseName, componentOf: oddball });
  addScalars(own, part("Scalars"));
  addArrays(own, part("Arrays"));
  addStructures(addressSpace, own, part("Structures"));
  addSetPoints(own, part("SetPoints"), log);
  addAccess(own, part("Access"));
  addNames(own, oddball);
  addMethods(addressSpace, own, part("Methods"), log);
  return { oddball, ...addCounter(own, oddball) };
}

const dataTypeName = (type) => DataType[type];

function variable(own, componentOf, browseName, dataType, value, more = {}) {
  return own.addVariable({
    browseName, componentOf, dataType: dataTypeName(dataType), minimumSamplingInterval: 20,
    value: { dataType, arrayType: VariantArrayType.Scalar, value }, ...more,
  });
}

function addScalars(own, to) {
  const values = {
    Boolean: true, SByte: -128, Byte: 255, Int16: -32768, UInt16: 65535, Int32: -2147483648, UInt32: 4294967295,
    Int64: [0x80000000, 0], UInt64: [0xffffffff, 0xffffffff], Float: 1.5, Double: 0.1, String: "naïve ☃",
    DateTime: new Date("2024-02-29T12:34:56.789Z"), Guid: "72962B91-FA75-4AE6-8D28-B404DC7DAF63",
    ByteString: Buffer.from([0, 1, 254, 255]), XmlElement: "<a>1</a>", NodeId: coerceNodeId("ns=0;i=85"),
    ExpandedNodeId: coerceExpandedNodeId("ns=0;i=2253"), StatusCode: StatusCodes.BadOutOfService,
    QualifiedName: coerceQualifiedName({ namespaceIndex: own.index, name: "Thing" }), LocalizedText: new LocalizedText({ text: "Hallo", locale: "de" }),
  };
  for (const [name, value] of Object.entries(values)) variable(own, to, name, DataType[name], value);
  variable(own, to, "NaN", DataType.Double, Number.NaN);
  variable(own, to, "Infinite", DataType.Double, Number.NEGATIVE_INFINITY);
  variable(own, to, "NullString", DataType.String, null);
  own.addVariable({ browseName: "Anything", componentOf: to, dataType: "BaseDataType", value: { dataType: DataType.Double, value: 2.5 } });
}

function addArrays(own, to) {
  const array = (name, dataType, value, arrayDimensions = [value.length]) =>
    own.addVariable({
      browseName: name, componentOf: to, dataType: dataTypeName(dataType), valueRank: 1, arrayDimensions,
      value: { dataType, arrayType: VariantArrayType.Array, value },
    });
  const matrix = (name, dimensions, value) =>
    own.addVariable({
      browseName: name, componentOf: to, dataType: "Double", valueRank: dimensions.length, arrayDimensions: dimensions.map(() => 0),
      value: { dataType: DataType.Double, arrayType: VariantArrayType.Matrix, dimensions, value: new Float64Array(value) },
    });
  array("Doubles", DataType.Double, new Float64Array([1.5, -2.5, 1e300]));
  array("Strings", DataType.String, ["a", "", "c"]);
  array("Booleans", DataType.Boolean, [true, false]);
  array("Int64s", DataType.Int64, [[0, 1], [0x7fffffff, 0xffffffff]]);
  array("Texts", DataType.LocalizedText, [coerceLocalizedText("eins"), coerceLocalizedText("zwei")]);
  array("Empty", DataType.Int32, new Int32Array(0), [0]);
  matrix("Matrix", [2, 3], [1, 2, 3, 4, 5, 6]);
  matrix("Cube", [2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
  matrix("EmptyMatrix", [0, 0], []);
  matrix("HalfEmptyMatrix", [3, 0], []);
}

function addStructures(addressSpace, own, to) {
  const make = (name, fields) => addressSpace.constructExtensionObject(addressSpace.findDataType(name, own.index), fields);
  const structure = (browseName, type, value, array = false) =>
    own.addVariable({
      browseName, componentOf: to, dataType: addressSpace.findDataType(type, own.index).nodeId, valueRank: array ? 1 : -1,
      value: { dataType: DataType.ExtensionObject, arrayType: array ? VariantArrayType.Array : VariantArrayType.Scalar, value },
    });
  const point = (x, y) => make("PointDataType", { x, y });
  structure("Point", "PointDataType", point(1, 2));
  structure("Points", "PointDataType", [point(1, 2), point(3, 4)], true);
  structure("NoPoints", "PointDataType", [], true);
  structure("FullRoute", "RouteDataType", make("RouteDataType", {
    name: "full", colour: 7, points: [point(0, 0), point(1, 1)], comment: coerceLocalizedText("all there"), limit: 2.5, marks: [1, 2, 3],
  }));
  structure("BareRoute", "RouteDataType", make("RouteDataType", { name: "bare", colour: 1, points: [] }));
  own.addVariable({
    browseName: "Colour", componentOf: to, dataType: addressSpace.findDataType("ColourEnum", own.index).nodeId,
    accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite",
    value: { dataType: DataType.Int32, value: 7 },
  });
}

function addSetPoints(own, to, log) {
  const logged = (node) => {
    node.on("value_changed", (reading) => log("write", [reading.value.value], { node: node.browseName.name }));
    return node;
  };
  const analog = (browseName, dataType, value, low, high, engineeringUnits) =>
    logged(own.addAnalogDataItem({
      browseName, componentOf: to, dataType: dataTypeName(dataType), engineeringUnitsRange: { low, high }, engineeringUnits,
      value: { dataType, value },
    }));
  analog("Length", DataType.Double, 12.5, 0, 100, standardUnits.millimetre);
  analog("Temperature", DataType.Float, 20, -40, 150, standardUnits.degree_celsius);
  analog("Speed", DataType.Int16, 100, 0, 3000, standardUnits.revolutions_per_minute);
  const types = ["Boolean", "Byte", "Int32", "UInt64", "Float", "Double", "String"];
  const first = { Boolean: false, UInt64: [0, 0], String: "" };
  for (const name of types) logged(variable(own, to, `Any${name}`, DataType[name], first[name] ?? 0));
  logged(own.addVariable({
    browseName: "AnyDoubles", componentOf: to, dataType: "Double", valueRank: 1, arrayDimensions: [0],
    value: { dataType: DataType.Double, arrayType: VariantArrayType.Array, value: new Float64Array([0]) },
  }));
}

function addAccess(own, to) {
  const limited = (name, flags, value = 1) =>
    variable(own, to, name, DataType.Int32, value, { accessLevel: makeAccessLevelFlag(flags), userAccessLevel: makeAccessLevelFlag(flags) });
  limited("ReadOnly", "CurrentRead");
  limited("WriteOnly", "CurrentWrite");
  limited("NoAccess", "");
  variable(own, to, "NotForYou", DataType.Int32, 1, { userAccessLevel: makeAccessLevelFlag("CurrentRead") });
  const answering = (browseName, get) =>
    own.addVariable({ browseName, componentOf: to, dataType: "Double", minimumSamplingInterval: 50, value: { get } });
  answering("Failing", () => StatusCodes.BadDeviceFailure);
  const reading = (name, value, status) =>
    variable(own, to, name, DataType.Double, 0).setValueFromSource({ dataType: DataType.Double, value }, status);
  reading("Doubtful", 3.25, StatusCodes.UncertainInitialValue);
  reading("Waiting", 0, StatusCodes.BadWaitingForInitialData);
}

function addNames(own, oddball) {
  const to = own.addObject({ browseName: "Names", componentOf: oddball });
  ["a/b", "c~d", "e/f~g", "with space", "grün", "dot.name", "Twin", "Twin", "Twin#2"].forEach((name, i) =>
    variable(own, to, name, DataType.Int32, i, { nodeId: `s=names.${i}` }));
  to.addReference({ referenceType: "Organizes", nodeId: oddball }); // a circle
}

function addMethods(addressSpace, own, to, log) {
  const argument = (name, dataType, valueRank = -1) => ({ name, dataType, valueRank, description: { text: `the ${name}` } });
  const method = (browseName, inputArguments, outputArguments, act) => {
    own.addMethod(to, { browseName, inputArguments, outputArguments }).bindMethod(async (inputs, _context) => {
      log(browseName, inputs.map((i) => (ArrayBuffer.isView(i.value) ? [...i.value] : i.value)));
      return act(...inputs.map((i) => i.value));
    });
  };
  const good = (...outputArguments) => ({ statusCode: StatusCodes.Good, outputArguments });
  const double = (value) => new Variant({ dataType: DataType.Double, value });
  method("Add", [argument("a", DataType.Double), argument("b", DataType.Double)], [argument("sum", DataType.Double)], (a, b) => good(double(a + b)));
  method("Scale", [argument("values", DataType.Double, 1), argument("factor", DataType.Double)],
    [argument("scaled", DataType.Double, 1), argument("count", DataType.UInt32)],
    (values, factor) => {
      const scaled = Float64Array.from(values ?? [], (v) => v * factor);
      return good(
        new Variant({ dataType: DataType.Double, arrayType: VariantArrayType.Array, value: scaled }),
        new Variant({ dataType: DataType.UInt32, value: scaled.length }),
      );
    });
  method("Slow", [argument("seconds", DataType.Double)], [argument("slept", DataType.Double)], async (seconds) => {
    await new Promise((done) => setTimeout(done, seconds * 1000));
    return good(double(seconds));
  });
  method("Refuse", [], [], () => ({ statusCode: StatusCodes.BadInvalidState, outputArguments: [] }));
  method("Nothing", [], [], () => good());
  const point = addressSpace.findDataType("PointDataType", own.index).nodeId;
  method("Norm", [argument("point", point)], [argument("norm", DataType.Double)], (p) => good(double(Math.hypot(p.x, p.y))));
}

function addCounter(own, oddball) {
  const node = variable(own, oddball, "Counter", DataType.UInt32, 0);
  let count = 0;
  const timer = setInterval(() => node.setValueFromSource({ dataType: DataType.UInt32, value: ++count }), 50);
  return { timer };
}
