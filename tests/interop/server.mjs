// An OPC UA server of a third party's stack on 127.0.0.1: node server.mjs [--port N] [--log FILE] [--with-parent]
// Prints one JSON line when ready; ends on SIGTERM, SIGINT and, with --with-parent, when stdin closes.
import "./quiet.mjs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { commandLog } from "./log.mjs";
import { addMachine, addShop } from "./machinery.mjs";
import { addUnits } from "./packml.mjs";
import { addOddball } from "./strange.mjs";

const { values: options } = parseArgs({
  options: { port: { type: "string", default: "0" }, log: { type: "string" }, "with-parent": { type: "boolean", default: false } },
});
const log = commandLog(options.log);
const pki = mkdtempSync(join(tmpdir(), "interop-pki-"));
process.on("exit", () => rmSync(pki, { recursive: true, force: true }));

const server = new OPCUAServer({
  port: Number(options.port),
  host: "127.0.0.1",
  hostname: "127.0.0.1",
  nodeset_filename: [
    nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.isa95JobControl, nodesets.machineryJobs,
    nodesets.packML, fileURLToPath(new URL("./strange.NodeSet2.xml", import.meta.url)),
  ],
  securityPolicies: [SecurityPolicy.None],
  securityModes: [MessageSecurityMode.None],
  allowAnonymous: true,
  serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
});
await server.initialize();

const addressSpace = server.engine.addressSpace;
const own = addressSpace.getNamespace("urn:interop:strange");
const timers = [addMachine(addressSpace, own, log), addShop(addressSpace, own, log), ...addUnits(addressSpace, own, log)];
timers.push(addOddball(addressSpace, own, log));
await server.start();

let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  for (const { timer } of timers) clearInterval(timer);
  await server.shutdown(0);
  process.exit(0);
}
process.on("SIGTERM", end);
process.on("SIGINT", end);
if (options["with-parent"]) process.stdin.on("end", end).resume();
process.stdout.write(JSON.stringify({ endpoint: `opc.tcp://127.0.0.1:${server.endpoints[0].port}` }) + "\n");
