// Machines of companion types with values that the tests know: a robot, a machine tool, a camera, a nutrunner, a measuring machine.
import { DataType, StatusCodes, Variant, VariantArrayType, coerceLocalizedText, makeEUInformation, promoteToStateMachine, standardUnits } from "node-opcua";

const UA = "http://opcfoundation.org/UA/";
const URI = {
  di: `${UA}DI/`, mac: `${UA}Machinery/`, res: `${UA}Machinery/Result/`, pv: `${UA}Machinery/ProcessValues/`, padim: `${UA}PADIM/`,
  rob: `${UA}Robotics/`, mt: `${UA}MachineTool/`, mv: `${UA}MachineVision`, ijt: `${UA}IJT/Base/`,
};

export function addRecognised(addressSpace, own, log) {
  const space = new Space(addressSpace, own, log);
  const machines = addressSpace.rootFolder.objects.getFolderElementByName("Machines", space.index("mac"));
  const devices = addressSpace.rootFolder.objects.getFolderElementByName("DeviceSet", space.index("di"));
  addRobot(space, devices);
  addMachineTool(space, machines);
  addCamera(space, addressSpace.rootFolder.objects);
  addNutrunner(space, machines);
  addGauge(space, machines);
}

class Space {
  constructor(addressSpace, own, log) {
    Object.assign(this, { addressSpace, own, log });
  }

  index(prefix) {
    return this.addressSpace.getNamespaceIndex(URI[prefix]);
  }

  make(type, name, parent, optionals = []) {
    const [prefix, plain] = type.split(":");
    const [namespace, browse] = name.includes(":") ? name.split(":") : [undefined, name];
    const browseName = namespace ? { name: browse, namespaceIndex: this.index(namespace) } : browse;
    const found = this.addressSpace.findObjectType(plain, this.index(prefix));
    return found.instantiate({ browseName, namespace: this.own, componentOf: parent, optionals });
  }

  at(node, path) {
    let here = node;
    for (const name of path.split("/").filter(Boolean)) {
      const below = here.findReferencesExAsObject("HierarchicalReferences").find((n) => n.browseName.name === name);
      if (!below) throw new Error(`no ${name} of ${path} below ${node.browseName.name}`);
      here = below;
    }
    return here;
  }

  set(node, values) {
    for (const [path, value] of Object.entries(values)) {
      const variable = this.at(node, path);
      const dataType = variable.getDataTypeNode().basicDataType;
      const known = typeof value === "string" && dataType === DataType.LocalizedText ? coerceLocalizedText(value) : value;
      const guessed = dataType === DataType.Variant ? DataType.Double : dataType;
      variable.setValueFromSource(new Variant({ dataType: guessed, arrayType: VariantArrayType.Scalar, value: known }));
    }
  }

  unit(node, path, unit) {
    const held = this.at(node, path).getPropertyByName("EngineeringUnits");
    held.setValueFromSource(new Variant({ dataType: DataType.ExtensionObject, value: unit }));
  }

  state(machine, name) {
    promoteToStateMachine(machine).setState(name);
  }

  method(node, path, more = () => []) {
    const method = this.at(node, path);
    method.bindMethod((args, _, done) => {
      this.log(method.browseName.name, args.map((a) => a.value));
      done(null, { statusCode: StatusCodes.Good, outputArguments: more(args) });
    });
  }
}

const PLATE = (name, number) => ({
  Manufacturer: "Interop Works", Model: `${name} 7`, SerialNumber: `SN-${number}`, ProductInstanceUri: `urn:interop:${name}:SN-${number}`,
});

function identify(space, machine, type, name, number, more = {}) {
  const facts = { ...PLATE(name, number), ...more };
  const plate = space.make(type, "di:Identification", machine, Object.keys(facts));
  space.set(plate, facts);
}

function addRobot(space, parent) {
  const robot = space.make("rob:MotionDeviceSystemType", "Robot", parent, ["ComponentName"]);
  const arm = space.make("rob:MotionDeviceType", "Arm", space.at(robot, "MotionDevices"), ["ParameterSet.OnPath", "ParameterSet.InControl"]);
  space.set(arm, {
    Manufacturer: "Interop Works", Model: "Arm 6", ProductCode: "A6", SerialNumber: "SN-1001", MotionDeviceCategory: 1,
    "ParameterSet/SpeedOverride": 75, "ParameterSet/OnPath": true, "ParameterSet/InControl": true,
  });
  for (const number of [1, 2]) {
    const axis = space.make("rob:AxisType", `Axis${number}`, space.at(arm, "Axes"), ["ParameterSet.ActualSpeed"]);
    space.set(axis, { MotionProfile: 1, "ParameterSet/ActualPosition": 10.5 * number, "ParameterSet/ActualSpeed": number });
    space.unit(axis, "ParameterSet/ActualPosition", standardUnits.degree);
  }
  const controller = space.make("rob:ControllerType", "Controller", space.at(robot, "Controllers"), ["ParameterSet.TotalEnergyConsumption"]);
  space.set(controller, { "ParameterSet/TotalEnergyConsumption": 12.5, SerialNumber: "SN-1002" });
  space.unit(controller, "ParameterSet/TotalEnergyConsumption", makeEUInformation("KWH", "kW·h", "kilowatt hour"));
  const task = space.make("rob:TaskControlType", "Task", space.at(controller, "TaskControls"), ["ParameterSet.ExecutionMode"]);
  space.set(task, { "ParameterSet/TaskProgramName": "weld", "ParameterSet/TaskProgramLoaded": true, "ParameterSet/ExecutionMode": 2 });
  const operation = space.make("rob:TaskControlOperationType", "rob:TaskControlOperation", task, [
    "TaskControlStateMachine.Start", "TaskControlStateMachine.Stop", "TaskControlStateMachine.LoadByName",
  ]);
  space.state(space.at(operation, "TaskControlStateMachine"), "Ready");
  for (const name of ["Start", "Stop", "LoadByName"]) space.method(operation, `TaskControlStateMachine/${name}`, status);
  const safety = space.make("rob:SafetyStateType", "Safety", space.at(robot, "SafetyStates"));
  space.set(safety, { "ParameterSet/OperationalMode": 3, "ParameterSet/EmergencyStop": false, "ParameterSet/ProtectiveStop": true });
}

