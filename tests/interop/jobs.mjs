// Job order receivers and response providers (OPC 10031-4 v2): orders are stored, run by a timer, and answered for.
import { DataType, StatusCodes, Variant, VariantArrayType } from "node-opcua";

export const JOB_CONTROL = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/";
const TICK = 20; // ms
const STATES = { NotAllowedToStart: 1, AllowedToStart: 2, Running: 3, Interrupted: 4, Ended: 5, Aborted: 6 };
const SUBSTATES = { Waiting: 1, Ready: 2, Loaded: 3, Held: 1, Suspended: 2, Completed: 1, Closed: 2 };
const OPEN = ["NotAllowedToStart", "AllowedToStart", "Running", "Interrupted"];
// Annex B.2: bits of ReturnStatus. An error that has a ReturnStatus goes out as Uncertain, since Bad would drop the outputs.
const RETURN = { NoError: 1n << 0n, UnknownJobOrder: 1n << 1n, InvalidStatus: 1n << 3n, NotAccepted: 1n << 4n, InvalidRequest: 1n << 32n };
const MOVES = {
  Start: { from: ["NotAllowedToStart"], to: ["AllowedToStart", "Ready"] },
  RevokeStart: { from: ["AllowedToStart"], to: ["NotAllowedToStart", "Ready"] },
  Pause: { from: ["Running"], to: ["Interrupted", "Held"] },
  Resume: { from: ["Interrupted"], to: ["Running"] },
  Stop: { from: ["Running", "Interrupted"], to: ["Ended", "Closed"] },
  Abort: { from: OPEN, to: ["Aborted"] },
};
export const METHODS = ["Store", "StoreAndStart", "Update", "Cancel", "Clear", ...Object.keys(MOVES)];

export class JobShop {
  /** `receiver` and `provider` are instances; `limit` is MaxDownloadableJobOrders. */
  constructor(addressSpace, name, receiver, provider, log, limit = 8) {
    Object.assign(this, { addressSpace, name, receiver, provider, log, limit, orders: new Map() });
    this.index = addressSpace.getNamespaceIndex(JOB_CONTROL);
    this.publishCatalogue();
    this.bind();
    this.show();
    this.timer = setInterval(() => this.tick(), TICK);
  }

  struct(name, fields) {
    return this.addressSpace.constructExtensionObject(this.addressSpace.findDataType(name, this.index), fields);
  }

  list(node, name, dataType, value) {
    const variable = node.getComponentByName(name, this.index);
    variable?.setValueFromSource(new Variant({ dataType, arrayType: VariantArrayType.Array, value }));
  }

  publishCatalogue() {
    const parameter = (id, dataType, value) => this.struct("ISA95ParameterDataType", { ID: id, value: new Variant({ dataType, value }) });
    const assemble = this.struct("ISA95WorkMasterDataType", {
      ID: "Assemble", description: { text: "Assembles Count pieces" },
      parameters: [parameter("Count", DataType.Int32, 1), parameter("Duration", DataType.Double, 0.3)],
    });
    this.list(this.receiver, "WorkMaster", DataType.ExtensionObject, [assemble]);
    this.list(this.receiver, "EquipmentID", DataType.String, ["Station1"]);
    for (const name of ["MaterialClassID", "MaterialDefinitionID", "PersonnelID", "PhysicalAssetID"])
      this.list(this.receiver, name, DataType.String, []);
    const max = this.receiver.getPropertyByName("MaxDownloadableJobOrders", this.index);
    max.setValueFromSource(new Variant({ dataType: DataType.UInt16, value: this.limit }));
  }

  bind() {
    const answers = {
      Store: (order) => this.store(order, ["NotAllowedToStart", "Ready"]),
      StoreAndStart: (order) => this.store(order, ["AllowedToStart", "Ready"]),
      Update: (order) => this.update(order),
      Cancel: (id) => this.remove(id, ["NotAllowedToStart", "AllowedToStart"]),
      Clear: (id) => this.remove(id, ["Ended", "Aborted"]),
    };
    for (const [name, move] of Object.entries(MOVES)) answers[name] = (id) => this.move(id, move);
    for (const name of METHODS) {
      this.receiver.getMethodByName(name, this.index).bindMethod(async (inputs, _context) => this.answer(name, answers[name], inputs));
    }
    const provide = (name, act) => this.provider.getMethodByName(name, this.index).bindMethod(async (inputs, _context) => act(inputs[0].value));
    provide("RequestJobResponseByJobOrderID", (id) => this.responseById(id));
    provide("RequestJobResponseByJobOrderState", (states) => this.responsesByState(states ?? []));
  }

  answer(name, act, inputs) {
    const subject = inputs[0].value;
    const id = typeof subject === "string" ? subject : subject?.jobOrderID;
    const bits = id ? act(subject) : RETURN.InvalidRequest;
    this.log(name, typeof subject === "string" ? [subject] : [plain(subject)], { shop: this.name, returned: bits });
    this.show();
    return {
      statusCode: bits === RETURN.NoError ? StatusCodes.Good : StatusCodes.Uncertain,
      outputArguments: [returned(bits)],
    };
  }

