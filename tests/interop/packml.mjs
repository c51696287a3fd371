// Units of PackMLBaseObjectType (OPC 30050) and of a subtype, whose state machines move as the standard says.
import { DataType, StatusCodes, Variant, VariantArrayType, promoteToStateMachine } from "node-opcua";

const PACKML = "http://opcfoundation.org/UA/PackML/";
const TICK = 20; // ms
const ACTING = 80; // ms that an acting state takes

const BASE = ["Aborting", "Aborted"];
const MACHINE = ["Clearing", "Stopped", "Stopping"];
const NEXT = {
  Resetting: "Idle", Starting: "Execute", Completing: "Complete", Holding: "Held", Unholding: "Execute", Suspending: "Suspended",
  Unsuspending: "Execute", Stopping: "Stopped", Clearing: "Stopped", Aborting: "Aborted",
};
const running = (s) => !BASE.includes(s) && !MACHINE.includes(s);
const COMMANDS = {
  Start: { where: "ExecuteState", when: (s) => s === "Idle", to: "Starting" },
  Reset: { where: "ExecuteState", when: (s) => s === "Complete" || s === "Stopped", to: "Resetting" },
  Hold: {
    where: "ExecuteState",
    when: (s) => ["Execute", "Starting", "Suspending", "Suspended", "Unsuspending", "Unholding"].includes(s),
    to: "Holding",
  },
  Unhold: { where: "ExecuteState", when: (s) => s === "Held", to: "Unholding" },
  Suspend: { where: "ExecuteState", when: (s) => s === "Execute", to: "Suspending" },
  Unsuspend: { where: "ExecuteState", when: (s) => s === "Suspended", to: "Unsuspending" },
  ToComplete: { where: "ExecuteState", when: (s) => s === "Execute", to: "Completing" },
  Stop: { where: "MachineState", when: running, to: "Stopping" },
  Abort: { where: "BaseStateMachine", when: (s) => !BASE.includes(s), to: "Aborting" },
  Clear: { where: "BaseStateMachine", when: (s) => s === "Aborted", to: "Clearing" },
};
const PLACE = {
  BaseStateMachine: "BaseStateMachine",
  MachineState: "BaseStateMachine.MachineState",
  ExecuteState: "BaseStateMachine.MachineState.ExecuteState",
};

export function addUnits(addressSpace, own, log) {
  const index = addressSpace.getNamespaceIndex(PACKML);
  const folder = addressSpace.rootFolder.objects.getFolderElementByName("PackMLObjects", index);
  const base = addressSpace.findObjectType("PackMLBaseObjectType", index);
  const derived = own.addObjectType({ browseName: "LabellerType", subtypeOf: base });
  const further = own.addObjectType({ browseName: "FastLabellerType", subtypeOf: derived });
  return [
    new Unit(addressSpace, own, index, base, folder, "Unit1", log),
    new Unit(addressSpace, own, index, further, folder, "Labeller", log),
  ];
}

class Unit {
  constructor(addressSpace, own, index, type, folder, name, log) {
    Object.assign(this, { addressSpace, index, name, log, state: "Idle", since: Date.now(), made: 0, ever: 0, ordered: 5, rest: 0 });
    const methods = Object.entries(COMMANDS).map(([command, { where }]) => `${PLACE[where]}.${command}`);
    methods.push("BaseStateMachine.MachineState.Reset");
    const admin = ["ProdProcessedCount", "StateCumulativeTime", "ModeCumulativeTime", "MachDesignSpeed", "AccTimeSinceReset"];
    this.node = type.instantiate({
      browseName: name, namespace: own, organizedBy: folder, optionals: [...methods, ...admin.map((n) => `Admin.${n}`)],
    });
    this.machines = {};
    let at = this.node;
    for (const part of Object.keys(PLACE)) {
      at = at.getComponentByName(part, index);
      this.machines[part] = promoteToStateMachine(at);
    }
    this.bindCommands();
    this.bindSettings();
    this.prepareValues();
    this.show();
    this.timer = setInterval(() => this.tick(), TICK);
  }

  child(...path) {
    return path.reduce((node, name) => node.getComponentByName(name, this.index) ?? node.getPropertyByName(name, this.index), this.node);
  }

  bindCommands() {
    for (const [command, rule] of Object.entries(COMMANDS)) {
      const owners = command === "Reset" ? ["ExecuteState", "MachineState"] : [rule.where];
      for (const owner of owners) {
        const method = this.machines[owner].getMethodByName(command, this.index);
        method.bindMethod(async (inputs, _context) => this.command(command, rule, inputs));
      }
    }
  }

