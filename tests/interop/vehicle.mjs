// A virtual vehicle on a third party's VDA 5050 library: node vehicle.mjs --broker URL [--serial S] [--interface uagv] [--log FILE]
// [--speed M_PER_S] [--no-factsheet] [--with-parent]. Prints one JSON line when it is online. Its log holds what it was sent and did.
// stdin, a JSON object a line: {"do": "eStop", "value": "MANUAL"}, {"do": "error", "error": {...}}, {"do": "clear", "error": {...}}, "stop".
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import vda from "vda-5050-lib";
import { commandLog } from "./log.mjs";

const { AgvController, Topic, VirtualAgvAdapter } = vda;
const { values: options } = parseArgs({
  options: {
    broker: { type: "string" }, serial: { type: "string", default: "Cart1" }, interface: { type: "string", default: "uagv" },
    log: { type: "string" }, speed: { type: "string", default: "4" }, "no-factsheet": { type: "boolean", default: false },
    "with-parent": { type: "boolean", default: false },
  },
});
const log = commandLog(options.log);

const action = (actionType, actionScopes, actionParameters = []) => ({ actionType, actionScopes, actionParameters, blockingTypes: ["HARD"] });
const parameter = (key, valueDataType, isOptional = false) => ({ key, valueDataType, isOptional });
const load = [parameter("stationType", "STRING"), parameter("loadType", "STRING"), parameter("duration", "NUMBER", true)];
const FACTSHEET = {
  typeSpecification: {
    seriesName: "Virtual", agvKinematic: "DIFF", agvClass: "FORKLIFT", maxLoadMass: 1000,
    localizationTypes: ["NATURAL"], navigationTypes: ["AUTONOMOUS"],
  },
  physicalParameters: { speedMin: 0, speedMax: 2, accelerationMax: 1, decelerationMax: 1, heightMin: 1, heightMax: 2, width: 1, length: 2 },
  protocolLimits: { maxStringLens: {}, maxArrayLens: {}, timing: { minOrderInterval: 1, minStateInterval: 1 } },
  protocolFeatures: {
    optionalParameters: [],
    agvActions: [
      action("pick", ["NODE"], load), action("drop", ["NODE"], load),
      action("noop", ["INSTANT", "NODE", "EDGE"], [parameter("duration", "NUMBER", true)]),
      action("startCharging", ["INSTANT"], [parameter("duration", "NUMBER", true)]), action("stopCharging", ["INSTANT"]),
      action("startPause", ["INSTANT"]), action("stopPause", ["INSTANT"]), action("cancelOrder", ["INSTANT"]),
      action("stateRequest", ["INSTANT"]), action("factsheetRequest", ["INSTANT"]),
    ],
  },
  agvGeometry: {}, loadSpecification: {},
};

class Vehicle extends AgvController {
  updateFactsheet(factsheet) {
    super.updateFactsheet(options["no-factsheet"] ? factsheet : FACTSHEET);
  }
  async _subscribeOnStarted() {
    await this.subscribe(Topic.Order, (order) => log("order", [order]));
    await this.subscribe(Topic.InstantActions, (actions) => log("instantActions", [actions]));
    await super._subscribeOnStarted();
  }
  onStateChanged(changes) {
    const state = this.currentState;
    log("state", [changes], { order: state.orderId, update: state.orderUpdateId, lastNode: state.lastNodeId, load: state.loads ?? [] });
  }
}

const vehicle = new Vehicle(
  { manufacturer: "Interop", serialNumber: options.serial },
  { interfaceName: options.interface, transport: { brokerUrl: options.broker, heartbeat: 2 }, vdaVersion: "2.0.0" },
  { agvAdapterType: VirtualAgvAdapter, publishStateInterval: 5000 },
  { initialPosition: { mapId: "hall", x: 0, y: 0, theta: 0, lastNodeId: "A" }, vehicleSpeed: Number(options.speed), tickRate: 10 },
);
await vehicle.start();
process.stdout.write(JSON.stringify({ endpoint: options.broker }) + "\n");

const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const told = JSON.parse(line);
  if (told.do === "eStop") vehicle.updateSafetyStatus({ eStop: told.value, fieldViolation: false });
  else if (told.do === "error") vehicle.updateErrors(told.error, "add", true);
  else if (told.do === "clear") vehicle.updateErrors(told.error, "remove", true);
  else if (told.do === "stop") await vehicle.stop();
});
if (options["with-parent"]) lines.on("close", () => process.exit(0));
