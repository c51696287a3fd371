// A server with all the companion specifications that this stack has: instances whose values the tests know, and every type once.
import { nodesets } from "node-opcua-nodesets";
import { addGallery } from "./gallery.mjs";
import { host } from "./hosting.mjs";
import { addRecognised } from "./recognised.mjs";

const FIRST = ["standard", "di", "ia", "machinery", "isa95JobControl", "machineryJobs", "machineryResult", "irdi", "padim", "machineTool"];
const OTHERS = Object.keys(nodesets).filter((name) => !FIRST.includes(name));

await host([...FIRST, ...OTHERS].map((name) => nodesets[name]), (addressSpace, log) => {
  const own = addressSpace.registerNamespace("urn:interop:companions");
  addRecognised(addressSpace, own, log);
  log("gallery", addGallery(addressSpace, own, log));
  return [];
});
