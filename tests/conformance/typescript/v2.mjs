import assert from "node:assert/strict";

import { NOT_FOUND, VALIDATION, refusedV2 as refused, until } from "./checks.mjs";

const HUGE = 10n ** 30n;
const LARGE = 2n ** 53n - 1n; // the last that this SDK reads exactly
const SIGNAL = "conformance.continue";
const WAIT = { wait_event: { event: SIGNAL } };
const UNKNOWN = "00000000-0000-4000-8000-000000000000";

/** They start where V1 ended, with workflows of their own. */
export const v2Operations = [
  v2GetServerInfo,
  v2CreateWorkflow,
  v2ListWorkflows,
  v2GetWorkflow,
  v2RunWorkflow,
  v2ListInstances,
  v2GetInstance,
  v2GetInstanceHistory,
  v2GetInstanceStageHistory,
  v2SendEvent,
  v2CancelEvent,
  v2CreateTrigger,
  v2ListTriggers,
  v2ReadTrigger,
  testTrigger,
  v2ListTriggersOccurrences,
  v2DeleteTrigger,
  v2DeleteWorkflow,
].map((run) => ({ version: "v2", name: run.name, run: ({ second }) => run(second) }));

/** What a run of the operations of V2 has made so far. */
export class SecondLife {
  paying; // send, wait_event
  waiting; // wait_event
  instance;
  trigger;

  constructor(first, sdk) {
    this.first = first;
    this.api = sdk.orchestration.v2;
  }

  async create(stages) {
    const reply = await this.api.createWorkflow({ name: this.first.tag, stages });
    assert.equal(reply.statusCode, 201);
    return reply.v2CreateWorkflowResponse.data;
  }

  async start(request) {
    const reply = await this.api.runWorkflow(request);
    assert.equal(reply.statusCode, 201);
    return reply.v2RunWorkflowResponse.data;
  }

  async read(instanceID) {
    return (await this.api.getInstance({ instanceID })).v2GetWorkflowInstanceResponse.data;
  }

  async workflows(request) {
    return (await this.api.listWorkflows(request)).v2ListWorkflowsResponse.cursor;
  }

  async instances(request) {
    return (await this.api.listInstances(request)).v2ListRunsResponse.cursor;
  }

  async triggers(request) {
    return (await this.api.listTriggers(request)).v2ListTriggersResponse.cursor;
  }

  async occurrences(request) {
    const reply = await this.api.listTriggersOccurrences({ triggerID: this.trigger.id, ...request });
    return reply.v2ListTriggersOccurrencesResponse.cursor;
  }
}

/** A list to its end by pages of this size, and back to its beginning: both ways give the same rows. */
async function walked(pageSize, read, filters = {}) {
  const pages = [await read({ pageSize, ...filters })];
  assert.equal(pages[0].previous, undefined, "the first page has no previous");
  while (pages.at(-1).hasMore) {
    assert.ok(pages.at(-1).next, "there is more, and a next");
    pages.push(await read({ cursor: pages.at(-1).next }));
  }
  let here = pages.at(-1);
  for (const page of pages.slice(0, -1).reverse()) {
    here = await read({ cursor: here.previous });
    assert.deepEqual(here.data, page.data);
  }
  assert.equal(here.previous, undefined);
  assert.deepEqual([...new Set(pages.map((page) => page.pageSize))], [pageSize]);
  return pages.flatMap(({ data }) => data);
}

async function v2GetServerInfo({ api }) {
  const reply = await api.getServerInfo();
  assert.equal(reply.statusCode, 200);
  assert.ok(reply.v2ServerInfo.version);
}

async function v2CreateWorkflow(life) {
  const account = (id) => ({ account: { id, ledger: life.first.ledger } });
  const amount = { asset: "USD/2", amount: "${amount}" };
  const stages = [{ send: { source: account("world"), destination: account("${account}"), amount } }, WAIT];
  life.paying = await life.create(stages);
  life.waiting = await life.create([WAIT]);
  assert.deepEqual(life.paying.config, { name: life.first.tag, stages });
  await refused("no stages", VALIDATION, () => life.create([]));
  await refused("no body", VALIDATION, () => life.api.createWorkflow());
}

