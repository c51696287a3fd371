// A server that is wrong in one way: few sessions, few monitored items, tiny operation limits, nodes that nobody may read.
// node limited.mjs [--sessions N] [--items N] [--operations N] [--forbidden]
import { parseArgs } from "node:util";
import { DataType, StatusCodes, Variant } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";

const number = { type: "string" };
const { values: wrong } = parseArgs({
  strict: false, options: { sessions: number, items: number, operations: number, forbidden: { type: "boolean", default: false } },
});
// what is left of the command line is read by `host`
for (const name of ["sessions", "items", "operations"]) {
  const at = process.argv.indexOf(`--${name}`);
  if (at > 0) process.argv.splice(at, 2);
}
process.argv = process.argv.filter((one) => one !== "--forbidden");

const operations = Number(wrong.operations ?? 0);
const names = ["maxNodesPerRead", "maxNodesPerBrowse", "maxNodesPerWrite", "maxMonitoredItemsPerCall"];
const serverCapabilities = {
  maxSessions: Number(wrong.sessions ?? 10),
  ...(wrong.items ? { maxMonitoredItems: Number(wrong.items) } : {}),
  operationLimits: operations ? Object.fromEntries(names.map((name) => [name, operations])) : {},
};

await host([nodesets.standard], (addressSpace) => {
  const own = addressSpace.registerNamespace("urn:interop:limited");
  const machine = own.addObject({ browseName: "Machine", organizedBy: addressSpace.rootFolder.objects });
  for (let n = 0; n < 120; n += 1) {
    const value = { get: () => (wrong.forbidden && n < 7 ? StatusCodes.BadUserAccessDenied : new Variant({ dataType: DataType.Double, value: n })) };
    own.addVariable({ browseName: `Signal${n}`, componentOf: machine, dataType: "Double", minimumSamplingInterval: 100, value });
  }
  return [];
}, { serverCapabilities });
