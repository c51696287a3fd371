// A server with security: node secure.mjs --setup FILE [--port N] [--log FILE] [--with-parent]. FILE is JSON:
//   {certificate, key, pki: folder with trusted/, issuers/, policies: [...], modes: [...], anonymous: bool, users: {name: password}}
// `pki` is its trust list: a client whose certificate does not lie in pki/trusted/certs is refused.
import "./quiet.mjs";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DataType, MessageSecurityMode, OPCUACertificateManager, SecurityPolicy, nodesets } from "node-opcua";
import { host } from "./hosting.mjs";

const { values } = parseArgs({ options: { setup: { type: "string" } }, strict: false });
const setup = JSON.parse(readFileSync(values.setup, "utf8"));
const trust = async (folder) => {
  const manager = new OPCUACertificateManager({ rootFolder: folder, automaticallyAcceptUnknownCertificate: false });
  await manager.initialize();
  return manager;
};
const certificates = await trust(setup.pki);
const users = await trust(join(setup.pki, "users"));

await host(
  [nodesets.standard],
  (addressSpace, log, server) => {
    const own = addressSpace.registerNamespace("urn:interop:secure");
    const machine = own.addObject({ browseName: "Vault", organizedBy: addressSpace.rootFolder.objects });
    const level = own.addVariable({
      browseName: "Level", componentOf: machine, dataType: "Double", minimumSamplingInterval: 20,
      value: { dataType: DataType.Double, value: 1.5 },
    });
    level.on("value_changed", (reading) => log("write", [reading.value.value], { node: "Level" }));
    server.on("session_activated", (session, token) => {
      const { securityPolicy, securityMode } = session.channel;
      const security = `${securityPolicy.split("#")[1]}:${MessageSecurityMode[securityMode]}`;
      const certificate = session.channel.clientCertificate ?? [];
      const first = Array.isArray(certificate) ? certificate[0] : certificate;
      log("session", [], {
        security, token: token.constructor.name, user: token.userName ?? null,
        application: session.clientDescription?.applicationUri,
        thumbprint: first ? createHash("sha1").update(first).digest("hex").toUpperCase() : null,
      });
    });
    return [];
  },
  {
    certificateFile: setup.certificate,
    privateKeyFile: setup.key,
    serverCertificateManager: certificates,
    userCertificateManager: users,
    securityPolicies: setup.policies.map((name) => SecurityPolicy[name]),
    securityModes: setup.modes.map((name) => MessageSecurityMode[name]),
    allowAnonymous: setup.anonymous ?? true,
    serverInfo: { applicationUri: setup.uri },
    userManager: { isValidUser: (name, password) => setup.users?.[name] === password },
  },
);