  command(command, rule, inputs) {
    const parameters = (inputs[0]?.value ?? []).map((p) => ({ name: p.name, value: p.value }));
    const statusCode = rule.when(this.state) ? StatusCodes.Good : StatusCodes.BadInvalidState;
    this.log(command, parameters, { unit: this.name, state: this.state, status: statusCode.name });
    if (statusCode !== StatusCodes.Good) return { statusCode, outputArguments: [] };
    if (command === "Start") this.ordered = 5;
    this.take(parameters);
    this.enter(rule.to);
    return { statusCode, outputArguments: [] };
  }

  take(parameters) {
    for (const { name, value } of parameters) if (name === "Count") this.ordered = value;
  }

  bindSettings() {
    const bind = (name, act) =>
      this.node.getMethodByName(name, this.index).bindMethod(async (inputs, _context) => {
        const statusCode = act(inputs[0].value);
        this.log(name, [inputs[0].value], { unit: this.name, status: statusCode.name });
        return { statusCode, outputArguments: [] };
      });
    bind("SetMachSpeed", (speed) => {
      if (!(speed > 0 && speed <= 600)) return StatusCodes.BadOutOfRange;
      this.set(["Status", "MachSpeed"], DataType.Float, speed);
      return StatusCodes.Good;
    });
    bind("SetUnitMode", (mode) => {
      if (![1, 2, 3].includes(mode)) return StatusCodes.BadOutOfRange;
      if (!["Idle", "Stopped", "Aborted"].includes(this.state)) return StatusCodes.BadInvalidState;
      this.set(["Status", "UnitModeCurrent"], DataType.Int32, mode);
      return StatusCodes.Good;
    });
    bind("SetParameter", (parameters) => {
      this.take((parameters ?? []).map((p) => ({ name: p.name, value: p.value })));
      return StatusCodes.Good;
    });
    bind("SetProduct", () => StatusCodes.Good);
  }

  prepareValues() {
    for (const name of ["MachSpeed", "CurMachSpeed"]) {
      const range = this.child("Status", name).getPropertyByName("EURange", 0);
      range.setValueFromSource(new Variant({ dataType: DataType.ExtensionObject, value: this.struct(0, "Range", { low: 0, high: 600 }) }));
    }
    this.set(["Status", "MachSpeed"], DataType.Float, 300);
    this.set(["Status", "CurMachSpeed"], DataType.Float, 0);
    this.set(["Status", "UnitModeCurrent"], DataType.Int32, 1);
    this.set(["Admin", "MachDesignSpeed"], DataType.Float, 600);
    this.set(["Admin", "AccTimeSinceReset"], DataType.Int32, 0);
    for (const name of ["EquipmentBlocked", "EquipmentStarved"]) this.set(["Status", name], DataType.Boolean, false);
    this.child("Admin", "StateCumulativeTime").setValueFromSource(
      new Variant({ dataType: DataType.Int32, arrayType: VariantArrayType.Matrix, dimensions: [3, 0], value: new Int32Array(0) }));
    this.child("Admin", "ModeCumulativeTime").setValueFromSource(
      new Variant({ dataType: DataType.Int32, arrayType: VariantArrayType.Array, value: new Int32Array(0) }));
    this.count();
  }

  struct(index, name, fields) {
    return this.addressSpace.constructExtensionObject(this.addressSpace.findDataType(name, index), fields);
  }

  set(path, dataType, value) {
    this.child(...path).setValueFromSource(new Variant({ dataType, value }));
  }

  count() {
    const value = [this.struct(this.index, "PackMLCountDataType", { ID: 1, name: "Label", count: this.made, accCount: this.ever })];
    this.child("Admin", "ProdProcessedCount").setValueFromSource(
      new Variant({ dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value }));
  }

  enter(state) {
    this.state = state;
    this.since = Date.now();
    if (state === "Resetting") {
      this.made = this.rest = 0;
      this.count();
    }
    this.log("state", [state], { unit: this.name });
    this.show();
  }

  show() {
    const level = BASE.includes(this.state) ? 0 : MACHINE.includes(this.state) ? 1 : 2;
    const names = [level ? "Cleared" : this.state, level === 2 ? "Running" : this.state, this.state];
    Object.values(this.machines).forEach((machine, i) => {
      if (i <= level) machine.setState(names[i]);
      else machine.setState(null); // BadStateNotActive
    });
    this.set(["Status", "CurMachSpeed"], DataType.Float, this.state === "Execute" ? this.child("Status", "MachSpeed").readValue().value.value : 0);
  }

  tick() {
    if (this.state in NEXT && Date.now() - this.since >= ACTING) this.enter(NEXT[this.state]);
    else if (this.state === "Execute") this.produce();
  }

  produce() {
    this.rest += (this.child("Status", "MachSpeed").readValue().value.value / 60) * (TICK / 1000);
    if (this.rest < 1) return;
    this.rest -= 1;
    this.made += 1;
    this.ever += 1;
    this.count();
    if (this.made >= this.ordered) this.enter("Completing");
  }
}
