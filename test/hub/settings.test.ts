/** @file Which environment variable wins. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readHubSettings } from "../../src/hub/settings.js";

const home = mkdtempSync(join(tmpdir(), "dllm-home-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

test.each([
  [{}, "<home>/.cache/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/xdg" }, "/xdg/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/xdg", HF_HOME: "/hf" }, "/hf/hub"],
  [{ HF_HOME: "~/hf" }, "<home>/hf/hub"],
  [{ HF_HOME: "/hf", HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
  [{ HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/new" }, "/new"],
  [{ HF_HUB_CACHE: "" }, "<home>/.cache/huggingface/hub"],
])("the cache with %j is %s", (env, expected) => {
  expect(readHubSettings(env, home).cacheDirectory.replace(home, "<home>")).toBe(expected);
});

test("the token: HF_TOKEN, HF_TOKEN_PATH, $HF_HOME/token", () => {
  writeFileSync(join(home, "token"), " hf_home\n");
  writeFileSync(join(home, "other"), "hf_other\n");
  const [HF_HOME, HF_TOKEN_PATH, HF_TOKEN] = [home, join(home, "other"), "hf_env"];
  expect(readHubSettings({}, home).token).toBeUndefined();
  expect(readHubSettings({ HF_HOME }, home).token).toBe("hf_home");
  expect(readHubSettings({ HF_HOME, HF_TOKEN_PATH }, home).token).toBe("hf_other");
  expect(readHubSettings({ HF_HOME, HF_TOKEN_PATH, HF_TOKEN }, home).token).toBe("hf_env");
});

test("endpoint, offline, proxies", () => {
  expect(readHubSettings({}, home)).toMatchObject({
    endpoint: "https://huggingface.co",
    offline: false,
  });
  expect(readHubSettings({ HF_ENDPOINT: "http://mirror:8080/hub/" }, home).endpoint).toBe(
    "http://mirror:8080/hub",
  );
  for (const bad of ["mirror", "ftp://x", "https://user:secret@x", "https://x?y"]) {
    expect(() => readHubSettings({ HF_ENDPOINT: bad }, home)).toThrow(`HF_ENDPOINT is "${bad}"`);
  }
  for (const on of ["1", "TRUE", "Yes", "on"]) {
    expect(readHubSettings({ HF_HUB_OFFLINE: on }, home).offline).toBe(true);
  }
  expect(readHubSettings({ HF_HUB_OFFLINE: "0" }, home).offline).toBe(false);
  expect(readHubSettings({ HTTPS_PROXY: "http://p:1", NO_PROXY: "local" }, home).proxy).toEqual({
    https: "http://p:1",
    except: "local",
  });
});
