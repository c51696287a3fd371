// A discovery server, and a server that registers with it under a host name nobody can resolve. Multicast stays on loopback.
import "./quiet.mjs";
import os from "node:os";
const loopback = Object.fromEntries(Object.entries(os.networkInterfaces()).filter(([, all]) => all.every((one) => one.internal)));
os.networkInterfaces = () => loopback;
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const {
  DataType, MessageSecurityMode, OPCUACertificateManager, OPCUADiscoveryServer, OPCUAServer, RegisterServerMethod, SecurityPolicy,
} = await import("node-opcua");

const { values: options } = parseArgs({
  options: { log: { type: "string" }, port: { type: "string" }, "with-parent": { type: "boolean", default: false } },
});
const pki = mkdtempSync(join(tmpdir(), "interop-pki-"));
process.on("exit", () => rmSync(pki, { recursive: true, force: true }));
const open = {
  host: "127.0.0.1",
  securityPolicies: [SecurityPolicy.None],
  securityModes: [MessageSecurityMode.None],
  serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
};
const lds = new OPCUADiscoveryServer({
  ...open, port: Number(options.port), hostname: "127.0.0.1", allowUnsecuredRegistration: true,
  serverInfo: { applicationUri: "urn:interop:lds" },
});
await lds.start();
const endpoint = `opc.tcp://127.0.0.1:${options.port}`;
const server = new OPCUAServer({
  ...open, port: 0, hostname: "plc-that-no-dns-knows.invalid", allowAnonymous: true,
  serverInfo: { applicationUri: "urn:interop:registered", applicationName: { text: "Registered" } },
  registerServerMethod: RegisterServerMethod.LDS, discoveryServerEndpointUrl: endpoint,
});
await server.initialize();
const own = server.engine.addressSpace.getOwnNamespace();
const machine = own.addObject({ browseName: "Machine", organizedBy: server.engine.addressSpace.rootFolder.objects });
own.addVariable({ browseName: "Level", componentOf: machine, dataType: "Double", value: { dataType: DataType.Double, value: 7 } });
const registered = new Promise((resolve) => server.on("serverRegistered", resolve));
await server.start();
await registered;

let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  setTimeout(() => process.exit(0), 2000).unref(); // a stack that waits for its own unregistration does not hold up the tests
  await server.shutdown(0);
  await lds.shutdown();
  process.exit(0);
}
process.on("SIGTERM", end);
process.on("SIGINT", end);
if (options["with-parent"]) process.stdin.on("end", end).resume();
process.stdout.write(JSON.stringify({ endpoint, registered: server.endpoints[0].port }) + "\n");
