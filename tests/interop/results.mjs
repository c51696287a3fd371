// A gauge (OPC 40001-101) and a camera (OPC 40100-1) that tell a result when asked to inspect; each result is in the log.
import { DataType, StatusCodes, Variant } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";

const used = [nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.machineryResult, nodesets.machineVision];

await host(used, (addressSpace, log) => {
  const own = addressSpace.registerNamespace("urn:interop:results");
  addGauge(addressSpace, own, log);
  addCamera(addressSpace, own, log);
  return [];
});

/** Reached from the Server object by HasNotifier. */
function addGauge(addressSpace, own, log) {
  const space = addressSpace.getNamespaceIndex("http://opcfoundation.org/UA/Machinery/Result/");
  const base = addressSpace.findEventType("ResultReadyEventType", space);
  const type = own.addEventType({ browseName: "GaugeResultEventType", subtypeOf: base }); // theirs is abstract
  const server = addressSpace.rootFolder.objects.server;
  const gauge = own.addObject({
    browseName: "Gauge", organizedBy: addressSpace.rootFolder.objects, eventNotifier: 1, notifierOf: server, nodeId: "s=Gauge",
  });
  own.addVariable({ browseName: "Length", componentOf: gauge, dataType: "Double", value: { dataType: DataType.Double, value: 12.5 } });
  const make = (name, fields) => addressSpace.constructExtensionObject(addressSpace.findDataType(name, space), fields);
  inspect(own, gauge, log, (part, good) => {
    const resultMetaData = make("ResultMetaDataType", {
      resultId: `r-${part}`, partId: part, jobId: "order-17", isPartial: false, resultEvaluation: good ? 1 : 2,
      creationTime: new Date("2026-11-23T20:12:04.556Z"),
    });
    const resultContent = [new Variant({ dataType: DataType.Double, value: 12.5 }), new Variant({ dataType: DataType.String, value: "mm" })];
    gauge.raiseEvent(type, { result: { dataType: DataType.ExtensionObject, value: make("ResultDataType", { resultMetaData, resultContent }) } });
  });
}

/** Tells events itself; nothing leads to it from the Server object. */
function addCamera(addressSpace, own, log) {
  const space = addressSpace.getNamespaceIndex("http://opcfoundation.org/UA/MachineVision");
  const type = addressSpace.findEventType("ResultReadyEventType", space);
  const camera = own.addObject({ browseName: "Camera", organizedBy: addressSpace.rootFolder.objects, eventNotifier: 1, nodeId: "s=Camera" });
  own.addVariable({ browseName: "Exposure", componentOf: camera, dataType: "Double", value: { dataType: DataType.Double, value: 0.01 } });
  const id = (name, value) => {
    const of = addressSpace.constructExtensionObject(addressSpace.findDataType(name, space), { id: value });
    return { dataType: DataType.ExtensionObject, value: of };
  };
  inspect(own, camera, log, (part, good) => {
    camera.raiseEvent(type, {
      resultId: id("ResultIdDataType", `v-${part}`), partId: id("PartIdDataType", part), jobId: id("JobIdDataType", "job-3"),
      isPartial: { dataType: DataType.Boolean, value: true }, resultState: { dataType: DataType.Int32, value: good ? 0 : 1 },
    });
  });
}

function inspect(own, machine, log, tell) {
  const argument = (name, dataType) => ({ name, dataType, valueRank: -1, description: { text: "" } });
  const method = own.addMethod(machine, {
    browseName: "Inspect", inputArguments: [argument("part", DataType.String), argument("good", DataType.Boolean)], outputArguments: [],
  });
  method.bindMethod(async ([part, good], _context) => {
    tell(part.value, good.value);
    log("result", [part.value, good.value], { node: machine.browseName.name });
    return { statusCode: StatusCodes.Good, outputArguments: [] };
  });
}
