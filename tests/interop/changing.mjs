// A machine whose address space changes while it runs: by the methods of `Control`, which a test calls out of band.
// `--reversed` declares the namespaces in the other order; `--quietly` tells nobody that something has changed; `--one-session`
// takes one session and no more. Every session that is made or closed is in the log.
import { DataType, StatusCodes, Variant } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";

const MACHINE = "urn:interop:changing:machine";
const OTHER = "urn:interop:changing:other";
const has = (flag) => process.argv.includes(flag);
const reversed = has("--reversed");
const quietly = has("--quietly");
const alone = has("--one-session");
process.argv = process.argv.filter((one) => !["--reversed", "--quietly", "--one-session"].includes(one));

await host([nodesets.standard], (addressSpace, log) => {
  for (const uri of reversed ? [OTHER, MACHINE] : [MACHINE, OTHER]) addressSpace.registerNamespace(uri);
  const own = addressSpace.getNamespace(MACHINE);
  const other = addressSpace.getNamespace(OTHER);
  const objects = addressSpace.rootFolder.objects;
  const machine = own.addObject({ browseName: "Press", organizedBy: objects, nodeId: "s=Press" });
  const values = { Speed: 1.5, Level: 2.5, Steady: 0 };
  const types = { Speed: DataType.Double, Level: DataType.Double, Steady: DataType.Int32 };

  function add(name) {
    own.addVariable({
      browseName: name, nodeId: `s=${name}`, componentOf: machine, dataType: types[name], minimumSamplingInterval: 20, accessLevel: "CurrentRead | CurrentWrite",
      value: { get: () => new Variant({ dataType: types[name], value: values[name] }), set: (v) => { values[name] = v.value; log("write", [v.value], { node: name }); return StatusCodes.Good; } },
    });
  }
  for (const name of Object.keys(values)) add(name);
  other.addVariable({ browseName: "Mark", nodeId: "s=Mark", componentOf: machine, dataType: "String", value: { dataType: DataType.String, value: "other" } });

  const change = (work) => (quietly ? work() : addressSpace.modelChangeTransaction(work));
  const remove = (name) => addressSpace.deleteNode(own.findNode(`s=${name}`));
  const verbs = {
    Remove: (name) => change(() => remove(name)),
    Add: (name) => change(() => add(name)),
    Retype: (name) => change(() => { remove(name); types[name] = DataType.String; values[name] = "text"; add(name); }),
    Set: (name) => { values[name] += 1; },
  };
  const control = own.addObject({ browseName: "Control", nodeId: "s=Control", organizedBy: objects });
  for (const [verb, work] of Object.entries(verbs)) {
    const method = own.addMethod(control, {
      browseName: verb, nodeId: `s=${verb}`, outputArguments: [], inputArguments: [{ name: "name", dataType: DataType.String, valueRank: -1, description: { text: "" } }],
    });
    method.bindMethod(async (inputs, _context) => {
      log(verb, [inputs[0].value]);
      work(inputs[0].value);
      return { statusCode: StatusCodes.Good, outputArguments: [] };
    });
  }
  const timer = setInterval(() => { values.Steady += 1; }, 50);
  return [{ timer }];
}, {
  ...(alone && { serverCapabilities: { maxSessions: 1 } }),
}, (server, log) => {
  server.on("create_session", (session) => log("CreateSession", [session.sessionName], { timeout: session.sessionTimeout }));
  server.on("session_closed", (session, reason) => log("SessionClosed", [session.sessionName], { reason }));
});
