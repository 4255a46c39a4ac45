/**
 * @file The hub as the rest of the program holds it: settings, patience, and the outside world.
 * Every request goes through http.ts, every file through download.ts.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { HubSettings } from "./settings.js";

export type Fetch = typeof globalThis.fetch;

/** How long to try before giving up. */
export interface Patience {
  /** Attempts in a row without any progress. */
  attempts: number;
  /** Upper bound of the first pause; each further one may be twice as long. */
  firstPauseMs: number;
  longestPauseMs: number;
  /** Longest time in all without any progress. */
  deadlineMs: number;
  /** A connection that brings less than `stallBytes` in this time is given up. */
  stallMs: number;
  stallBytes: number;
}

export interface Hub {
  readonly settings: HubSettings;
  readonly patience: Patience;
  fetch: Fetch;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** In [0, 1), to spread retries of many processes. */
  random(): number;
  /** Monotonic milliseconds. */
  now(): number;
  /** A line about what happens meanwhile: retries, files taken from the cache. */
  log(line: string): void;
}

const defaultPatience: Patience = {
  attempts: 6,
  firstPauseMs: 1000,
  longestPauseMs: 60_000,
  deadlineMs: 10 * 60_000,
  stallMs: 30_000,
  stallBytes: 1024,
};

/** Returns the hub of some settings; nothing is asked of it yet. */
export function openHub(
  settings: HubSettings,
  overrides: Partial<Omit<Hub, "settings" | "patience">> & { patience?: Partial<Patience> } = {},
): Hub {
  const { patience, ...world } = overrides;
  return {
    settings,
    fetch: settings.proxy === undefined ? globalThis.fetch : proxiedFetch(settings.proxy),
    sleep: (ms, signal) => delay(ms, undefined, { signal: signal ?? new AbortController().signal }),
    random: Math.random,
    now: () => performance.now(),
    log: () => undefined,
    ...world,
    patience: { ...defaultPatience, ...patience },
  };
}

/** Node's own fetch knows no proxies; loaded only where there is one. */
function proxiedFetch({ http, https, except }: NonNullable<HubSettings["proxy"]>): Fetch {
  let loaded: Promise<Fetch> | undefined;
  return async (input, init) => {
    loaded ??= import("undici").then((undici) => {
      const dispatcher = new undici.EnvHttpProxyAgent({
        httpProxy: http ?? "",
        httpsProxy: https ?? "",
        noProxy: except ?? "",
      });
      const fetchThrough = undici.fetch as unknown as (
        url: unknown,
        options: object,
      ) => Promise<Response>;
      return (url, options) => fetchThrough(url, { ...options, dispatcher });
    });
    return (await loaded)(input, init);
  };
}
