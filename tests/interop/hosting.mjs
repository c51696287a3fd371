// What each server of this folder has in common: options, ready line, certificates of its own, an end in order.
import "./quiet.mjs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy } from "node-opcua";
import { commandLog } from "./log.mjs";

/** Runs a server over `nodesets`; `fill(addressSpace, log, server)` makes its instances and returns what has a timer. */
export async function host(nodesets, fill, more = {}, watch = () => {}) {
  const { values: options } = parseArgs({
    options: { port: { type: "string", default: "0" }, log: { type: "string" }, setup: { type: "string" }, "with-parent": { type: "boolean", default: false } },
  });
  const pki = mkdtempSync(join(tmpdir(), "interop-pki-"));
  process.on("exit", () => rmSync(pki, { recursive: true, force: true }));
  const server = new OPCUAServer({
    port: Number(options.port),
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    nodeset_filename: nodesets,
    securityPolicies: [SecurityPolicy.None],
    securityModes: [MessageSecurityMode.None],
    allowAnonymous: true,
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    ...more,
  });
  await server.initialize();
  const timers = await fill(server.engine.addressSpace, commandLog(options.log), server);
  watch(server, commandLog(options.log));
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
}
