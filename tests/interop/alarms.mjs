// A machine with alarms, driven by writing its variables; what is done about an alarm is in the server's own log.
import { DataType, StatusCodes } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";

const OPTIONALS = ["ConfirmedState", "Confirm", "ShelvingState", "SuppressedState"];

await host([nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery], (addressSpace, log, server) => {
  addressSpace.installAlarmsAndConditionsService();
  const own = addressSpace.registerNamespace("urn:interop:alarms");
  const objects = addressSpace.rootFolder.objects;
  const machines = [addMachine(addressSpace, own, objects, "Press"), addMachine(addressSpace, own, objects, "Mill")];
  const inputs = Object.fromEntries(machines.map((machine) => [machine.browseName.name, addAlarms(addressSpace, own, machine, log)]));
  addFault(own, objects, server, inputs, log);
  return [];
});

/** Closes every client's connection and changes the Press in the same breath: nobody hears of the change as it happens. */
function addFault(own, objects, server, inputs, log) {
  const argument = (name, dataType) => ({ name, dataType, valueRank: -1, description: { text: "" } });
  const faults = own.addObject({ browseName: "Faults", organizedBy: objects, nodeId: "s=Faults" });
  const inputArguments = [argument("level", DataType.Double), argument("door", DataType.Boolean)];
  const method = own.addMethod(faults, { browseName: "Cut", inputArguments, outputArguments: [], nodeId: "s=Faults.Cut" });
  method.bindMethod(async ([level, door], _context) => {
    for (const endpoint of server.endpoints) for (const channel of endpoint.getChannels()) channel.abruptlyInterrupt();
    const press = inputs.Press;
    press.level.setValueFromSource({ dataType: DataType.Double, value: level.value });
    press.pressureAlarm.currentBranch().setRetain(false); // it is over, as far as anybody may still ask
    press.door.setValueFromSource({ dataType: DataType.Boolean, value: door.value });
    log("cut", [level.value, door.value]);
    return { statusCode: StatusCodes.Good, outputArguments: [] };
  });
}

/** A machine of OPC 40001-1, so that two stand behind one endpoint, each with events of its own. */
function addMachine(addressSpace, own, objects, browseName) {
  const index = addressSpace.getNamespaceIndex("http://opcfoundation.org/UA/Machinery/");
  const folder = objects.getFolderElementByName("Machines", index);
  const machine = own.addObject({
    browseName, organizedBy: folder, eventNotifier: 1, notifierOf: objects.server, nodeId: `s=${browseName}`,
  });
  const identification = addressSpace.findObjectType("MachineIdentificationType", index).instantiate({
    browseName: { name: "Identification", namespaceIndex: addressSpace.getNamespaceIndex("http://opcfoundation.org/UA/DI/") },
    componentOf: machine, namespace: own,
  });
  const say = (name, dataType, value) => identification.getPropertyByName(name)?.setValueFromSource({ dataType, value });
  say("Manufacturer", DataType.LocalizedText, { text: "Interop" });
  say("SerialNumber", DataType.String, `${browseName}-1`);
  say("ProductInstanceUri", DataType.String, `urn:interop:${browseName}`);
  return machine;
}

function addAlarms(addressSpace, own, machine, log) {
  const variable = (browseName, dataType, value) =>
    own.addVariable({
      browseName, componentOf: machine, eventSourceOf: machine, dataType: DataType[dataType], minimumSamplingInterval: 20,
      accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite", value: { dataType, value },
      nodeId: `s=${machine.browseName.name}.${browseName}`,
    });
  const common = (name, inputNode) => ({
    browseName: name, conditionName: name, componentOf: machine, conditionSource: inputNode, conditionOf: inputNode, inputNode,
    maxTimeShelved: 60_000, optionals: OPTIONALS, nodeId: `s=${machine.browseName.name}.${name}`,
  });
  const limits = { highHighLimit: 90, highLimit: 80, lowLimit: 20, lowLowLimit: 10 };
  const level = variable("Level", DataType.Double, 50);
  const pressure = variable("Pressure", DataType.Double, 50);
  const door = variable("Door", DataType.Boolean, false);
  const normal = variable("DoorNormal", DataType.Boolean, false);
  const alarms = [
    own.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", { ...common("LevelAlarm", level), ...limits }),
    own.instantiateNonExclusiveLimitAlarm("NonExclusiveLimitAlarmType", { ...common("PressureAlarm", pressure), ...limits }),
    own.instantiateOffNormalAlarm({ ...common("DoorAlarm", door), normalState: normal.nodeId }),
  ];
  for (const alarm of alarms) {
    const node = `${machine.browseName.name}/${alarm.browseName.name}`;
    const branch = (one) => (one?.getBranchId?.().isEmpty?.() ?? true ? null : one.getBranchId().toString());
    alarm.on("acknowledged", (_event, comment, one) => log("acknowledge", [comment.text], { node, branch: branch(one) }));
    alarm.on("confirmed", (_event, comment, one) => log("confirm", [comment.text], { node, branch: branch(one) }));
    alarm.shelvingState.setState("Unshelved");
    alarm.shelvingState.currentState.on("value_changed", (reading) => log("shelving", [reading.value.value.text], { node }));
  }
  return { level, door, pressureAlarm: alarms[1] };
}
