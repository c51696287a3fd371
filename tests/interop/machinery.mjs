// A machine in the Machines folder (OPC 40001-1) with job management (OPC 40001-3), and a shop with a derived receiver type.
import { DataType, Variant, coerceLocalizedText, promoteToStateMachine } from "node-opcua";
import { JOB_CONTROL, JobShop, METHODS } from "./jobs.mjs";

const MACHINERY = "http://opcfoundation.org/UA/Machinery/";
const JOBS = "http://opcfoundation.org/UA/Machinery/Jobs/";
const DI = "http://opcfoundation.org/UA/DI/";

export function addMachine(addressSpace, own, log) {
  const index = (uri) => addressSpace.getNamespaceIndex(uri);
  const machines = addressSpace.rootFolder.objects.getFolderElementByName("Machines", index(MACHINERY));
  const machine = own.addObject({ browseName: "Assembler", organizedBy: machines });
  identify(addressSpace, machine, index);
  const state = addressSpace.findObjectType("MachineryItemState_StateMachineType", index(MACHINERY)).instantiate({
    browseName: { name: "MachineryItemState", namespaceIndex: index(MACHINERY) }, namespace: own, componentOf: machine,
  });
  promoteToStateMachine(state).setState("NotExecuting");
  const management = addressSpace.findObjectType("JobManagementType", index(JOBS)).instantiate({
    browseName: { name: "JobManagement", namespaceIndex: index(JOBS) }, namespace: own, componentOf: machine,
    optionals: [...METHODS.map((m) => `JobOrderControl.${m}`), "JobOrderResults.JobOrderResponseList"],
  });
  const [receiver, provider] = ["JobOrderControl", "JobOrderResults"].map((n) => management.getComponentByName(n, index(JOBS)));
  return new JobShop(addressSpace, "Assembler", receiver, provider, log);
}

function identify(addressSpace, machine, index) {
  const facts = {
    Manufacturer: ["Interop Works", DataType.LocalizedText], Model: ["Assembler 7", DataType.LocalizedText],
    SerialNumber: ["SN-0042", DataType.String], ProductInstanceUri: ["urn:interop:assembler:SN-0042", DataType.String],
    SoftwareRevision: ["2.1", DataType.String], YearOfConstruction: [2024, DataType.UInt16],
  };
  const identification = addressSpace.findObjectType("MachineIdentificationType", index(MACHINERY)).instantiate({
    browseName: { name: "Identification", namespaceIndex: index(DI) }, namespace: machine.namespace, componentOf: machine,
    optionals: Object.keys(facts),
  });
  for (const [name, [value, dataType]] of Object.entries(facts)) {
    const node = identification.getPropertyByName(name, index(DI)) ?? identification.getPropertyByName(name, index(MACHINERY));
    node.setValueFromSource(new Variant({ dataType, value: dataType === DataType.LocalizedText ? coerceLocalizedText(value) : value }));
  }
}

export function addShop(addressSpace, own, log) {
  const index = addressSpace.getNamespaceIndex(JOB_CONTROL);
  const base = addressSpace.findObjectType("ISA95JobOrderReceiverObjectType", index);
  const derived = own.addObjectType({ browseName: "ShopReceiverType", subtypeOf: base });
  const shop = own.addObject({ browseName: "Shop", organizedBy: addressSpace.rootFolder.objects });
  const receiver = derived.instantiate({ browseName: "Orders", namespace: own, componentOf: shop, optionals: METHODS });
  const provider = addressSpace.findObjectType("ISA95JobResponseProviderObjectType", index).instantiate({
    browseName: "Answers", namespace: own, componentOf: shop, optionals: ["JobOrderResponseList"],
  });
  return new JobShop(addressSpace, "Shop", receiver, provider, log, 2);
}
