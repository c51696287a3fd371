// An OPC UA server of a third party's stack on 127.0.0.1: node server.mjs [--port N] [--log FILE] [--with-parent]
// Prints one JSON line when ready; ends on SIGTERM, SIGINT and, with --with-parent, when stdin closes.
import { fileURLToPath } from "node:url";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";
import { addMachine, addShop } from "./machinery.mjs";
import { addUnits } from "./packml.mjs";
import { addOddball } from "./strange.mjs";
import { addWritable } from "./writable.mjs";

const used = [
  nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.isa95JobControl, nodesets.machineryJobs,
  nodesets.packML, fileURLToPath(new URL("./strange.NodeSet2.xml", import.meta.url)),
];

await host(used, (addressSpace, log) => {
  const own = addressSpace.getNamespace("urn:interop:strange");
  const timers = [addMachine(addressSpace, own, log), addShop(addressSpace, own, log), ...addUnits(addressSpace, own, log)];
  const { oddball, timer } = addOddball(addressSpace, own, log);
  addWritable(addressSpace, own, own.addObject({ browseName: "Writable", componentOf: oddball }), log);
  return [...timers, { timer }];
});
