/** @file The network faults of RELIABILITY 3.3 against a scripted hub; each test has its row's id. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createTlsServer } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { injectFault } from "../../src/base/fault.js";
import { downloadFile } from "../../src/hub/download.js";
import { openHub, type Hub } from "../../src/hub/hub.js";
import { listFiles, resolveRevision } from "../../src/hub/repository.js";
import { downloadFiles } from "../../src/hub/snapshot.js";
import { bundle } from "../support/bundle.js";
import {
  commitOf,
  digestOf,
  gitSha1Of,
  sendFile,
  sha256Of,
  startHub,
  type Fault,
  type HubServer,
} from "../support/hub-server.js";
import { thrownBy } from "../support/thrown-by.js";

const big = Buffer.alloc(3 << 20, "The quick brown fox jumps over the lazy dog. ");
const small = Buffer.from('{"text": "hello"}\n');
const [oldCommit, commit] = [commitOf("a"), commitOf("b")];
const data = { kind: "dataset" as const, name: "owner/data" };
const pinned = { ...data, commit };

let server: HubServer;
let root: string;
let pauses: number[];

beforeAll(async () => {
  server = await startHub([
    {
      ...data,
      revisions: { main: commit, v1: oldCommit },
      commits: {
        [commit]: {
          "train.bin": { content: big, lfs: true },
          "dir/small.jsonl": { content: small },
        },
        [oldCommit]: { "old.jsonl": { content: small } },
      },
    },
  ]);
});
afterAll(() => server.close());
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "dllm-hub-"));
  pauses = [];
  server.seen.length = 0;
  server.faults.length = 0;
});
afterEach(() => {
  injectFault(undefined);
  rmSync(root, { recursive: true, force: true });
});

function hubAt(
  endpoint: string,
  {
    token,
    offline = false,
    stallMs = 300,
  }: { token?: string; offline?: boolean; stallMs?: number } = {},
): Hub {
  return openHub(
    { endpoint, cacheDirectory: root, offline, ...(token !== undefined && { token }) },
    {
      patience: { attempts: 3, firstPauseMs: 100, stallMs },
      sleep: (ms) => {
        pauses.push(ms);
        return Promise.resolve();
      },
      random: () => 0.5,
    },
  );
}
const hub = (options?: Parameters<typeof hubAt>[1]): Hub => hubAt(server.endpoint, options);

const bigFile = { path: "train.bin", bytes: big.length, digest: sha256Of(big) };
const smallFile = { path: "dir/small.jsonl", bytes: small.length, digest: gitSha1Of(small) };
const blobs = (): string[] => {
  const folder = join(root, "datasets--owner--data/blobs");
  return existsSync(folder) ? readdirSync(folder) : [];
};

async function errorOf(action: Promise<unknown>): Promise<{ exitCode: number; text: string }> {
  const error = await thrownBy(action);
  return { exitCode: error.exitCode, text: error.format() };
}

/** Answers the first `times` requests of a host in place of the server. */
function fault(host: "hub" | "storage", times: number, answer: Fault): void {
  let left = times;
  server.faults.push((request, response) => {
    if (request.host !== host || left === 0) return false;
    left--;
    return answer(request, response);
  });
}

async function closedPort(): Promise<string> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return `http://127.0.0.1:${port}`;
}

test("N1: a hub that is down: the cache where the revision is pinned, else exit 69", async () => {
  const down = await closedPort();
  const first = await errorOf(resolveRevision(hubAt(down), data));
  expect(first.exitCode).toBe(69);
  expect(first.text).toMatch(
    /^dataset owner\/data: the hub does not answer\n {2}cannot reach 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
  );
  expect(pauses).toEqual([50, 100]); // half of 100 and 200 ms: twice as long each time

  expect(await resolveRevision(hub(), data)).toBe(commit);
  await listFiles(hub(), pinned);
  await downloadFile(hub(), pinned, bigFile);
  // Pinned: all from the cache, though nobody answers.
  expect(await resolveRevision(hubAt(down), { ...data, revision: commit })).toBe(commit);
  const listed = await listFiles(hubAt(down), pinned);
  expect(listed.map(({ path }) => path)).toEqual(["dir/small.jsonl", "train.bin"]);
  expect(readFileSync(await downloadFile(hubAt(down), pinned, bigFile)).equals(big)).toBe(true);
  // Not pinned: what "main" is now cannot be known; the error says what it was.
  const unpinned = await errorOf(resolveRevision(hubAt(down), data));
  expect(unpinned.exitCode).toBe(69);
  expect(unpinned.text).toContain(`"main" was ${commit} when last seen`);
  // Asked to stay offline: the last known commit, without any request.
  expect(await resolveRevision(hubAt(down, { offline: true }), data)).toBe(commit);
  const missing = await errorOf(downloadFile(hubAt(down, { offline: true }), pinned, smallFile));
  expect(missing.exitCode).toBe(69);
  expect(missing.text).toContain("HF_HUB_OFFLINE");
});

