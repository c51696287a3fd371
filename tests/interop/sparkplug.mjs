// A Sparkplug B edge node with devices, on a third party's client: node sparkplug.mjs --broker URL [--group G] [--node N] [--devices 1]
// [--compress DEFLATE|GZIP] [--beat MS: data of the node itself, again and again] [--log FILE] [--with-parent]. Prints one JSON line when it was born first. Its log holds what it sent and what it was commanded.
// stdin, a JSON object a line: {"do": "data", "device": "Press1", "metrics": [...]}, "birth", "death" (of a device), "stop".
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import sparkplug from "sparkplug-client";
import { commandLog } from "./log.mjs";

const { values: options } = parseArgs({
  options: {
    broker: { type: "string" }, group: { type: "string", default: "Plant" }, node: { type: "string", default: "Edge1" },
    devices: { type: "string", default: "1" }, log: { type: "string" }, compress: { type: "string" }, beat: { type: "string" },
    "with-parent": { type: "boolean", default: false },
  },
});
const log = commandLog(options.log);
const devices = Array.from({ length: Number(options.devices) }, (_, n) => `Press${n + 1}`);
const values = new Map(devices.map((name) => [name, new Map()]));

const client = sparkplug.newClient({
  serverUrl: options.broker, username: "", password: "", groupId: options.group, edgeNode: options.node,
  clientId: `${options.group}-${options.node}-${process.pid}`, version: "spBv1.0", publishDeath: true, keepalive: 2,
});

const now = () => Date.now();
const metric = (name, type, value, more = {}) => ({ name, type, value, timestamp: now(), ...more });

function deviceMetrics(name) {
  const held = values.get(name);
  const or = (metricName, value) => (held.has(metricName) ? held.get(metricName) : value);
  const unit = { engUnit: { type: "String", value: "KGM" }, engLow: { type: "Double", value: 0 }, engHigh: { type: "Double", value: 50 } };
  return [
    metric("Properties/Manufacturer", "String", "Interop Works"),
    metric("Properties/SerialNumber", "String", `S-${name}`),
    metric("Process/Force", "Double", or("Process/Force", 1.5), { properties: unit }),
    metric("Process/Count", "Int64", or("Process/Count", 0)),
    metric("Process/Wide", "UInt32", 4000000000),
    metric("Process/Below", "Int16", -5),
    metric("Process/Running", "Boolean", or("Process/Running", false)),
    metric("Process/Text", "String", "Größe"),
    metric("Process/Nothing", "Float", null),
    metric("Process/Since", "DateTime", 1700000000123),
    metric("Process/Table", "DataSet", { numOfColumns: 2, columns: ["n", "s"], types: ["Int32", "String"], rows: [[1, "a"], [2, "b"]] }),
    metric("Process/Motor", "Template", {
      version: "1", templateRef: "MotorType", isDefinition: false, parameters: [],
      metrics: [metric("Speed", "Double", or("Process/Motor/Speed", 10.5)), metric("Hot", "Boolean", false)],
    }),
    metric("Command/Force", "Double", or("Command/Force", 0)),
  ];
}

const packed = options.compress ? { compress: true, algorithm: options.compress } : undefined;
let born = false;
function birth() {
  client.publishNodeBirth({ timestamp: now(), metrics: [metric("Node Control/Rebirth", "Boolean", false), metric("Temperature", "Float", 21.5)] }, packed);
  for (const name of devices) client.publishDeviceBirth(name, { timestamp: now(), metrics: deviceMetrics(name) }, packed);
  log("birth", []);
  if (!born) process.stdout.write(JSON.stringify({ endpoint: options.broker }) + "\n");
  born = true;
}

function data(device, metrics) {
  for (const one of metrics) values.get(device)?.set(one.name, one.value);
  const payload = { timestamp: now(), metrics: metrics.map((one) => ({ timestamp: now(), ...one })) };
  if (device) client.publishDeviceData(device, payload, packed);
  else client.publishNodeData(payload, packed);
  log("data", metrics, { device });
}

client.on("birth", birth);
client.on("ncmd", (payload) => {
  log("ncmd", payload.metrics ?? []);
  if (payload.metrics?.some((one) => one.name === "Node Control/Rebirth" && one.value)) birth();
});
client.on("dcmd", (device, payload) => {
  log("dcmd", payload.metrics ?? [], { device });
  data(device, payload.metrics.map(({ name, type, value }) => ({ name, type, value })));
});

if (options.beat) setInterval(() => born && client.publishNodeData({ timestamp: now(), metrics: [metric("Temperature", "Float", 21.5)] }, packed), Number(options.beat));

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const order = JSON.parse(line);
  if (order.do === "data") data(order.device ?? "", order.metrics);
  else if (order.do === "birth") birth();
  else if (order.do === "death") client.publishDeviceDeath(order.device, { timestamp: now(), metrics: [] });
  else if (order.do === "stop") client.stop();
});
if (options["with-parent"]) lines.on("close", () => process.exit(0));
