import assert from "node:assert/strict";

import { NOT_FOUND, VALIDATION, refused, until } from "./checks.mjs";

const UNKNOWN = "00000000-0000-4000-8000-000000000000";

export async function createTrigger(life) {
  const data = {
    event: life.event,
    workflowID: life.waiting.id,
    name: `Conformance ${life.tag}`,
    filter: 'event.kind == "a"',
    vars: { a: "event.a", b: "'constant'" },
    version: "v1",
  };
  const reply = await life.api.createTrigger(data);
  assert.equal(reply.statusCode, 201);
  life.trigger = reply.createTriggerResponse.data;
  const { id, createdAt, ...echoed } = life.trigger;
  assert.deepEqual(echoed, data);
  assert.ok(id);
  assert.ok(createdAt instanceof Date);
  const bad = { event: life.event, workflowID: life.waiting.id, filter: "event.a +" };
  await refused("a bad filter", VALIDATION, () => life.api.createTrigger(bad));
  await refused("an empty trigger", VALIDATION, () => life.api.createTrigger({ event: "", workflowID: "" }));
}

export async function listTriggers(life) {
  assert.deepEqual(await life.triggers(`conformance ${life.tag}`), { [life.trigger.id]: life.trigger });
  // The official command line sends an empty name when none is given.
  assert.deepEqual((await life.triggers(""))[life.trigger.id], life.trigger);
  assert.deepEqual((await life.triggers(undefined))[life.trigger.id], life.trigger);
  assert.deepEqual(await life.triggers(`nobody's ${life.tag}`), {});
}

export async function readTrigger(life) {
  const reply = await life.api.readTrigger({ triggerID: life.trigger.id });
  assert.equal(reply.statusCode, 200);
  assert.deepEqual(reply.readTriggerResponse.data, life.trigger);
  await refused("an unknown trigger", NOT_FOUND, () => life.api.readTrigger({ triggerID: UNKNOWN }));
}

export async function listTriggersOccurrences(life) {
  assert.deepEqual(await life.occurrences(), []);
  await life.publish({ kind: "a", a: 41 }); // starts an instance
  await life.publish({ kind: "b", a: 42 }); // is kept out by the filter
  await life.publish({ kind: "a" }); // its variables cannot be had
  const found = await until("two occurrences", () => life.occurrences(), (rows) => rows.length >= 2);
  assert.equal(found.length, 2);
  for (const { triggerID, date } of found) {
    assert.equal(triggerID, life.trigger.id);
    assert.ok(date instanceof Date);
  }
  checkFailed(found.find(({ error }) => error));
  checkStarted(life, found.find(({ error }) => !error));
}

function checkFailed(failed) {
  assert.deepEqual(failed.event, { kind: "a" });
  assert.equal(failed.workflowInstance, undefined);
  assert.equal(failed.workflowInstanceID, undefined);
}

function checkStarted(life, started) {
  assert.deepEqual(started.event, { kind: "a", a: 41 });
  assert.ok(started.workflowInstanceID);
  assert.equal(started.workflowInstance.id, started.workflowInstanceID);
  assert.equal(started.workflowInstance.workflowID, life.waiting.id);
}

export async function deleteTrigger(life) {
  const remove = (triggerID) => life.api.deleteTrigger({ triggerID });
  assert.equal((await remove(life.trigger.id)).statusCode, 204);
  assert.ok(!(life.trigger.id in (await life.triggers())), "it is gone from the list");
  await refused("an unknown trigger", NOT_FOUND, () => remove(UNKNOWN));
}
