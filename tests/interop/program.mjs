// A program (OPC UA Part 10) of a third party's stack: node program.mjs [--port N] [--log FILE] [--with-parent]
// Count (written before) is what it runs for, 40 ms each. Its own names for the states are in its CurrentState.
import { DataType, StatusCodes, Variant, coerceLocalizedText, promoteToStateMachine } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";

const TICK = 10; // ms
const PIECE = 40; // ms
const MOVES = {
  Start: { from: ["Ready"], to: "Running" },
  Suspend: { from: ["Running"], to: "Suspended" },
  Resume: { from: ["Suspended"], to: "Running" },
  Halt: { from: ["Ready", "Running", "Suspended"], to: "Halted" },
  Reset: { from: ["Halted"], to: "Ready" },
};

class Program {
  constructor(addressSpace, log) {
    const own = addressSpace.getOwnNamespace();
    const machine = own.addObject({ browseName: "Mill", organizedBy: addressSpace.rootFolder.objects });
    this.count = own.addVariable({ browseName: "Count", componentOf: machine, dataType: "Int32", value: { dataType: DataType.Int32, value: 3 } });
    const type = addressSpace.findObjectType("ProgramStateMachineType");
    this.node = type.instantiate({ browseName: "Cutting", componentOf: machine, optionals: Object.keys(MOVES) });
    this.machine = promoteToStateMachine(this.node);
    const results = own.addObject({ browseName: { name: "FinalResultData", namespaceIndex: 0 }, componentOf: this.node });
    this.cut = own.addVariable({ browseName: "Cut", componentOf: results, dataType: "Int32", value: { dataType: DataType.Int32, value: 0 } });
    Object.assign(this, { log, left: 0, state: "Halted" });
    for (const [name, { from, to }] of Object.entries(MOVES)) this.bind(own, name, from, to);
    this.enter("Halted");
    this.timer = setInterval(() => this.tick(), TICK);
  }

  bind(own, name, from, to) {
    const method = this.node.getMethodByName(name) ?? own.addMethod(this.node, { browseName: { name, namespaceIndex: 0 } });
    method.bindMethod(async (_inputs, _context) => {
      const statusCode = from.includes(this.state) ? StatusCodes.Good : StatusCodes.BadInvalidState;
      this.log(name, [], { state: this.state, status: statusCode.name });
      if (statusCode === StatusCodes.Good) {
        if (name === "Start") this.left = PIECE * this.count.readValue().value.value;
        this.enter(to);
      }
      return { statusCode, outputArguments: [] };
    });
  }

  enter(state) {
    this.state = state;
    this.machine.setState(state);
    const current = this.node.getComponentByName("CurrentState");
    current.setValueFromSource(new Variant({ dataType: DataType.LocalizedText, value: coerceLocalizedText(`état ${state}`) }));
  }

  tick() {
    if (this.state !== "Running") return;
    this.left -= TICK;
    if (this.left > 0) return;
    const made = this.count.readValue().value.value;
    this.cut.setValueFromSource(new Variant({ dataType: DataType.Int32, value: made }));
    this.log("cut", [made]);
    this.enter("Ready");
  }
}

await host([nodesets.standard], (addressSpace, log) => [new Program(addressSpace, log)]);
