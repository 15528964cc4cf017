import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

import { NOT_FOUND, VALIDATION, refused, until } from "./checks.mjs";
import * as triggers from "./v1-triggers.mjs";

const ASSET = "USD/2";
const HUGE = 10n ** 30n; // beyond every machine integer and exact float
const LARGE = 2n ** 53n - 1n; // the last that this SDK reads exactly
const SIGNAL = "conformance.continue";
const WAIT = { wait_event: { event: SIGNAL } };
const UNKNOWN = "00000000-0000-4000-8000-000000000000";

export const v1Operations = [
  getServerInfo,
  createWorkflow,
  listWorkflows,
  getWorkflow,
  runWorkflow,
  listInstances,
  getInstance,
  getInstanceHistory,
  getInstanceStageHistory,
  sendEvent,
  cancelEvent,
  triggers.createTrigger,
  triggers.listTriggers,
  triggers.readTrigger,
  triggers.listTriggersOccurrences,
  triggers.deleteTrigger,
  deleteWorkflow,
].map((run) => ({ version: "v1", name: run.name, run }));

async function getServerInfo({ api }) {
  const reply = await api.getServerInfoOrchestration();
  assert.equal(reply.statusCode, 200);
  assert.ok(reply.serverInfo.version, "there is a version");
}

// workflows

function sendStage(ledger) {
  return {
    send: {
      source: { account: { id: "world", ledger } },
      destination: { account: { id: "${account}", ledger } },
      amount: { asset: ASSET, amount: "${amount}" },
    },
  };
}

function payingStages(ledger) {
  return [
    sendStage(ledger),
    { delay: { duration: "1ms" } },
    { update: { account: { id: "${account}", ledger, metadata: { paid: "yes" } } } },
    WAIT,
  ];
}

async function createWorkflow(life) {
  const stages = payingStages(life.ledger);
  life.paying = await life.create(stages);
  life.waiting = await life.create([WAIT]);
  assert.ok(life.paying.id);
  assert.notEqual(life.paying.id, life.waiting.id);
  assert.deepEqual(life.paying.config, { name: life.tag, stages });
  assert.ok(life.paying.createdAt instanceof Date && life.paying.updatedAt >= life.paying.createdAt);
  await refused("no stages", VALIDATION, () => life.create([]));
  await refused("an unknown stage", VALIDATION, () => life.create([{ pay: {} }]));
  await refused("no body", VALIDATION, () => life.api.createWorkflow());
}

async function listWorkflows(life) {
  const listed = await life.workflows();
  assert.deepEqual(listed[life.paying.id], life.paying);
  assert.deepEqual(listed[life.waiting.id], life.waiting);
}

async function getWorkflow(life) {
  const reply = await life.api.getWorkflow({ flowId: life.paying.id });
  assert.equal(reply.statusCode, 200);
  assert.deepEqual(reply.getWorkflowResponse.data, life.paying);
  await refused("an unknown workflow", NOT_FOUND, () => life.api.getWorkflow({ flowId: UNKNOWN }));
}

async function runWorkflow(life) {
  const requestBody = { account: life.account, amount: String(HUGE) };
  life.instance = await life.start({ workflowID: life.paying.id, requestBody, wait: false });
  assert.equal(life.instance.workflowID, life.paying.id);
  assert.ok(life.instance.id);
  assert.equal(life.instance.terminated, false);
  assert.equal(life.instance.terminatedAt, undefined);
  const missing = { workflowID: life.paying.id, requestBody: {} };
  await refused("variables are missing", VALIDATION, () => life.start(missing));
  await refused("an unknown workflow", NOT_FOUND, () => life.start({ workflowID: UNKNOWN }));
  await runAndWait(life);
}

async function runAndWait(life) {
  const short = await life.create([sendStage(life.ledger)]);
  const requestBody = { account: life.account, amount: String(LARGE) };
  const ended = await life.start({ workflowID: short.id, requestBody, wait: true });
  assert.equal(ended.terminated, true);
  assert.ok(ended.terminatedAt instanceof Date);
  assert.equal(ended.error, undefined);
  assert.equal(ended.status.length, 1);
  const [activity] = await life.stageHistory(0, ended.id);
  assert.equal(checkTransaction(life, activity), LARGE);
}

// instances

async function listInstances(life) {
  const running = await life.instances({ workflowID: life.paying.id, running: true });
  assert.deepEqual(Object.keys(running), [life.instance.id]);
  assert.equal(running[life.instance.id].workflowID, life.paying.id);
  // What the official command line sends when no flag is given.
  const unfiltered = await life.instances({ workflowID: "", running: false });
  assert.ok(life.instance.id in unfiltered);
  assert.deepEqual(await life.instances({ workflowID: life.waiting.id }), {});
}

async function getInstance(life) {
  const isAtLast = (one) => one.terminated || one.status?.length === 4;
  const told = await until("the last stage has begun", () => life.read(life.instance.id), isAtLast);
  assert.equal(told.id, life.instance.id);
  assert.deepEqual(told.createdAt, life.instance.createdAt);
  assert.equal(told.terminated, false);
  assert.equal(told.error, undefined);
  assert.deepEqual(told.status.map(({ stage }) => stage), [0, 1, 2, 3]);
  for (const status of told.status) {
    assert.equal(status.instanceID, life.instance.id);
    assert.equal(status.error, undefined);
    assert.equal(status.terminatedAt instanceof Date, status.stage < 3);
  }
  await refused("an unknown instance", NOT_FOUND, () => life.read(UNKNOWN));
}

