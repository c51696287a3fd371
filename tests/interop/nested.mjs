// Machines of OPC 40001-1 as integrators nest them: reachable twice, of one name, with PackML, components and job control inside.
import { DataType, Variant, coerceLocalizedText } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";
import { JobShop, METHODS } from "./jobs.mjs";

const URI = "urn:interop:nested";
const [DI, MACHINERY, JOBS, PACKML] = ["DI/", "Machinery/", "Machinery/Jobs/", "PackML/"].map((n) => `http://opcfoundation.org/UA/${n}`);
const used = [
  nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.isa95JobControl, nodesets.machineryJobs, nodesets.packML,
];

function fill(addressSpace, log) {
  const own = addressSpace.registerNamespace(URI);
  const it = new Space(addressSpace, own);
  const machines = addressSpace.rootFolder.objects.getFolderElementByName("Machines", it.index(MACHINERY));
  const line = own.addObject({ browseName: "Line", organizedBy: machines });
  const hall = own.addObject({ browseName: "Hall", organizedBy: addressSpace.rootFolder.objects });
  hall.addReference({ referenceType: "Organizes", nodeId: line });
  own.addVariable({ browseName: "Humidity", componentOf: hall, dataType: "Double", value: { dataType: DataType.Double, value: 40 } });
  const blocks = it.folder(line, "MachineryBuildingBlocks");
  const identification = it.identify(line, "L-1");
  blocks.addReference({ referenceType: "HasAddIn", nodeId: identification });
  const shop = it.jobs(blocks, log);
  it.instance("PackMLBaseObjectType", PACKML, { browseName: "Cell", componentOf: line });
  const components = it.folder(line, "Components");
  const spindle = own.addObject({ browseName: "Spindle", componentOf: components });
  it.identify(spindle, "S-1", "MachineryComponentIdentificationType");
  own.addVariable({ browseName: "Load", componentOf: spindle, dataType: "Double", value: { dataType: DataType.Double, value: 0.5 } });
  for (const serial of ["T-1", "T-2"]) it.identify(own.addObject({ browseName: "Twin", organizedBy: machines }), serial);
  own.addObject({ browseName: "Silent", organizedBy: machines });
  return [shop];
}

class Space {
  constructor(addressSpace, own) {
    Object.assign(this, { addressSpace, own });
  }

  index(uri) {
    return this.addressSpace.getNamespaceIndex(uri);
  }

  instance(type, uri, options) {
    return this.addressSpace.findObjectType(type, this.index(uri)).instantiate({ namespace: this.own, ...options });
  }

  folder(componentOf, name) {
    return this.own.addObject({ browseName: { name, namespaceIndex: this.index(MACHINERY) }, componentOf, typeDefinition: "FolderType" });
  }

  identify(machine, serial, type = "MachineIdentificationType") {
    const facts = { Manufacturer: "Nest", SerialNumber: serial, ProductInstanceUri: `urn:interop:nested:${serial}` };
    const identification = this.instance(type, MACHINERY, {
      browseName: { name: "Identification", namespaceIndex: this.index(DI) }, componentOf: machine, optionals: Object.keys(facts),
    });
    for (const [name, value] of Object.entries(facts)) {
      const text = name === "Manufacturer";
      identification.getPropertyByName(name, this.index(DI)).setValueFromSource(
        new Variant({ dataType: text ? DataType.LocalizedText : DataType.String, value: text ? coerceLocalizedText(value) : value }));
    }
    return identification;
  }

  jobs(componentOf, log) {
    const management = this.instance("JobManagementType", JOBS, {
      browseName: { name: "JobManagement", namespaceIndex: this.index(JOBS) }, componentOf,
      optionals: [...METHODS.map((m) => `JobOrderControl.${m}`), "JobOrderResults.JobOrderResponseList"],
    });
    const parts = ["JobOrderControl", "JobOrderResults"].map((n) => management.getComponentByName(n, this.index(JOBS)));
    return new JobShop(this.addressSpace, "Line", ...parts, log);
  }
}

await host(used, fill);