test("N2: 503, 429 with Retry-After, then success", async () => {
  fault("storage", 1, (_request, response) => {
    response.writeHead(503).end();
    return true;
  });
  fault("storage", 1, (_request, response) => {
    response.writeHead(429, { "retry-after": "7" }).end();
    return true;
  });
  expect(readFileSync(await downloadFile(hub(), pinned, bigFile)).equals(big)).toBe(true);
  expect(pauses).toEqual([50, 7000]);
  fault("hub", 99, (_request, response) => {
    response.writeHead(500, { "x-error-message": "boom\u009b31m" }).end();
    return true;
  });
  const error = await errorOf(resolveRevision(hub(), data));
  expect(error.exitCode).toBe(69);
  expect(error.text).toContain("answered 500: boom\n");
});

test("N2: 429 without Retry-After: pauses that grow, then success", async () => {
  fault("hub", 2, (_request, response) => {
    response.writeHead(429).end();
    return true;
  });
  expect(await resolveRevision(hub(), data)).toBe(commit);
  expect(pauses).toEqual([50, 100]);
});

test("N3: a connection that stands still is given up and resumed where it stopped", async () => {
  const half = big.length >> 1;
  fault("storage", 1, (_request, response) => {
    response.writeHead(200, { "content-length": big.length });
    response.write(big.subarray(0, half)); // and nothing more
    return true;
  });
  expect(readFileSync(await downloadFile(hub(), pinned, bigFile)).equals(big)).toBe(true);
  const ranges = server.seen
    .filter(({ host }) => host === "storage")
    .map(({ headers }) => headers.range);
  expect(ranges).toEqual([undefined, `bytes=${half}-`]);
  // No answer at all, every time.
  fault("hub", 99, () => true);
  const silent = await errorOf(downloadFile(hub({ stallMs: 50 }), pinned, smallFile));
  expect(silent.exitCode).toBe(69);
  expect(silent.text).toContain("no answer within 0.05 s");
});

test("N4: truncated, of wrong length, of another range, of another version: never published", async () => {
  const third = Math.floor(big.length / 3);
  fault("storage", 1, (_request, response) => {
    response.writeHead(200, { "content-length": big.length });
    response.write(big.subarray(0, third), () => response.destroy());
    return true;
  });
  fault("storage", 1, (_request, response) => {
    response.writeHead(206, {
      "content-range": `bytes 0-${big.length - 1}/${big.length}`,
      "content-length": big.length,
    });
    response.end(big);
    return true;
  });
  expect(readFileSync(await downloadFile(hub(), pinned, bigFile)).equals(big)).toBe(true);
  const ranges = server.seen
    .filter(({ host }) => host === "storage")
    .map(({ headers }) => headers.range);
  // What was sent before the connection broke may have arrived in part.
  expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/), undefined]);

  fault("hub", 99, (request, response) => {
    sendFile({ content: small.subarray(3) }, request, response);
    return true;
  });
  const short = await errorOf(downloadFile(hub(), pinned, smallFile));
  expect(short).toEqual({
    exitCode: 65,
    text:
      "dataset owner/data: dir/small.jsonl: the hub sends other content than it lists\n" +
      `  found:    another version, etag ${gitSha1Of(small.subarray(3))}\n` +
      `  expected: 18 bytes, git sha1 ${smallFile.digest}\n` +
      "  a proxy or a mirror in between may have changed it; nothing of it was kept",
  });
  server.faults.length = 0;
  fault("hub", 99, (_request, response) => {
    response.writeHead(200, { "content-length": 5 }).end("short");
    return true;
  });
  expect((await errorOf(downloadFile(hub(), pinned, smallFile))).text).toContain(
    "found:    5 bytes",
  );
  expect(blobs()).toEqual([bigFile.digest]);
});

