import assert from "node:assert/strict";

import { until } from "./checks.mjs";
import { SecondLife } from "./v2.mjs";

/** What one run of the operations has made so far: each builds on those before it. */
export class Life {
  paying; // send, delay, update, wait_event
  waiting; // wait_event
  instance;
  trigger;
  #bugs = [];

  constructor(given, sdk, recorder) {
    this.api = sdk.orchestration.v1;
    this.second = new SecondLife(this, sdk);
    this.url = given.url;
    this.ledger = given.ledger;
    this.recorder = recorder;
    this.tag = `typescript-${Date.now().toString(36)}-${process.pid}`;
    this.account = `conformance:${this.tag}`;
    this.event = `CONFORMANCE_${this.tag}`;
  }

  /** A known fault of the SDK, shown anew by each run: one that is gone must leave the caller's list. */
  show(trap, shown) {
    this.#bugs.push({ trap, shown });
  }

  takeBugs() {
    return this.#bugs.splice(0);
  }

  async create(stages) {
    const reply = await this.api.createWorkflow({ name: this.tag, stages });
    assert.equal(reply.statusCode, 201);
    return reply.createWorkflowResponse.data;
  }

  async start(request) {
    const reply = await this.api.runWorkflow(request);
    assert.equal(reply.statusCode, 201);
    return reply.runWorkflowResponse.data;
  }

  async read(instanceID) {
    const reply = await this.api.getInstance({ instanceID });
    assert.equal(reply.statusCode, 200);
    return reply.getWorkflowInstanceResponse.data;
  }

  async readEnded(instanceID) {
    const ended = await until("it has ended", () => this.read(instanceID), (one) => one.terminated);
    assert.ok(ended.terminatedAt instanceof Date, "an ended instance has terminatedAt");
    return ended;
  }

  async workflows() {
    return byID((await this.api.listWorkflows()).listWorkflowsResponse.data);
  }

  async instances(request) {
    return byID((await this.api.listInstances(request)).listRunsResponse.data);
  }

  async stageHistory(number, instanceID = this.instance.id) {
    const reply = await this.api.getInstanceStageHistory({ instanceID, number });
    assert.equal(reply.statusCode, 200);
    return reply.getWorkflowInstanceHistoryStageResponse.data;
  }

  async triggers(name) {
    return byID((await this.api.listTriggers({ name })).listTriggersResponse.data);
  }

  async occurrences() {
    const reply = await this.api.listTriggersOccurrences({ triggerID: this.trigger.id });
    assert.equal(reply.statusCode, 200);
    return reply.listTriggersOccurrencesResponse.data;
  }

  /** Sends an event the way a service would. The SDK has no call for it, so it borrows the token of its last write. */
  async publish(payload) {
    const { authorization } = this.recorder;
    const reply = await fetch(`${this.url}/api/orchestration/ext/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(authorization && { Authorization: authorization }) },
      body: JSON.stringify({
        type: this.event,
        app: "conformance",
        version: "v1",
        date: "2024-05-01T10:00:00Z",
        payload,
      }),
    });
    assert.equal(reply.status, 202, await reply.text());
  }
}

function byID(rows) {
  return Object.fromEntries(rows.map((row) => [row.id, row]));
}
