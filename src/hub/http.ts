/**
 * @file One HTTP request to the hub: redirects followed by hand so that the token goes to the
 * endpoint alone, a timer for silent connections, retries with pauses, and errors that say what
 * to do. Rules: RELIABILITY 2.8.
 */
import { DllmError, ExitCode, errorMessage } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import type { Hub } from "./hub.js";

/** A failure that may pass: the request is worth repeating. */
export class TransientError extends Error {
  override readonly name: string = "TransientError";
  /** The server's wish. */
  readonly retryAfterMs: number | undefined;
  /** Something new was received before it failed. */
  readonly progressed: boolean;

  constructor(
    message: string,
    options: { retryAfterMs?: number | undefined; progressed?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
    this.progressed = options.progressed ?? false;
  }
}

export interface HubRequest {
  url: string;
  headers?: Readonly<Record<string, string>>;
  /** What the answer is, for errors: `dataset a/b`. */
  what: string;
}

export interface HubAnswer {
  response: Response;
  /** The endpoint's own headers: after a redirect to a storage host, those of the first answer. */
  first: Headers;
}

const MAX_REDIRECTS = 10;

/**
 * Sends one GET request; returns an answer of 200, 206 or 416.
 * @param signal ends the request and the reading of its body
 * @throws TransientError for 408, 429, 5xx and broken connections; DllmError 66, 69 or 77 for
 * answers that repeating will not change
 */
export async function sendOnce(
  hub: Hub,
  { url, headers = {}, what }: HubRequest,
  signal: AbortSignal,
): Promise<HubAnswer> {
  const { endpoint, token } = hub.settings;
  checkOnline(hub, what);
  const home = new URL(endpoint).origin;
  let at = new URL(url);
  let first: Headers | undefined;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const response = await hub
      .fetch(at, {
        redirect: "manual",
        signal,
        headers: {
          "user-agent": "dllm",
          ...headers,
          ...(token !== undefined && at.origin === home && { authorization: `Bearer ${token}` }),
        },
      })
      .catch((cause: unknown) => {
        throw connectionError(hub, at, what, cause);
      });
    first ??= response.headers;
    const location = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      at = redirectTarget(at, location, what);
      continue;
    }
    if (response.status === 200 || response.status === 206 || response.status === 416) {
      return { response, first };
    }
    await response.body?.cancel().catch(() => undefined);
    throw statusError(hub, at, what, response);
  }
  throw new DllmError(`${what}: more than ${MAX_REDIRECTS} redirects`, {
    exitCode: ExitCode.unavailable,
    details: [`the last one to ${shown(at)}`],
  });
}

/** @throws DllmError 69 for what is not in the cache when nothing may be asked of the network */
export function checkOnline({ settings }: Hub, what: string): void {
  if (!settings.offline) return;
  throw new DllmError(`${what}: not in the cache, and HF_HUB_OFFLINE forbids asking the hub`, {
    exitCode: ExitCode.unavailable,
    details: [`looked in ${settings.cacheDirectory}`, "unset HF_HUB_OFFLINE to download it"],
  });
}

function redirectTarget(from: URL, location: string, what: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  const isWeb = to?.protocol === "https:" || to?.protocol === "http:";
  if (to === undefined || !isWeb || (from.protocol === "https:" && to.protocol === "http:")) {
    throw new DllmError(`${what}: ${shown(from)} redirects to ${sanitize(location)}`, {
      exitCode: ExitCode.unavailable,
      details: ["expected an https address"],
    });
  }
  return to;
}

/** An address without what may be secret in it. */
function shown(url: URL): string {
  return sanitize(`${url.origin}${url.pathname}`);
}

const TLS_ERROR = /CERT|TLS|SSL|UNABLE_TO_|EPROTO/;

/** Returns why a connection failed: worth repeating, unless the certificate is refused. */
function connectionError(hub: Hub, url: URL, what: string, cause: unknown): Error {
  if (cause instanceof DllmError || cause instanceof TransientError) return cause;
  const reasons: string[] = [];
  const codes: string[] = [];
  for (let at = cause; at instanceof Error; at = at.cause) {
    reasons.push(at.message);
    if ("code" in at && typeof at.code === "string") codes.push(at.code);
  }
  const reason = sanitize(
    `${reasons.at(-1) ?? errorMessage(cause)}${codes[0] ? ` (${codes[0]})` : ""}`,
  );
  if (codes.some((code) => TLS_ERROR.test(code))) {
    return new DllmError(`${what}: the certificate of ${url.host} is not trusted: ${reason}`, {
      exitCode: ExitCode.unavailable,
      details: [
        "where a proxy inspects connections, name its certificate in NODE_EXTRA_CA_CERTS",
        `if that is not the hub, correct HF_ENDPOINT (it is ${hub.settings.endpoint})`,
      ],
      cause,
    });
  }
  const proxy = hub.settings.proxy?.[url.protocol === "http:" ? "http" : "https"];
  const through = proxy === undefined ? "" : ` through the proxy ${withoutCredentials(proxy)}`;
  return new TransientError(`cannot reach ${url.host}${through}: ${reason}`, { cause });
}