test("N5: the right size and wrong bytes: both digests, exit 65, after one more try", async () => {
  const wrong = Buffer.from(big);
  wrong[1234]! ^= 1;
  fault("storage", 1, (request, response) => {
    sendFile({ content: wrong, lfs: true }, request, response);
    return true;
  });
  expect(readFileSync(await downloadFile(hub(), pinned, bigFile)).equals(big)).toBe(true); // the second try
  rmSync(join(root, "datasets--owner--data"), { recursive: true });
  fault("storage", 2, (request, response) => {
    sendFile({ content: wrong, lfs: true }, request, response);
    return true;
  });
  const error = await errorOf(downloadFile(hub(), pinned, bigFile));
  expect(error.exitCode).toBe(65);
  expect(error.text).toContain(`found:    ${big.length} bytes, sha256 ${sha256Of(wrong)}`);
  expect(error.text).toContain(`expected: ${big.length} bytes, sha256 ${bigFile.digest}`);
  expect(blobs()).toEqual([]);
  // A blob in the cache that has rotted is fetched anew.
  const path = await downloadFile(hub(), pinned, bigFile);
  writeFileSync(join(root, "datasets--owner--data/blobs", bigFile.digest), wrong);
  expect(readFileSync(await downloadFile(hub(), pinned, bigFile)).equals(big)).toBe(true);
  expect(readFileSync(path).equals(big)).toBe(true);
});

test.each([
  ["a login page", "<!DOCTYPE html><html><body>sign in</body></html>", "a web page (HTML)"],
  [
    "a pointer",
    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "a Git LFS pointer",
  ],
])("N6: %s in place of a file is named", async (_name, body, named) => {
  fault("storage", 9, (_request, response) => {
    response.writeHead(200, { "content-type": "text/plain" }).end(body);
    return true;
  });
  const error = await errorOf(downloadFile(hub(), pinned, bigFile));
  expect(error.exitCode).toBe(65);
  expect(error.text).toContain(named);
  // Chunked, so without a length to compare.
  server.faults.length = 0;
  fault("storage", 9, (_request, response) => {
    response.writeHead(200, {});
    response.write(body);
    response.end();
    return true;
  });
  expect((await errorOf(downloadFile(hub(), pinned, bigFile))).text).toContain(named);
  expect(blobs()).toEqual([]);
});

test("N6: a login page in place of an answer; a gzip bomb stops at the expected size", async () => {
  fault("hub", 1, (_request, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<html>sign in</html>");
    return true;
  });
  const page = await errorOf(resolveRevision(hub(), data));
  expect(page.exitCode).toBe(65);
  expect(page.text).toContain("found: a web page (HTML)");
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  fault("storage", 9, (_request, response) => {
    response
      .writeHead(200, { "content-encoding": "gzip", "content-length": bomb.length })
      .end(bomb);
    return true;
  });
  const error = await errorOf(downloadFile(hub(), pinned, bigFile));
  expect(error.exitCode).toBe(65);
  expect(error.text).toContain("found:    more bytes than that");
  expect(blobs()).toEqual([]);
});

test("N7: killed while downloading, the next start goes on from there", async () => {
  const script = await bundle("test/hub/download-once.ts");
  const code = await downloadInChild(script, { DLLM_FAULT: "write@incomplete:3:kill" });
  expect(code).toBe("SIGKILL");
  const incomplete = join(root, "datasets--owner--data/blobs", `${bigFile.digest}.incomplete`);
  const kept = readFileSync(incomplete);
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.equals(big.subarray(0, kept.length))).toBe(true);
  server.seen.length = 0;
  expect(await downloadInChild(script, {})).toBe(0);
  expect(server.seen.at(-1)!.headers.range).toBe(`bytes=${kept.length}-`);
  expect(blobs()).toEqual([bigFile.digest]);
});

