// Values of any data type, made from the server's own definition of it: as this stack has them, as the bytes that Part 6, 5.2
// wants, and as the JSON in which a client is to show them. Where the stack would send other bytes, those of Part 6 are sent.
import {
  BinaryStream, DataType, DiagnosticInfo, LocalizedText, StatusCodes, Variant, VariantArrayType, coerceNodeId, coerceQualifiedName, lowerFirstLetter,
} from "node-opcua";
import { OpaqueStructure } from "node-opcua-extension-object";

const DEEPEST = 4;
const EPOCH = Date.UTC(2024, 0, 1);
const OPTIONAL_FIELDS = 1;
const UNIONS = [2, 4];
const SUBTYPED = [3, 4];

/** A structure as bytes. The stack clones values by their constructor. */
class Encoded extends OpaqueStructure {
  constructor(from, bytes) {
    super(from instanceof Encoded ? from.nodeId : from, from.buffer ?? bytes);
  }
}

/** One generator for a server: every number and text is used once. */
export class Samples {
  #count = 0;
  otherwise = new Set(); // types whose values this stack would encode otherwise
  constructor(addressSpace) {
    this.addressSpace = addressSpace;
    this.structure = addressSpace.findDataType("Structure");
    this.enumeration = addressSpace.findDataType("Enumeration");
  }

  /** {value, json, bytes}; undefined where no value of the type can be made (abstract, or nested without an end). */
  of(type, options = { optional: true }, depth = 0) {
    if (type.isSubtypeOf(this.structure)) return this.#structure(type, options, depth);
    if (type.isSubtypeOf(this.enumeration)) return this.#enumeration(type);
    return this.#builtin(type.basicDataType);
  }

  /** Values of a structure as they are put into a variable: the stack's own if they have the right bytes. */
  served(type, several) {
    try {
      const own = several.map((made) => made.value());
      if (own.every((one, at) => encoded((stream) => one.encode(stream)).equals(several[at].bytes))) return own;
    } catch {
      // it cannot encode them at all
    }
    this.otherwise.add(type.browseName.toString());
    return several.map((made) => this.#raw(type, made.bytes));
  }

  #raw(type, bytes) {
    return new Encoded(type.getEncodingNodeId("Default Binary"), bytes);
  }

