/** @file A `fetch` for @huggingface/hub: our retries, errors and token rules under its calls. */
import { DllmError, ExitCode } from "../base/errors.js";
import { recogniseForeignContent } from "./foreign-content.js";
import { TransientError, bodyPieces, sendOnce, startRequestTimer, withRetries } from "./http.js";
import type { Fetch, Hub } from "./hub.js";

// A listing of 100,000 files is about 30 MB.
const LARGEST_ANSWER_BYTES = 64 * 2 ** 20;

/**
 * Returns a `fetch` that gives only good answers, of JSON, read to their end.
 * @param what what is asked for, for errors: `dataset a/b`
 */
export function hubFetch(hub: Hub, what: string): Fetch {
  return (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const method = init?.method ?? "GET";
    if (method !== "GET") throw new TypeError(`hubFetch: ${method} ${url}`);
    return withRetries(hub, what, () => readAnswer(hub, what, url));
  };
}

async function readAnswer(hub: Hub, what: string, url: string): Promise<Response> {
  const timer = startRequestTimer(hub);
  try {
    const { response, first } = await sendOnce(hub, { url, what }, timer.abort.signal);
    timer.begun();
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of bodyPieces(hub, response, timer.abort)) {
      bytes += piece.byteLength;
      if (bytes > LARGEST_ANSWER_BYTES) throw notAnAnswer(what, `more than ${bytes} bytes`);
      pieces.push(piece);
    }
    const text = Buffer.concat(pieces);
    checkJson(what, text);
    const link = first.get("link");
    return new Response(text, {
      headers: { "content-type": "application/json", ...(link !== null && { link }) },
    });
  } finally {
    timer.done();
  }
}

/**
 * Returns what a call of the hub's client gives.
 * @throws DllmError 65 when the client cannot make sense of the answer
 */
export async function understood<T>(what: string, asking: Promise<T>): Promise<T> {
  return asking.catch((error: unknown) => {
    if (!(error instanceof TypeError)) throw error;
    throw new DllmError(`${what}: the hub's answer is not of the form that it should have`, {
      exitCode: ExitCode.invalidInput,
      details: [error.message, "HF_ENDPOINT must name a hub"],
      cause: error,
    });
  });
}

function checkJson(what: string, bytes: Buffer): void {
  try {
    JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    const found = recogniseForeignContent(bytes);
    if (found !== undefined) throw notAnAnswer(what, found);
    throw new TransientError(`${what}: an answer that is no JSON`, { cause });
  }
}

function notAnAnswer(what: string, found: string): DllmError {
  return new DllmError(`${what}: the hub's answer is no JSON`, {
    exitCode: ExitCode.invalidInput,
    details: [
      `found: ${found}`,
      "is a login page of the network in between? HF_ENDPOINT must name a hub",
    ],
  });
}