/** Downloads the big file in a process of its own; returns its exit code or signal. */
async function downloadInChild(
  script: string,
  env: Record<string, string>,
): Promise<number | string | null> {
  const settings = { endpoint: server.endpoint, cacheDirectory: root, offline: false };
  const child = spawn(process.execPath, [script, JSON.stringify([settings, pinned, bigFile])], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
}

test("N10: a token goes to the hub and to no other host", async () => {
  const withToken = hub({ token: "hf_secret-canary" });
  await resolveRevision(withToken, data);
  await downloadFiles(withToken, pinned, [bigFile, smallFile]);
  const by = (host: string) => server.seen.filter((request) => request.host === host);
  expect(by("hub").length).toBe(3);
  expect(by("storage").length).toBe(1);
  for (const { headers } of by("hub"))
    expect(headers.authorization).toBe("Bearer hf_secret-canary");
  expect(JSON.stringify(by("storage"))).not.toContain("canary");
  fault("hub", 1, (_request, response) => {
    response.writeHead(302, { location: "file:///etc/passwd" }).end();
    return true;
  });
  const bad = await errorOf(resolveRevision(withToken, data));
  expect(bad.exitCode).toBe(69);
  expect(bad.text).not.toContain("canary");
});

test("N11: a certificate that is not trusted, and a dead proxy, are named", async () => {
  const directory = mkdtempSync(join(tmpdir(), "dllm-tls-"));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const made = spawnSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      key,
      "-out",
      cert,
      "-days",
      "1",
    ].concat(["-subj", "/CN=localhost"]),
  );
  expect(made.status).toBe(0);
  const secure = createTlsServer(
    { key: readFileSync(key), cert: readFileSync(cert) },
    (_, response) => response.end("{}"),
  );
  await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
  const { port } = secure.address() as { port: number };
  const error = await errorOf(resolveRevision(hubAt(`https://127.0.0.1:${port}`), data));
  secure.closeAllConnections();
  secure.close();
  rmSync(directory, { recursive: true });
  expect(error.exitCode).toBe(69);
  expect(error.text).toContain(`the certificate of 127.0.0.1:${port} is not trusted: self-signed`);
  expect(error.text).toContain("NODE_EXTRA_CA_CERTS");
  expect(pauses).toEqual([]); // repeating would not help

  const proxy = (await closedPort()).replace("//", "//user:secret@");
  const proxied = openHub(
    {
      endpoint: "http://hub.invalid",
      cacheDirectory: root,
      offline: false,
      proxy: { http: proxy },
    },
    { patience: { attempts: 1 } },
  );
  const dead = await errorOf(resolveRevision(proxied, data));
  expect(dead.exitCode).toBe(69);
  expect(dead.text).toMatch(
    /cannot reach hub\.invalid through the proxy http:\/\/127\.0\.0\.1:\d+: /,
  );
  expect(dead.text).not.toContain("secret");
});

test.each([
  [401, 77, "the hub refuses access"],
  [403, 77, "the hub refuses access"],
  [404, 66, "not found on the hub"],
])("an answer of %i ends with exit %i, at once", async (status, exitCode, message) => {
  fault("hub", 1, (_request, response) => {
    response.writeHead(status).end();
    return true;
  });
  const error = await errorOf(resolveRevision(hub(), data));
  expect(error.exitCode).toBe(exitCode);
  expect(error.text).toContain(`dataset owner/data: ${message}`);
  expect(error.text).toContain("HF_TOKEN");
  expect(server.seen).toHaveLength(1);
});

test("the cache is laid out as Python's; a second download asks nothing; nothing is printed", async () => {
  const prints = vi.spyOn(process.stdout, "write");
  await resolveRevision(hub(), data);
  const files = await listFiles(hub(), pinned);
  const paths = await downloadFiles(hub(), pinned, files);
  expect(prints.mock.calls).toEqual([]);
  prints.mockRestore();
  const folder = join(root, "datasets--owner--data");
  expect(paths).toEqual([
    join(folder, "snapshots", commit, "dir/small.jsonl"),
    join(folder, "snapshots", commit, "train.bin"),
  ]);
  expect(readFileSync(join(folder, "refs/main"), "utf8")).toBe(commit);
  expect(blobs().sort()).toEqual(files.map(({ digest }) => digest).sort());
  server.seen.length = 0;
  await listFiles(hub(), pinned);
  await downloadFiles(hub(), pinned, files);
  expect(server.seen).toEqual([]);
  // What Python's huggingface_hub left behind serves offline too.
  rmSync(join(folder, "listings"), { recursive: true });
  expect(await listFiles(hub({ offline: true }), pinned)).toEqual(files);
});

test("a tag, and a listing that leads out of the cache", async () => {
  expect(await resolveRevision(hub(), { ...data, revision: "v1" })).toBe(oldCommit);
  for (const path of [
    "../../x",
    "/etc/passwd",
    "a/../b",
    "a\\b",
    "a//b",
    "C:/x",
    "~/x",
    "a/\u0000",
  ]) {
    server.repositories[0]!.commits[oldCommit] = { [path]: { content: small } };
    const error = await errorOf(listFiles(hub(), { ...data, commit: oldCommit }));
    expect(error.exitCode).toBe(65);
    expect(error.text).toContain("unsafe or incomplete listing");
  }
  for (const name of ["../x", "a/../b", "a/b/c", "/a", "a--b", ""]) {
    expect((await errorOf(resolveRevision(hub(), { ...data, name }))).exitCode).toBe(65);
  }
  for (const revision of ["../x", "a b", "-x", "/x"]) {
    expect((await errorOf(resolveRevision(hub(), { ...data, revision }))).exitCode).toBe(65);
  }
  expect(digestOf({ content: small })).toBe(smallFile.digest);
});