async function v2ListWorkflows(life) {
  const rows = await walked(1, (request) => life.workflows(request));
  const listed = Object.fromEntries(rows.map((row) => [row.id, row]));
  assert.equal(Object.keys(listed).length, rows.length, "no row is repeated");
  assert.deepEqual(listed[life.paying.id], life.paying);
  assert.deepEqual(listed[life.waiting.id], life.waiting);
  await refused("a page of none", VALIDATION, () => life.workflows({ pageSize: 0 }));
  await refused("a cursor that is none", VALIDATION, () => life.workflows({ cursor: "nothing" }));
}

async function v2GetWorkflow(life) {
  const reply = await life.api.getWorkflow({ flowId: life.paying.id });
  assert.equal(reply.statusCode, 200);
  assert.deepEqual(reply.v2GetWorkflowResponse.data, life.paying);
  await refused("an unknown workflow", NOT_FOUND, () => life.api.getWorkflow({ flowId: UNKNOWN }));
}

async function v2RunWorkflow(life) {
  const requestBody = { account: life.first.account, amount: String(LARGE) };
  life.instance = await life.start({ workflowID: life.paying.id, requestBody });
  assert.equal(life.instance.workflowID, life.paying.id);
  await life.start({ workflowID: life.waiting.id }); // no variables at all
  await life.start({ workflowID: life.waiting.id });
  await refused("variables are missing", VALIDATION, () => life.start({ workflowID: life.paying.id }));
}

async function v2ListInstances(life) {
  const filters = { workflowID: life.waiting.id, running: true };
  const rows = await walked(1, (request) => life.instances(request), filters);
  assert.deepEqual(rows.map(({ workflowID }) => workflowID), [life.waiting.id, life.waiting.id]);
  assert.equal((await life.instances({ running: false })).pageSize, 15);
}

async function v2GetInstance(life) {
  const isAtLast = (one) => one.terminated || one.status?.length === 2;
  const told = await until("the last stage has begun", () => life.read(life.instance.id), isAtLast);
  assert.deepEqual([told.id, told.terminated, told.error], [life.instance.id, false, undefined]);
  await refused("an unknown instance", NOT_FOUND, () => life.read(UNKNOWN));
}

async function v2GetInstanceHistory(life) {
  const reply = await life.api.getInstanceHistory({ instanceID: life.instance.id });
  const [send, wait] = reply.v2GetWorkflowInstanceHistoryResponse.data;
  assert.deepEqual([send.name, wait.name], ["send", "wait_event"]);
  assert.deepEqual(send.input.amount, { asset: "USD/2", amount: LARGE });
  assert.deepEqual(wait.input, { event: SIGNAL });
}

async function v2GetInstanceStageHistory(life) {
  const read = async (number) => {
    const reply = await life.api.getInstanceStageHistory({ instanceID: life.instance.id, number });
    return reply.v2GetWorkflowInstanceHistoryStageResponse.data;
  };
  const [sent] = await read(0);
  const { data: asked } = sent.input.createTransaction;
  const [booked, ...others] = sent.output.createTransaction.data;
  assert.deepEqual(others, []);
  assert.equal(typeof booked.txid, "bigint");
  assert.equal(booked.postings[0].amount, LARGE);
  assert.deepEqual(booked.postings, asked.postings);
  assert.equal(booked.reference, asked.reference);
  await refused("a stage beyond the last", NOT_FOUND, () => read(2));
}

async function v2SendEvent(life) {
  const send = (instanceID) => life.api.sendEvent({ instanceID, requestBody: { name: SIGNAL } });
  assert.equal((await send(life.instance.id)).statusCode, 204);
  const ended = await until("it has ended", () => life.read(life.instance.id), (one) => one.terminated);
  assert.equal(ended.error, undefined);
  assert.ok(ended.terminatedAt instanceof Date);
  await refused("an event for an ended instance", VALIDATION, () => send(life.instance.id));
}