const status = () => [{ dataType: DataType.Int32, value: 0 }];

function addMachineTool(space, parent) {
  const tool = space.make("mt:MachineToolType", "Mill", parent, [
    "Monitoring.MachineTool.FeedOverride", "Monitoring.MachineTool.PowerOnDuration", "Production.ActiveProgram.JobIdentifier",
  ]);
  space.set(tool, {
    "Identification/Manufacturer": "Interop Works", "Identification/SerialNumber": "SN-2001",
    "Identification/ProductInstanceUri": "urn:interop:mill:SN-2001",
    "Monitoring/MachineTool/OperationMode": 1, "Monitoring/MachineTool/FeedOverride": 90, "Monitoring/MachineTool/PowerOnDuration": 1234,
    "Production/ActiveProgram/Name": "housing.nc", "Production/ActiveProgram/JobIdentifier": "J-9", "Production/ActiveProgram/NumberInList": 0,
  });
  space.state(space.at(tool, "Production/ActiveProgram/State"), "Running");
  const channel = space.make("mt:ChannelMonitoringType", "Channel1", space.at(tool, "Monitoring"));
  space.set(channel, { Name: "Channel 1", ChannelState: 1, ChannelMode: 0, FeedOverride: 80 });
  const spindle = space.make("mt:SpindleMonitoringType", "Spindle1", space.at(tool, "Monitoring"), ["Override"]);
  space.set(spindle, { Name: "Spindle 1", IsRotating: true, Override: 110 });
}

function addCamera(space, objects) {
  const found = space.addressSpace.findObjectType("VisionSystemType", space.index("mv"));
  const camera = found.instantiate({
    browseName: "Camera", namespace: space.own, organizedBy: objects,
    optionals: ["DiagnosticLevel", "VisionStateMachine.AutomaticModeStateMachine"],
  });
  space.set(camera, { DiagnosticLevel: 3 });
  space.state(space.at(camera, "VisionStateMachine"), "Operational");
  space.state(space.at(camera, "VisionStateMachine/AutomaticModeStateMachine"), "Ready");
  space.method(camera, "VisionStateMachine/AutomaticModeStateMachine/StartSingleJob", (args) => [
    { dataType: DataType.ExtensionObject, value: args[0]?.value ?? null }, { dataType: DataType.Int32, value: 0 },
  ]);
}

function addNutrunner(space, parent) {
  const system = space.make("ijt:JoiningSystemType", "Nutrunner", parent, [
    "AssetManagement", "ResultManagement", "JoiningProcessManagement.SelectJoiningProcess", "JoiningProcessManagement.StartJoiningProcess",
    "Identification.Manufacturer", "Identification.Model", "Identification.ProductInstanceUri",
  ]);
  space.set(system, {
    "Identification/Name": "Nutrunner 1", "Identification/Manufacturer": "Interop Works", "Identification/Model": "Nut 3",
    "Identification/ProductInstanceUri": "urn:interop:nutrunner:SN-4001",
  });
}

function addGauge(space, parent) {
  const gauge = space.own.addObject({ browseName: "Gauge", organizedBy: parent });
  identify(space, gauge, "mac:MachineIdentificationType", "gauge", 5001, { Location: "Hall 2" });
  const blocks = space.own.addObject({ browseName: { name: "MachineryBuildingBlocks", namespaceIndex: space.index("mac") }, componentOf: gauge });
  space.state(space.make("mac:MachineryItemState_StateMachineType", "mac:MachineryItemState", blocks), "Executing");
  space.state(space.make("mac:MachineryOperationModeStateMachineType", "mac:MachineryOperationMode", blocks), "Processing");
  const counters = space.make("mac:MachineryOperationCounterType", "di:OperationCounters", blocks, [
    "PowerOnDuration", "OperationDuration", "OperationCycleCounter",
  ]);
  space.set(counters, { PowerOnDuration: 7_200_000, OperationDuration: 1_800_000 });
  space.make("res:ResultManagementType", "res:ResultManagement", blocks, ["GetLatestResult"]);
  const width = space.make("pv:ProcessValueType", "Width", gauge, ["AnalogSignal.HighLimit", "ProcessValueSetpoint"]);
  space.set(width, { AnalogSignal: 12.25, "AnalogSignal/HighLimit": 13, ProcessValueSetpoint: 12 });
  space.unit(width, "AnalogSignal", standardUnits.millimetre);
  const lock = space.make("di:LockingServicesType", "di:Lock", gauge);
  space.set(lock, { Locked: true, LockingClient: "urn:somebody", LockingUser: "anna", RemainingLockTime: 1500 });
}
