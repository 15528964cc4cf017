import { HTTPClient } from "@formance/formance-sdk";

/** Keeps what was on the wire, through the hooks the SDK offers for it: the SDK itself stays as it is. */
export class Recorder {
  /** What the SDK's last write carried. */
  authorization = "";
  #calls = [];

  constructor() {
    this.client = new HTTPClient();
    this.client.addHook("response", (reply, request) => this.#record(reply.clone(), request));
  }

  /** What was recorded since this was last called. */
  take() {
    return this.#calls.splice(0);
  }

  async #record(reply, request) {
    const authorization = request.headers.get("authorization") ?? "";
    if (request.method !== "GET" && authorization) {
      this.authorization = authorization;
    }
    const { pathname, search } = new URL(request.url);
    this.#calls.push({
      method: request.method,
      path: pathname + search,
      authorization,
      status: reply.status,
      contentType: reply.headers.get("content-type") ?? "",
      body: await reply.text(),
    });
  }
}