function withoutCredentials(address: string): string {
  return sanitize(address.replace(/\/\/[^@/]*@/, "//"));
}

function statusError(hub: Hub, url: URL, what: string, response: Response): Error {
  const { status } = response;
  const text = sanitize(response.headers.get("x-error-message") ?? "").slice(0, 500);
  const answer = `${shown(url)} answered ${status}${text === "" ? "" : `: ${text}`}`;
  if (status === 408 || status === 429 || status >= 500) {
    const retryAfterMs = retryAfter(response.headers.get("retry-after"));
    return new TransientError(answer, { retryAfterMs });
  }
  const code = response.headers.get("x-error-code");
  if (code === "RevisionNotFound") {
    return new DllmError(`${what}: the hub has no such revision`, {
      exitCode: ExitCode.notFound,
      details: [answer, "it may have been renamed or removed: name another branch, tag or commit"],
    });
  }
  if (status === 404 || code === "RepoNotFound") {
    return new DllmError(`${what}: not found on the hub`, {
      exitCode: ExitCode.notFound,
      details: [
        answer,
        hub.settings.token === undefined
          ? "check the name; what is private needs a token in HF_TOKEN"
          : "check the name, and that the token in HF_TOKEN may read it",
      ],
    });
  }
  if (status === 401 || status === 403) {
    return new DllmError(`${what}: the hub refuses access`, {
      exitCode: ExitCode.noPermission,
      details: [
        answer,
        ...(code === "GatedRepo"
          ? ["it is gated: log in on the hub, open its page there, and accept its conditions"]
          : []),
        hub.settings.token === undefined
          ? "set HF_TOKEN to a token of an account that may read it"
          : "the token in HF_TOKEN may not read it: accept its conditions on the hub, or use another",
      ],
    });
  }
  return new DllmError(`${what}: unexpected answer of the hub`, {
    exitCode: ExitCode.unavailable,
    details: [answer],
  });
}

/** Seconds, or a date. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/**
 * Runs an action until it succeeds, with growing random pauses between attempts; progress starts
 * the count and the deadline anew.
 * @throws DllmError 69 when patience is at its end, and at once what is not a TransientError
 */
export async function withRetries<T>(
  hub: Hub,
  what: string,
  action: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { attempts, firstPauseMs, longestPauseMs, deadlineMs } = hub.patience;
  let start = hub.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TransientError)) throw error;
      if (error.progressed) {
        attempt = 1;
        start = hub.now();
      }
      const backoff = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1)) * hub.random();
      const pause = error.retryAfterMs ?? backoff;
      if (attempt >= attempts || hub.now() - start + pause > deadlineMs) {
        throw new DllmError(`${what}: the hub does not answer`, {
          exitCode: ExitCode.unavailable,
          details: [
            error.message,
            `gave up after ${attempt} attempts; run the command again later to go on from there`,
          ],
          cause: error,
        });
      }
      hub.log(`${what}: ${error.message}; trying again in ${(pause / 1000).toFixed(1)} s`);
      await hub.sleep(pause, signal);
    }
  }
}

/**
 * Yields the body of an answer. A connection that all but stands still is given up.
 * @param abort ends the connection
 * @throws TransientError when it breaks off or stalls; `progressed` is left to the caller
 */
export async function* bodyPieces(
  hub: Hub,
  response: Response,
  abort: AbortController,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const { stallMs, stallBytes } = hub.patience;
  let recent = 0;
  // A slow disk is not the connection's fault.
  let waiting = false;
  const timer = setInterval(() => {
    if (waiting && recent < stallBytes) abort.abort(new TransientError(stalled(recent, stallMs)));
    recent = 0;
  }, stallMs);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      waiting = true;
      const { done, value } = await reader.read();
      waiting = false;
      if (done) return;
      recent += value.byteLength;
      yield value;
    }
  } catch (cause) {
    if (cause instanceof TransientError) throw cause;
    throw connectionError(hub, new URL(response.url || hub.settings.endpoint), "download", cause);
  } finally {
    clearInterval(timer);
    await reader.cancel().catch(() => undefined);
  }
}

function stalled(bytes: number, ms: number): string {
  return `the connection stands still: ${bytes} bytes in ${ms / 1000} s`;
}

/** Ends a request: when asked to, or when no answer begins within the stall time. */
export interface RequestTimer {
  abort: AbortController;
  /** The answer has begun. */
  begun(): void;
  /** The request is over. */
  done(): void;
}

export function startRequestTimer(hub: Hub, signal?: AbortSignal): RequestTimer {
  const abort = new AbortController();
  const { stallMs } = hub.patience;
  const timer = setTimeout(() => {
    abort.abort(new TransientError(`no answer within ${stallMs / 1000} s`));
  }, stallMs);
  const forward = (): void => abort.abort(signal?.reason);
  if (signal?.aborted) forward();
  signal?.addEventListener("abort", forward);
  return {
    abort,
    begun: () => clearTimeout(timer),
    done() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", forward);
    },
  };
}
