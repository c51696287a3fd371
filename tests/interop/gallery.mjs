// An instance of every ObjectType with all its optional members, and a value of every DataType.
import { DataType, DataValue, NodeClass, Variant, VariantArrayType } from "node-opcua";
import { Samples, encoded } from "./samples.mjs";

const DEEP = 3; // levels of optional members

/** Below Objects/Gallery: a folder for each namespace. Returns what was made, and why the rest could not be. */
export function addGallery(addressSpace, own, log) {
  const root = own.addFolder(addressSpace.rootFolder.objects, { browseName: "Gallery" });
  const samples = new Samples(addressSpace);
  const made = { instances: 0, values: 0, failed: [] };
  for (const namespace of addressSpace.getNamespaceArray()) {
    if (namespace.index === 0 || namespace === own) continue;
    const name = namespace.namespaceUri.replace(/^.*\/UA\//, "").replace(/\/$/, "").replaceAll("/", "-");
    const folder = own.addFolder(root, { browseName: name });
    const nodes = [...namespace.nodeIterator()];
    for (const type of nodes.filter((n) => n.nodeClass === NodeClass.ObjectType && !n.isAbstract && !isEvent(n))) {
      attempt(made, "instances", type, () => instantiate(type, own, folder));
    }
    const values = own.addObject({ browseName: "DataTypes", componentOf: folder });
    for (const type of nodes.filter((n) => n.nodeClass === NodeClass.DataType && !n.isAbstract)) {
      attempt(made, "values", type, () => addValue(own, values, type, samples, log));
    }
  }
  for (const namespace of addressSpace.getNamespaceArray()) {
    if (namespace.index > 0) for (const node of namespace.nodeIterator()) if (node.nodeClass === NodeClass.Variable) settle(node, samples);
  }
  return { nodesets: addressSpace.getNamespaceArray().length - 2, ...made, otherwise: [...samples.otherwise] };
}

/** This stack gives a new variable a value of its type that it cannot always encode: a union without a choice. */
function settle(variable, samples) {
  try {
    encoded((stream) => variable.readValue().encode(stream));
  } catch {
    const type = variable.getDataTypeNode();
    const made = type.isSubtypeOf(samples.structure) ? samples.of(type) : undefined;
    if (made === undefined) return variable.setValueFromSource({ dataType: DataType.Null });
    const one = made.value();
    const value = variable.valueRank >= 1 ? { arrayType: VariantArrayType.Array, value: [one] } : { value: one };
    variable.setValueFromSource({ dataType: DataType.ExtensionObject, ...value });
  }
}

function isEvent(type) {
  for (let at = type; at; at = at.subtypeOfObj) if (at.browseName.name === "BaseEventType") return true;
  return false;
}

function attempt(made, what, type, make) {
  try {
    make();
    made[what] += 1;
  } catch (error) {
    made.failed.push(`${type.browseName.toString()}: ${error.message.split("\n")[0]}`);
  }
}

function instantiate(type, own, folder) {
  const wanted = optionals(type, "", 0, new Set());
  return type.instantiate({ browseName: type.browseName.name, namespace: own, organizedBy: folder, optionals: wanted });
}

function optionals(type, prefix, depth, above) {
  if (!type || depth >= DEEP || above.has(type)) return [];
  const found = [];
  for (let at = type; at; at = at.subtypeOfObj) {
    for (const member of at.findReferencesExAsObject("Aggregates")) {
      const rule = member.modellingRule;
      if (rule !== "Optional" && rule !== "Mandatory") continue;
      const path = prefix + member.browseName.name;
      if (rule === "Optional") found.push(path);
      found.push(...optionals(member.typeDefinitionObj, `${path}.`, depth + 1, new Set([...above, type])));
    }
  }
  return [...new Set(found)];
}

function addValue(own, folder, type, samples, log) {
  const name = type.browseName.name;
  if (!type.isSubtypeOf(samples.structure)) {
    const one = samples.of(type);
    if (one === undefined) throw new Error("no sample");
    const scalar = { dataType: type.basicDataType, arrayType: VariantArrayType.Scalar, value: one.value };
    return add(own, folder, type, name, scalar, -1, one.json, log);
  }
  const [full, bare, other] = [samples.of(type), samples.of(type, { optional: false }), samples.of(type, { optional: true, choice: 1 })];
  if (full === undefined) throw new Error("no sample");
  const structure = (arrayType, value) => ({ dataType: DataType.ExtensionObject, arrayType, value });
  const [one, ...several] = samples.served(type, [full, bare, other]);
  add(own, folder, type, name, structure(VariantArrayType.Scalar, one), -1, full.json, log);
  add(own, folder, type, `${name}s`, structure(VariantArrayType.Array, several), 1, [bare.json, other.json], log);
}

function add(own, folder, type, browseName, variant, valueRank, json, log) {
  const node = own.addVariable({ browseName, componentOf: folder, dataType: type.nodeId, valueRank });
  const value = new DataValue({ value: new Variant(variant) });
  node.bindVariable({ get: () => value.value }, true);
  log("value", json, { name: browseName, address: `nsu=${own.namespaceUri};${node.nodeId.toString().split(";")[1]}` });
}
