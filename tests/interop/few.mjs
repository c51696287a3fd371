// A server with room for one session and for few operations in a request; its counters are written down before they are set.
import { DataType } from "node-opcua";
import { nodesets } from "node-opcua-nodesets";
import { host } from "./hosting.mjs";

const limits = {
  maxSessions: 1,
  operationLimits: { maxNodesPerRead: 4, maxNodesPerBrowse: 3, maxMonitoredItemsPerCall: 2, maxNodesPerTranslateBrowsePathsToNodeIds: 2 },
};

await host([nodesets.standard], (addressSpace, log) => {
  const own = addressSpace.registerNamespace("urn:interop:few");
  const machine = own.addObject({ browseName: "Machine", organizedBy: addressSpace.rootFolder.objects });
  const counters = [0, 1, 2].map((i) =>
    own.addVariable({ browseName: `Counter${i}`, componentOf: machine, dataType: "UInt32", minimumSamplingInterval: 10, value: { dataType: DataType.UInt32, value: 0 } }),
  );
  let number = 0;
  log("set", [number]);
  const timer = setInterval(() => {
    number += 1;
    log("set", [number]);
    for (const counter of counters) counter.setValueFromSource({ dataType: DataType.UInt32, value: number });
  }, 150);
  return [{ timer }];
}, { serverCapabilities: limits, maxConnectionsPerEndpoint: 10 });
