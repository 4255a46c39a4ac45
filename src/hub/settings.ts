/**
 * @file Where the hub is, who asks, and where its files are kept: the environment variables of
 * Python's huggingface_hub, read here and nowhere else.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { DllmError, ExitCode, errorCode } from "../base/errors.js";
import { ioError } from "../base/fs.js";

export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  /** Sent to the endpoint's own host only. */
  token?: string;
  /** Absolute; in the layout of Python's huggingface_hub. */
  cacheDirectory: string;
  /** Nothing may be asked of the network. */
  offline: boolean;
  /** Proxies for http and https, and the hosts to reach without one. */
  proxy?: { http?: string; https?: string; except?: string };
}

export type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_ENDPOINT = "https://huggingface.co";
const TRUE_VALUES = ["1", "on", "yes", "true"];

/**
 * Returns the settings in an environment.
 *
 * - cache: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub,
 *   ~/.cache/huggingface/hub
 * - token: HF_TOKEN, the file HF_TOKEN_PATH, the file $HF_HOME/token
 *
 * @throws DllmError 2 when HF_ENDPOINT is no http(s) address
 */
export function readHubSettings(env: Environment, home: string = homedir()): HubSettings {
  const set = (name: string): string | undefined => env[name]?.trim() || undefined;
  const path = (name: string): string | undefined => {
    const value = set(name);
    if (value === undefined) return undefined;
    const expanded = value === "~" || value.startsWith("~/") ? join(home, value.slice(1)) : value;
    return isAbsolute(expanded) ? expanded : resolve(expanded);
  };
  const hubHome =
    path("HF_HOME") ?? join(path("XDG_CACHE_HOME") ?? join(home, ".cache"), "huggingface");
  const token = set("HF_TOKEN") ?? readToken(path("HF_TOKEN_PATH") ?? join(hubHome, "token"));
  const http = set("http_proxy") ?? set("HTTP_PROXY") ?? set("all_proxy") ?? set("ALL_PROXY");
  const https = set("https_proxy") ?? set("HTTPS_PROXY") ?? set("all_proxy") ?? set("ALL_PROXY");
  const except = set("no_proxy") ?? set("NO_PROXY");
  return {
    endpoint: endpointOf(set("HF_ENDPOINT") ?? DEFAULT_ENDPOINT),
    ...(token !== undefined && { token }),
    cacheDirectory: path("HF_HUB_CACHE") ?? path("HUGGINGFACE_HUB_CACHE") ?? join(hubHome, "hub"),
    offline: TRUE_VALUES.includes((set("HF_HUB_OFFLINE") ?? "").toLowerCase()),
    ...((http ?? https) !== undefined && {
      proxy: {
        ...(http !== undefined && { http }),
        ...(https !== undefined && { https }),
        ...(except !== undefined && { except }),
      },
    }),
  };
}

function endpointOf(text: string): string {
  if (/^https?:\/\/[^/?#@\s]+[^?#@\s]*$/.test(text) && URL.canParse(text)) {
    return text.replace(/\/+$/, "");
  }
  throw new DllmError(`HF_ENDPOINT is "${text}"`, {
    exitCode: ExitCode.usage,
    details: [`expected an address such as ${DEFAULT_ENDPOINT}`],
  });
}

function readToken(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch (cause) {
    if (errorCode(cause) === "ENOENT" || errorCode(cause) === "ENOTDIR") return undefined;
    throw ioError("read the token", path, cause);
  }
}
