/**
 * @file What a user is told about a dataset that is not what it should be: names and options that
 * mean nothing, folders and files that hold nothing, repositories and answers of the hub. Each
 * case has its exit code and the sentence that says what to do next.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { runCli } from "../../src/cli.js";
import {
  commitOf,
  startHub,
  type Fault,
  type HubServer,
  type ServedFile,
} from "../support/hub-server.js";
import { fakeIo } from "../support/recipes.js";

const base = mkdtempSync(join(tmpdir(), "dllm-strange-data-"));
const text = (content: string): ServedFile => ({ content: Buffer.from(content) });
const rows = text('{"text": "a"}\n{"text": "b"}\n');
const dataset = (name: string, files: Record<string, ServedFile>) => ({
  kind: "dataset" as const,
  name,
  revisions: { main: commitOf("a") },
  commits: { [commitOf("a")]: files },
});
let server: HubServer;

beforeAll(async () => {
  const local: Record<string, string> = {
    "tok.txt": "some words",
    "one.jsonl": '{"text": "only"}\n',
    "empty.jsonl": "",
    "empty.json": "",
    "empty.parquet": "",
    "empty.arrow": "",
    "empty.jsonl.gz": "",
    "what.xyz": "x",
    "mixed/a.jsonl": '{"text": "x"}\n',
    "mixed/b.txt": "a paragraph",
    "twice/train.jsonl": '{"text": "x"}\n',
    "twice/train.csv": "text\ny\n",
    "images/x.png": "x",
    "folder/train.jsonl": '{"text": "x"}\n',
  };
  for (const [file, content] of Object.entries(local)) {
    mkdirSync(join(base, file, ".."), { recursive: true });
    writeFileSync(join(base, file), content);
  }
  server = await startHub([
    dataset("some/ok", { "train.jsonl": rows }),
    dataset("some/empty", {}),
    dataset("some/script", { "script.py": text("import os"), "README.md": text("# A dataset") }),
    dataset("some/images", { "train/a.png": text("x") }),
    dataset("some/configs", { "a/train.jsonl": rows, "b/train.jsonl": rows }),
    dataset("some/validation", { "validation.jsonl": rows, "test.jsonl": rows }),
    dataset("some/mixed", { "data/a.jsonl": rows, "data/b.jsonl": rows, "notes.txt": text("n") }),
  ]);
  process.env["HF_ENDPOINT"] = server.endpoint;
});
afterEach(() => (server.faults.length = 0));
afterAll(async () => {
  delete process.env["HF_ENDPOINT"];
  delete process.env["HF_HUB_CACHE"];
  await server.close();
  rmSync(base, { recursive: true, force: true });
});

let caches = 0;
async function preview(args: string): Promise<string> {
  process.env["HF_HUB_CACHE"] = join(base, `cache-${caches++}`);
  const file = join(base, "r.yaml");
  writeFileSync(
    file,
    `name: x
model: {config: {hidden_size: 64, num_attention_heads: 4}}
tokenizer: {train: {vocab_size: 300, dataset_args: tok.txt}}
pretrain: {dataset_args: ${args}, max_length: 16, max_steps: 2}
`,
  );
  const io = fakeIo();
  const code = await runCli(["preview", file, "--rows", "0"], io);
  const said = code === 0 ? io.stderr() + io.stdout() : io.stderr();
  // Lines are broken where the terminal ends.
  return `${code} ${said.replaceAll(/\n {4}(?=\S)/g, " ").replaceAll(base, "<base>")}`;
}

const names: [string, string][] = [
  ['"|"', "65 .*no dataset is named"],
  ['"a[b"', "66 .*no such file or folder[^]*options end the name: name\\[train:1000,test:100\\]"],
  ['"one.jsonl[train]"', '65 .*entry "train" is not key:value'],
  ['"one.jsonl[train:-5]"', "65 .*row limit train:-5\n[^]*expected digits, such as train:1000"],
  ['"one.jsonl[test:5.0]"', "65 .*row limit test:5.0\n"],
  ['"one.jsonl[max_samples:0]"', '65 .*max_samples is "0"'],
  ['"one.jsonl[foo:1]"', '65 .*unknown option "foo"'],
  [
    '"one.jsonl[weight:1] + tok.txt"',
    '65 .*"tok.txt" has no weight, and others of the mix have one',
  ],
  ['"one.jsonl[split:validation]"', '65 .*"one.jsonl" is a file here, which has no split'],
  ['"one.jsonl[name:x]"', '65 .*"one.jsonl" is a file here, which has no config'],
  ['"folder[revision:x]"', '65 .*"folder" is a folder here, which has no revision\n'],
  ["https://huggingface.co/datasets/some/ok", '66 [^]*on the hub it is called "some/ok"\n'],
  ["hf://datasets/some/ok", '66 [^]*on the hub it is called "some/ok"\n'],
  ["some/ok@main", '66 [^]*on the hub it is called "some/ok", with revision main\n'],
  ["some/where/else", "66 .*no such file or folder"],
];

const files: [string, string][] = [
  ["empty.jsonl", "0 [^]*there is no row to train on"],
  ['"one.jsonl[test:1]"', "0 [^]*there is no row to train on"],
  ['"one.jsonl[max_samples:100]"', "0 [^]*all 1 rows"],
  ["empty.json", "65 .*<base>/empty.json: nothing in it"],
  ["empty.parquet", "65 .*<base>/empty.parquet: not a whole parquet file\n[^]*found: 0 bytes"],
  ["empty.arrow", "65 .*<base>/empty.arrow: it has no schema\n[^]*expected an Arrow file"],
  ["empty.jsonl.gz", "65 .*<base>/empty.jsonl.gz: cannot be decompressed"],
  ["what.xyz", '65 .*files ending in ".xyz" cannot be read\n[^]*expected one of .parquet, .jsonl'],
  ["mixed", "65 .*files of several formats\n[^]*found: a.jsonl, b.txt\n[^]*name one file"],
  ["twice", '65 .*several files for split "train"\n[^]*found: train.csv, train.jsonl'],
  ["images", "65 .*nothing to read in the folder\n"],
];

const repositories: [string, string][] = [
  ["some/nothing", "66 .*dataset some/nothing: not found on the hub\n"],
  ["some/empty", "65 [^]*no file that can be read\n[^]*found: an empty repository\n"],
  [
    "some/script",
    "65 [^]*no file that can be read\n[^]*it is made by a script \\(script.py\\), which is not run",
  ],
  ["some/images", "65 [^]*found: train/a.png\n[^]*expected .parquet, .jsonl"],
  ["some/configs", "65 .*several configurations\n[^]*found: a, b\n[^]*some/configs\\[name:a\\]\n"],
  ['"some/configs[name:c]"', '65 .*no configuration "c"\n[^]*found: a, b\n'],
  [
    '"some/configs[name:a,split:dev]"',
    '65 .*no split "dev"\n[^]*found: train\n[^]*some/configs\\[name:a,split:train\\]\n',
  ],
  [
    "some/validation",
    '65 .*no split "train"\n[^]*found: test, validation\n[^]*some/validation\\[split:validation\\]\n',
  ],
  [
    '"some/ok[revision:gone]"',
    "66 .*dataset some/ok@gone: the hub has no such revision\n[^]*name another branch, tag or commit\n",
  ],
  [`"some/ok[revision:${commitOf("f")}]"`, "66 .*the hub has no such revision\n[^]*f{40}"],
  ['"some/ok[revision:../x]"', '65 .*revision "../x"\n[^]*expected a branch, a tag'],
  ["some/mixed", "0 [^]*of another format than most, left out: notes.txt\n[^]*the first 2 rows"],
];

test.each([...names, ...files, ...repositories])("%s", async (args, says) => {
  expect(await preview(args)).toMatch(new RegExp(`^(?:${says})`));
});

const answer =
  (status: number, headers: Record<string, string> = {}, body = ""): Fault =>
  (_request, response) => {
    response.writeHead(status, headers).end(body);
    return true;
  };
const json = { "content-type": "application/json" };
const listing =
  (body: string): Fault =>
  (request, response) =>
    request.path.includes("/tree/") && answer(200, json, body)(request, response);
const gated = { "x-error-code": "GatedRepo", "x-error-message": "Access is restricted." };

const answers: Record<string, [Fault, string]> = {
  "403 of a gated dataset": [
    answer(403, gated),
    "77 .*the hub refuses access\n[^]*it is gated: log in on the hub, open its page there, and accept its conditions\n[^]*set HF_TOKEN",
  ],
  "401": [answer(401), "77 .*the hub refuses access\n[^]*set HF_TOKEN to a token of an account"],
  "a login page": [
    answer(200, { "content-type": "text/html" }, "<!doctype html><html>log in</html>"),
    "65 .*the hub's answer is no JSON\n[^]*found: a web page \\(HTML\\)\n",
  ],
  null: [answer(200, json, "null"), "65 .*answer is not of the form that it should have\n"],
  "a commit that is none": [answer(200, json, '{"sha": 5}'), "65 .*the hub names no commit\n"],
  "a listing that is none": [listing('{"a": 1}'), "65 .*not of the form that it should have\n"],
  "a listing out of the folder": [
    listing(`[{"type": "file", "path": "../x", "size": 1, "oid": "${commitOf("e")}"}]`),
    "65 .*unsafe or incomplete listing\n",
  ],
  "a redirect without an end": [
    (request, response) => answer(307, { location: request.path })(request, response),
    "69 .*more than 10 redirects\n",
  ],
  "no content": [answer(204), "69 .*unexpected answer of the hub\n[^]*answered 204\n"],
};

test.each(Object.entries(answers))("the hub answers: %s", async (_, [fault, says]) => {
  server.faults.push(fault);
  expect(await preview("some/ok")).toMatch(new RegExp(`^(?:${says})`));
});