async function v2CancelEvent(life) {
  const cancel = (instanceID) => life.api.cancelEvent({ instanceID });
  const doomed = await life.start({ workflowID: life.waiting.id });
  assert.equal((await cancel(doomed.id)).statusCode, 204);
  const ended = await until("it has ended", () => life.read(doomed.id), (one) => one.terminated);
  assert.equal(ended.error, "canceled");
  await refused("abort of nobody", NOT_FOUND, () => cancel(UNKNOWN));
}

// triggers

async function v2CreateTrigger(life) {
  const data = {
    event: life.first.event,
    workflowID: life.waiting.id,
    name: `Second ${life.first.tag}`,
    filter: 'event.kind == "a"',
    vars: { a: "event.a", b: "event.a.b.c" },
  };
  const reply = await life.api.createTrigger(data);
  assert.equal(reply.statusCode, 201);
  life.trigger = reply.v2CreateTriggerResponse.data;
  const { id, createdAt, ...echoed } = life.trigger;
  assert.deepEqual(echoed, data);
  assert.ok(id && createdAt instanceof Date);
  await refused("an empty trigger", VALIDATION, () => life.api.createTrigger({ event: "", workflowID: "" }));
}

async function v2ListTriggers(life) {
  const named = await life.triggers({ name: `second ${life.first.tag}`, pageSize: 10 });
  assert.deepEqual(named.data, [life.trigger]);
  assert.deepEqual((await life.triggers({ name: `nobody's ${life.first.tag}` })).data, []);
}

async function v2ReadTrigger(life) {
  const reply = await life.api.readTrigger({ triggerID: life.trigger.id });
  assert.deepEqual(reply.v2ReadTriggerResponse.data, life.trigger);
  await refused("an unknown trigger", NOT_FOUND, () => life.api.readTrigger({ triggerID: UNKNOWN }));
}

async function testTrigger(life) {
  const tried = async (requestBody, triggerID = life.trigger.id) => {
    const reply = await life.api.testTrigger({ triggerID, requestBody });
    assert.equal(reply.statusCode, 200);
    return reply.v2TestTriggerResponse.data;
  };
  const { filter, variables } = await tried({ kind: "a", a: String(HUGE) });
  assert.equal(filter.match, true);
  assert.deepEqual(variables.a, { value: String(HUGE) });
  assert.ok(variables.b.error, "a variable without a value says why");
  assert.equal((await tried({ kind: "b" })).filter.match, false);
  await refused("an unknown trigger", NOT_FOUND, () => tried({}, UNKNOWN));
}

async function v2ListTriggersOccurrences(life) {
  await life.first.publish({ kind: "a", a: 41 });
  await life.first.publish({ kind: "a", a: 41 });
  await until("two occurrences", () => life.occurrences({}), ({ data }) => data.length >= 2);
  const rows = await walked(1, (request) => life.occurrences(request));
  assert.equal(rows.length, 2);
  for (const { triggerID, event, error, workflowInstanceID } of rows) {
    assert.deepEqual([triggerID, event], [life.trigger.id, { kind: "a", a: 41 }]);
    assert.ok(error, "a variable cannot be had, and it says so");
    assert.equal(workflowInstanceID, undefined);
  }
}

async function v2DeleteTrigger(life) {
  const remove = () => life.api.deleteTrigger({ triggerID: life.trigger.id });
  assert.equal((await remove()).statusCode, 204);
  await refused("deleted twice", NOT_FOUND, remove);
}

async function v2DeleteWorkflow(life) {
  const remove = () => life.api.deleteWorkflow({ flowId: life.waiting.id });
  assert.equal((await remove()).statusCode, 204);
  const rows = await walked(15, (request) => life.workflows(request));
  assert.ok(!rows.some(({ id }) => id === life.waiting.id), "it is gone from the list");
  await refused("deleted twice", NOT_FOUND, remove);
}