  store(order, state) {
    if (this.orders.has(order.jobOrderID) || this.orders.size >= this.limit) return RETURN.NotAccepted;
    if (order.workMasterID?.length && order.workMasterID[0].ID !== "Assemble") return RETURN.NotAccepted;
    this.orders.set(order.jobOrderID, { order, state, progress: 0, started: null, ended: null });
    return RETURN.NoError;
  }

  update(order) {
    const job = this.orders.get(order.jobOrderID);
    if (!job) return RETURN.UnknownJobOrder;
    if (!["NotAllowedToStart", "AllowedToStart"].includes(job.state[0])) return RETURN.InvalidStatus;
    job.order = order;
    return RETURN.NoError;
  }

  remove(id, from) {
    const job = this.orders.get(id);
    if (!job) return RETURN.UnknownJobOrder;
    if (!from.includes(job.state[0])) return RETURN.InvalidStatus;
    this.orders.delete(id);
    return RETURN.NoError;
  }

  move(id, { from, to }) {
    const job = this.orders.get(id);
    if (!job) return RETURN.UnknownJobOrder;
    if (!from.includes(job.state[0])) return RETURN.InvalidStatus;
    this.enter(job, to);
    return RETURN.NoError;
  }

  enter(job, state) {
    job.state = state;
    if (state[0] === "Running") job.started ??= new Date();
    if (state[0] === "Ended" || state[0] === "Aborted") job.ended = new Date();
    this.log("state", [job.order.jobOrderID, ...state], { shop: this.name });
  }

  tick() {
    let moved = false;
    for (const job of this.orders.values()) moved = this.advance(job) || moved;
    if (moved) this.show();
  }

  advance(job) {
    if (job.state[0] === "AllowedToStart") {
      job.waited = (job.waited ?? 0) + TICK;
      if (job.waited < 60) return false;
      this.enter(job, ["Running"]);
      return true;
    }
    if (job.state[0] !== "Running") return false;
    job.progress += TICK / 1000;
    if (job.progress < parameterOf(job.order, "Duration", 0.3)) return false;
    this.enter(job, parameterOf(job.order, "Fail", false) ? ["Aborted"] : ["Ended", "Completed"]);
    return true;
  }

  states([state, substate]) {
    const one = (text, number, path) =>
      this.struct("ISA95StateDataType", { browsePath: { elements: path }, stateText: { text }, stateNumber: number });
    const below = { targetName: { namespaceIndex: this.index, name: `${state}Substates` }, includeSubtypes: true };
    return [one(state, STATES[state], []), ...(substate ? [one(substate, SUBSTATES[substate], [below])] : [])];
  }

  show() {
    const jobs = [...this.orders.values()];
    const orders = jobs.map((job) => this.struct("ISA95JobOrderAndStateDataType", { jobOrder: job.order, state: this.states(job.state) }));
    this.list(this.receiver, "JobOrderList", DataType.ExtensionObject, orders);
    this.list(this.provider, "JobOrderResponseList", DataType.ExtensionObject, jobs.map((job) => this.response(job)));
  }

  response(job) {
    const count = parameterOf(job.order, "Count", 1);
    const made = job.state[0] === "Ended" && job.state[1] === "Completed" ? count : 0;
    const value = new Variant({ dataType: DataType.Int32, value: made });
    return this.struct("ISA95JobResponseDataType", {
      jobResponseID: `${job.order.jobOrderID}-response`, jobOrderID: job.order.jobOrderID,
      ...(job.started && { startTime: job.started }), ...(job.ended && { endTime: job.ended }),
      jobState: this.states(job.state), jobResponseData: [this.struct("ISA95ParameterDataType", { ID: "Made", value })],
    });
  }

  responseById(id) {
    const job = this.orders.get(id);
    const value = job ? this.response(job) : this.struct("ISA95JobResponseDataType", {});
    return {
      statusCode: job ? StatusCodes.Good : StatusCodes.Uncertain,
      outputArguments: [
        new Variant({ dataType: DataType.ExtensionObject, value }),
        returned(job ? RETURN.NoError : RETURN.UnknownJobOrder),
      ],
    };
  }

  responsesByState(states) {
    const wanted = new Set(states.map((s) => s.stateNumber));
    const found = [...this.orders.values()].filter((job) => wanted.has(STATES[job.state[0]])).map((job) => this.response(job));
    const value = new Variant({ dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value: found });
    return { statusCode: StatusCodes.Good, outputArguments: [value, returned(RETURN.NoError)] };
  }
}

function returned(bits) {
  const words = [Number(bits >> 32n), Number(bits & 0xffffffffn)];
  return new Variant({ dataType: DataType.UInt64, arrayType: VariantArrayType.Scalar, value: words });
}

function parameterOf(order, id, otherwise) {
  return order.jobOrderParameters?.find((p) => p.ID === id)?.value?.value ?? otherwise;
}

function plain(order) {
  const parameters = Object.fromEntries((order?.jobOrderParameters ?? []).map((p) => [p.ID, p.value?.value]));
  return { id: order?.jobOrderID, work_master: order?.workMasterID?.[0]?.ID, parameters };
}