async function getInstanceHistory(life) {
  const reply = await life.api.getInstanceHistory({ instanceID: life.instance.id });
  assert.equal(reply.statusCode, 200);
  const history = reply.getWorkflowInstanceHistoryResponse.data;
  assert.deepEqual(history.map(({ name }) => name), ["send", "delay", "update", "wait_event"]);
  const [send, delay, update, wait] = history;
  checkSend(life, send.input);
  showEmpty(life, "delay", delay.input);
  showEmpty(life, "update", update.input);
  assert.deepEqual(wait.input, { event: SIGNAL });
  assert.deepEqual(history.map(({ terminated }) => terminated), [true, true, true, false]);
  assert.deepEqual(history.map(({ terminatedAt }) => terminatedAt instanceof Date), [true, true, true, false]);
}

function checkSend(life, input) {
  // The SDK adds the description's defaults.
  const account = (id) => ({ account: { id, ledger: life.ledger, throughAccount: "world", allowOverdraft: false } });
  const { amount, ...rest } = input;
  assert.deepEqual(rest, { source: account("world"), destination: account(life.account) });
  assert.equal(amount.asset, ASSET);
  assert.equal(showRounded(life, "the amount of a send", amount.amount), HUGE);
}

/** Trap T11: this SDK tries StageSend before the others, and every object is one. */
function showEmpty(life, what, input) {
  if (isDeepStrictEqual(input, {})) {
    life.show("T11", `${what} decodes as an empty send`);
  }
}

/** Contract 1.2: JSON.parse reads numbers as doubles. What is rounded in that way, and only that, is shown. */
function showRounded(life, what, amount) {
  if (amount === HUGE || amount !== BigInt(Number(HUGE))) {
    return amount;
  }
  life.show("bigint", `${what} beyond 2^53 is rounded to a double`);
  return HUGE;
}

async function getInstanceStageHistory(life) {
  const [sent, updated, waiting] = await Promise.all([0, 2, 3].map((number) => life.stageHistory(number)));
  assert.deepEqual([sent.length, updated.length, waiting.length], [1, 1, 0]);
  const amount = checkTransaction(life, sent[0]);
  assert.equal(showRounded(life, "the amount of a posting", amount), HUGE);
  assert.equal(updated[0].name, "AddAccountMetadata");
  const input = { id: life.account, ledger: life.ledger, metadata: { paid: "yes" } };
  assert.deepEqual(updated[0].input, { addAccountMetadata: input });
  assert.equal(updated[0].output, undefined);
  await refused("a stage beyond the last", NOT_FOUND, () => life.stageHistory(4));
}

/** Hands out the amount, which the SDK may have rounded. */
function checkTransaction(life, activity) {
  assert.equal(activity.name, "CreateTransaction");
  assert.equal(activity.attempt, 1);
  assert.ok(activity.terminated && activity.terminatedAt instanceof Date);
  const { error, lastFailure, nextExecution } = activity;
  assert.deepEqual([error, lastFailure, nextExecution], [undefined, undefined, undefined]);
  const { ledger, data: asked } = activity.input.createTransaction;
  const { data: booked } = activity.output.createTransaction;
  const [{ amount }] = asked.postings;
  assert.equal(ledger, life.ledger);
  assert.deepEqual(asked.postings, [{ amount, asset: ASSET, source: "world", destination: life.account }]);
  assert.deepEqual(booked.postings, asked.postings);
  assert.ok(booked.reference);
  assert.equal(booked.reference, asked.reference);
  assert.equal(typeof booked.id, "bigint");
  assert.ok(booked.timestamp instanceof Date);
  assert.equal(booked.reverted, false);
  return amount;
}

async function sendEvent(life) {
  const send = (instanceID) => life.api.sendEvent({ instanceID, requestBody: { name: SIGNAL } });
  assert.equal((await send(life.instance.id)).statusCode, 204);
  assert.equal((await life.readEnded(life.instance.id)).error, undefined);
  await refused("an event for an ended instance", VALIDATION, () => send(life.instance.id));
  await refused("an event for nobody", NOT_FOUND, () => send(UNKNOWN));
}

async function cancelEvent(life) {
  const cancel = (instanceID) => life.api.cancelEvent({ instanceID });
  const doomed = await life.start({ workflowID: life.waiting.id }); // no variables at all
  assert.equal((await cancel(doomed.id)).statusCode, 204);
  assert.equal((await life.readEnded(doomed.id)).error, "canceled");
  await refused("aborted twice", VALIDATION, () => cancel(doomed.id));
  await refused("abort of nobody", NOT_FOUND, () => cancel(UNKNOWN));
}

async function deleteWorkflow(life) {
  const remove = (flowId) => life.api.deleteWorkflow({ flowId });
  assert.equal((await remove(life.waiting.id)).statusCode, 204);
  assert.ok(!(life.waiting.id in (await life.workflows())), "it is gone from the list");
  const kept = await life.api.getWorkflow({ flowId: life.waiting.id });
  assert.deepEqual(kept.getWorkflowResponse.data.config, life.waiting.config);
  await refused("a run of a deleted workflow", NOT_FOUND, () => life.start({ workflowID: life.waiting.id }));
  await refused("an unknown workflow", NOT_FOUND, () => remove(UNKNOWN));
}
