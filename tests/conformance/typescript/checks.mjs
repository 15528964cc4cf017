import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { ErrorT } from "@formance/formance-sdk/sdk/models/orchestration/error.js";
import { V2Error } from "@formance/formance-sdk/sdk/models/orchestration/v2error.js";

const PATIENCE_MS = 20_000;
const PAUSE_MS = 20;

export const VALIDATION = { errorCode: "VALIDATION", statusCode: 400 };
export const NOT_FOUND = { errorCode: "NOT_FOUND", statusCode: 404 };

/** The call must be refused with the declared error, decoded by the SDK. */
export async function refused(what, wanted, call) {
  await refusedAs(ErrorT, what, wanted, call);
}

export async function refusedV2(what, wanted, call) {
  await refusedAs(V2Error, what, wanted, call);
}

async function refusedAs(declared, what, { errorCode, statusCode }, call) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof declared, `${what}: ${error?.name}: ${error?.message}`);
    assert.deepEqual([error.errorCode, error.statusCode], [errorCode, statusCode], what);
    assert.ok(error.errorMessage, `${what}: no message`);
    return true;
  });
}

/** Reads again until `isSo(value)`, and hands out that value. */
export async function until(what, read, isSo) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const value = await read();
    if (isSo(value)) {
      return value;
    }
    assert.ok(performance.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`);
    await sleep(PAUSE_MS);
  }
}
