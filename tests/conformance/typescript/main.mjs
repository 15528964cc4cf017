// The official TypeScript SDK, unmodified, runs every operation against a live server.
//
// One line of JSON per operation says what was sent and received; the first wrong thing ends the program with status 1.
// It decides what is wrong with decoded values; the caller checks the bytes, which this SDK forgives some of.

import process from "node:process";
import { parseArgs } from "node:util";

import { SDK } from "@formance/formance-sdk";

import { Life } from "./life.mjs";
import { Recorder } from "./recorder.mjs";
import { v1Operations } from "./v1.mjs";
import { v2Operations } from "./v2.mjs";

const USAGE = "node main.mjs --url URL --ledger NAME [--client-id ID --client-secret SECRET [--token-url URL]]";

function readArguments() {
  const text = { type: "string" };
  const { values } = parseArgs({
    options: { url: text, ledger: text, "client-id": text, "client-secret": text, "token-url": text },
  });
  if (!values.url || !values.ledger) {
    console.error(USAGE);
    process.exit(2);
  }
  return values;
}

function makeSDK(given, recorder) {
  const options = { serverURL: given.url, httpClient: recorder.client };
  if (given["client-id"]) {
    options.security = {
      clientID: given["client-id"],
      clientSecret: given["client-secret"],
      tokenURL: given["token-url"],
    };
  }
  return new SDK(options);
}

/** Runs them in order; false at the first that fails. */
async function runAll(given, operations) {
  const recorder = new Recorder();
  const life = new Life(given, makeSDK(given, recorder), recorder);
  for (const { version, name, run } of operations) {
    let failure;
    try {
      await run(life);
    } catch (error) {
      failure = String(error?.stack ?? error);
    }
    const line = { version, operation: name, calls: recorder.take(), bugs: life.takeBugs(), failure };
    console.log(JSON.stringify(line));
    if (failure) {
      console.error(version, name, failure);
      return false;
    }
  }
  return true;
}

process.exitCode = (await runAll(readArguments(), [...v1Operations, ...v2Operations])) ? 0 : 1;