  #structure(type, options, depth) {
    if (type === this.structure || type.isAbstract || depth >= DEEPEST) return undefined;
    const definition = type.getStructureDefinition();
    const all = definition.fields ?? [];
    const choice = UNIONS.includes(definition.structureType) ? (options.choice ?? 0) % all.length : undefined;
    const masked = definition.structureType === OPTIONAL_FIELDS;
    const [fields, json, parts] = [{}, {}, []];
    let [bit, mask] = [0, 0];
    for (const [place, field] of all.entries()) {
      if (choice !== undefined && place !== choice) continue;
      const optional = masked && field.isOptional;
      const made = optional && !options.optional ? undefined : this.#field(field, definition, options, depth);
      if (made === undefined && !optional) return undefined;
      if (optional && made !== undefined) mask |= 1 << bit;
      if (optional) bit += 1;
      json[field.name] = made === undefined ? null : made.json;
      if (made === undefined) continue;
      fields[lowerFirstLetter(field.name)] = made.value;
      parts.push(made.bytes);
    }
    const head = choice !== undefined ? [uint32(choice + 1)] : masked ? [uint32(mask)] : [];
    const plain = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, typeof value === "function" ? value : () => value]));
    const value = () => this.addressSpace.constructExtensionObject(type, Object.fromEntries(Object.entries(plain).map(([n, v]) => [n, v()])));
    return { value, json, bytes: Buffer.concat([...head, ...parts]) };
  }

  #field(field, definition, options, depth) {
    const type = this.addressSpace.findDataType(field.dataType);
    const one = () => this.#element(type, field.isOptional && SUBTYPED.includes(definition.structureType), options, depth);
    const first = one();
    if (field.valueRank < 1) return first;
    if (first === undefined) return { value: [], json: [], bytes: uint32(0) };
    const both = [first, one()];
    return {
      value: () => both.map((m) => (typeof m.value === "function" ? m.value() : m.value)),
      json: both.map((m) => m.json), bytes: Buffer.concat([uint32(2), ...both.map((m) => m.bytes)]),
    };
  }

  #element(type, subtyped, options, depth) {
    const made = this.of(type, options, depth + 1);
    if (made === undefined || !subtyped) return made;
    if (type.isSubtypeOf(this.structure) && !type.getEncodingNodeId("Default Binary")) return undefined;
    if (!type.isSubtypeOf(this.structure)) { // Part 6, 5.2.7: a Variant
      const variant = new Variant({ dataType: type.basicDataType, value: made.value });
      return { ...made, bytes: encoded((stream) => variant.encode(stream)) };
    }
    const whole = this.#raw(type, made.bytes);
    const variant = encoded((stream) => new Variant({ dataType: DataType.ExtensionObject, value: whole }).encode(stream));
    return { ...made, bytes: variant.subarray(1) };
  }

  #enumeration(type) {
    const members = type.getEnumDefinition().fields;
    const member = members[members.length - 1];
    const value = member.value[1];
    return { value, json: { value, name: member.name }, bytes: uint32(value) };
  }

  #builtin(dataType) {
    const made = this.#number(dataType, (this.#count += 1));
    if (made === undefined) return undefined;
    const bytes = encoded((stream) => new Variant({ dataType, arrayType: VariantArrayType.Scalar, value: made.value }).encode(stream));
    return { ...made, bytes: dataType === DataType.Variant ? encoded((stream) => made.value.encode(stream)) : bytes.subarray(1) };
  }

  #number(dataType, n) {
    const time = new Date(EPOCH + n * 1000);
    switch (dataType) {
      case DataType.Boolean: return same(n % 2 === 0);
      case DataType.SByte: return same(-(n % 128));
      case DataType.Byte: return same(n % 256);
      case DataType.Int16: case DataType.Int32: return same(-(n % 30000));
      case DataType.UInt16: case DataType.UInt32: return same(n % 60000);
      case DataType.Int64: case DataType.UInt64: return { value: [0, n], json: String(n) };
      case DataType.Float: case DataType.Double: return same(n + 0.5);
      case DataType.String: return same(`text ${n}`);
      case DataType.DateTime: return { value: time, json: time.toISOString().replace(".000", "") };
      case DataType.Guid: return same(`00000000-0000-0000-0000-${n.toString(16).padStart(12, "0")}`);
      case DataType.ByteString: return { value: Buffer.from([n % 256]), json: Buffer.from([n % 256]).toString("base64") };
      case DataType.NodeId: case DataType.ExpandedNodeId: return { value: coerceNodeId(`ns=0;i=${n}`), json: `i=${n}` };
      case DataType.QualifiedName:
        return { value: coerceQualifiedName(`name ${n}`), json: { name: `name ${n}`, namespace: "http://opcfoundation.org/UA/" } };
      case DataType.LocalizedText: return { value: new LocalizedText({ text: `text ${n}`, locale: "en" }), json: { text: `text ${n}`, locale: "en" } };
      case DataType.Variant: return { value: new Variant({ dataType: DataType.Double, value: n + 0.25 }), json: n + 0.25 };
      case DataType.DiagnosticInfo: return { value: new DiagnosticInfo({ symbolicId: n }), json: { SymbolicId: n } };
      case DataType.StatusCode: return { value: StatusCodes.BadOutOfService, json: "BadOutOfService" };
      default: return undefined;
    }
  }
}

const same = (value) => ({ value, json: value });

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
}

/** Throws what the stack cannot encode itself: its server would end by it. */
export function encoded(write) {
  const stream = new BinaryStream(200_000);
  write(stream);
  return stream.buffer.subarray(0, stream.length);
}
