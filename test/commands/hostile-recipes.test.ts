/**
 * @file Strange recipes and arguments, as of a user who is new or one who is mean: what the
 * commands that read recipes say, and with which exit code. What parsing bounds:
 * test/recipe/hostile.test.ts; data: test/stages/hostile-data.test.ts.
 */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { runCli } from "../../src/cli.js";
import { fakeIo } from "../support/recipes.js";

let base: string;
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "dllm-hostile-recipes-"));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

const TRAINING = "dataset_args: text.jsonl, max_length: 16, max_steps: 4";
const GOOD = recipe();
const CHAT = "kind: sft, dataset_args: chat.jsonl, max_steps: 4";

/** A small recipe that is valid, with other keys in its training and at its end. */
function recipe({ training = "", rest = "" }: { training?: string; rest?: string } = {}): string {
  return `name: good
model: {config: {}}
tokenizer: {train: {vocab_size: 300, dataset_args: text.jsonl}}
pretrain: {${TRAINING}${training === "" ? "" : `, ${training}`}}
${rest}`;
}

const swept = (parameters: string): string =>
  recipe({ rest: `sweep: {method: grid, parameters: ${parameters}}` });

interface Case {
  /** Files beside `r.yaml`, which is valid unless it is one of them. */
  files?: Record<string, string | Uint8Array>;
  /** Does what files cannot. */
  prepare?: (directory: string) => void;
  env?: Record<string, string>;
  /** `<dir>` stands for the directory of the files. */
  args: readonly string[];
  /** Exit code, then stdout, then stderr. */
  says: RegExp;
  /** What must hold afterwards. */
  then?: (directory: string) => void;
}

const R = "<dir>/r.yaml";
/** `validate` of a recipe. */
const of = (text: string | Uint8Array, says: RegExp, ...more: string[]): Case => ({
  files: { "r.yaml": text },
  args: ["validate", R, ...more],
  says,
});
/** The valid recipe with more arguments. */
const good = (args: readonly string[], says: RegExp): Case => ({ args, says });
const locked = (lock: string, says: RegExp): Case => ({
  files: { "dllm.lock": lock },
  args: ["plan", R, "--frozen"],
  says,
});

const cases: Record<string, Case> = {
  // Files.
  "an empty file": of("", /^65 .*r\.yaml:1:1: missing key "name"/),
  "only comments": of("# a\n# b\n", /^65 .*r\.yaml:1:1: missing key "name"/),
  "a byte order mark": of(`\ufeff${GOOD}`, /^0 .*valid/),
  "lines that end in CRLF": of(GOOD.replaceAll("\n", "\r\n"), /^0 .*valid/),
  "a tab as indentation": of("name: x\n\tmodel: 3\n", /^65 .*r\.yaml:2:1: .*Tabs are not allowed/),
  "a binary file": of(new Uint8Array([0, 255, 10]), /^65 .*r\.yaml:1:1: .*not valid UTF-8\n.*save/),
  "UTF-16": of(
    Buffer.from(GOOD, "utf16le"),
    /^65 .*r\.yaml:1:2: the text contains a NUL character[^]*UTF-16: save the file as UTF-8/,
  ),
  "10 MB": of("# x\n".repeat(2_600_000), /^65 .*has 10400000 bytes, expected at most 131072/),
  "a directory": good(
    ["plan", "<dir>"],
    /^65 error: recipe <dir> is a directory, expected a file\n {2}dllm ls <dir> lists/,
  ),
  "standard input": good(["plan", "-"], /^66 .*recipe - does not exist\n.*never standard input/),
  "an empty name": good(["plan", ""], /^2 error: the name of the recipe is empty, expected a file/),
  "a link that leads nowhere": {
    prepare: (directory) => symlinkSync("nowhere.yaml", join(directory, "link.yaml")),
    args: ["validate", "<dir>/link.yaml"],
    says: /^66 .*link\.yaml does not exist/,
  },
  "a link to a recipe": {
    prepare: (directory) => symlinkSync("r.yaml", join(directory, "link.yaml")),
    args: ["validate", "<dir>/link.yaml"],
    says: /^0 <dir>\/link\.yaml is valid/,
  },
  "a path with spaces and umlauts": {
    files: { "a b/é.yaml": GOOD, "a b/text.jsonl": '{"text": "a"}\n' },
    args: ["plan", "<dir>/a b/é.yaml"],
    says: /^0 good \(<dir>\/a b\/é\.yaml\)/,
  },

  // extends
  "extends in a circle": {
    files: { "r.yaml": `extends: b.yaml\n${GOOD}`, "b.yaml": "extends: r.yaml\n" },
    args: ["validate", R],
    says: /^65 .*b\.yaml:1:10: the recipe extends itself: .*r\.yaml -> .*b\.yaml -> .*r\.yaml/,
  },
  "extends what is missing": of(
    `extends: no.yaml\n${GOOD}`,
    /^66 .*r\.yaml:1:10: recipe <dir>\/no\.yaml does not exist[^]*paths start at the directory of <dir>\/r\.yaml/,
  ),
  "extends a URL": of(
    `extends: https://example.com/a.yaml\n${GOOD}`,
    /^65 .*r\.yaml:1:10: https:\/\/example\.com\/a\.yaml is an address: .*download it/,
  ),
  "extends a variable": of(
    `extends: "\${file}"\nvars: {file: b.yaml}\n${GOOD}`,
    /^65 .*r\.yaml:1:10: \$\{file\} has a variable, .*write the file's name/,
  ),
  "extends nothing, said once": of(
    `extends:\n${GOOD}`,
    /^65 error: <dir>\/r\.yaml:1:1: extends is empty, expected [^\n]*\n[^\n]*\n[^\n]*\n$/,
  ),
  "extends a directory": of(`extends: .\n${GOOD}`, /^65 .*r\.yaml:1:10: recipe .* is a directory/),
  "--set extends": good(
    ["validate", R, "--set", "extends=b.yaml"],
    /^65 error: --set extends=b\.yaml: extends is read from files alone[^]*extends this one/,
  ),

  // Variables.
  "a variable of itself": of(
    recipe({ rest: "vars: {a: '${a}'}" }),
    /^65 .*r\.yaml:5:11: variables need each other in a circle: a -> a/,
  ),
  "an environment variable that is not set": of(
    recipe({ training: "learning_rate: '${env:DLLM_TEST_NONE}'" }),
    /^65 .*r\.yaml:4:83: the environment has no variable "DLLM_TEST_NONE"[^]*set it/,
  ),
  "an environment variable that is empty": {
    ...of(
      recipe({ training: "text_field: '${env:DLLM_TEST}'" }),
      /^65 .*text_field is an empty text, expected a text that is not empty[^]*used as \$\{env:DLLM_TEST\}/,
    ),
    env: { DLLM_TEST: "" },
  },
  "an environment variable that is no YAML": {
    ...of(recipe({ training: "text_field: '${env:DLLM_TEST}'" }), /^0 .*valid/),
    env: { DLLM_TEST: "[1" },
  },
  "an environment variable that is no finite number": {
    ...of(
      recipe({ training: "learning_rate: '${env:DLLM_TEST}'" }),
      /^65 .*learning_rate is "\.inf", expected a number above 0/,
    ),
    env: { DLLM_TEST: ".inf" },
  },
  "a variable without a name": of(
    recipe({ training: "learning_rate: '${}'" }),
    /^65 .*r\.yaml:4:83: \$\{\} names no variable\n/,
  ),
  "an environment variable without a name": of(
    recipe({ training: "learning_rate: '${env:}'" }),
    /^65 .*r\.yaml:4:83: \$\{env:\} names no variable\n/,
  ),
  "a variable that is not closed": of(
    recipe({ training: "text_field: '${field'" }),
    /^65 .*r\.yaml:4:80: a variable that begins with "\$\{" does not end with "\}"[^]*write "\$\$\{"/,
  ),
  "a variable within a variable": of(
    recipe({ training: "text_field: '${a${b}}'", rest: "vars: {b: c}" }),
    /^65 .*r\.yaml:4:80: a variable that begins with/,
  ),
  "what stands for ${ itself": of(recipe({ training: "text_field: '$${field'" }), /^0 .*valid/),
  "--set of a variable that nothing uses": {
    ...of(
      recipe({ training: "learning_rate: '${lr}'", rest: "vars: {lr: 1e-3}" }),
      /^65 error: --set vars\.lrr=1: nothing uses variable "lrr"[^]*used: lr[^]*did you mean "lr"\?/,
      "--set",
      "vars.lrr=1",
    ),
  },
  "a sweep over a variable that nothing uses": of(
    swept("{vars.x: {values: [1, 2]}}"),
    /^65 .*r\.yaml:5:36: nothing uses variable "x"/,
  ),

  // Profiles.
  "a profile that is not there": of(
    recipe({ rest: "profiles: {smoke: {seed: 1}}" }),
    /^65 .*r\.yaml:5:1: there is no profile "smokee"[^]*did you mean "smoke"\?/,
    "--profile",
    "smokee",
  ),
  "a profile that is empty": of(
    recipe({ rest: "profiles: {smoke: }" }),
    /^65 error: <dir>\/r\.yaml:5:12: profile "smoke" is empty, expected a map\n[^]*seed: 1/,
    "--profile",
    "smoke",
  ),
  "a profile that adds a sweep": {
    files: {
      "r.yaml": recipe({
        rest: "profiles: {s: {sweep: {method: grid, parameters: {seed: {values: [1, 2]}}}}}",
      }),
    },
    args: ["plan", R, "--profile", "s"],
    says: /^0 [^]*2 trials: grid over seed/,
  },
  "--set profiles": good(
    ["validate", R, "--set", "profiles.smoke.seed=3"],
    /^65 error: --set profiles\.smoke\.seed=3: profiles is read from files alone/,
  ),

  // --set
  "--set of nothing": good(["validate", R, "--set", ""], /^2 .*expected key=value/),
  "--set without a value removes": good(["validate", R, "--set", "pretrain.max_steps="], /^0 /),
  "--set of what is needed, without a value": good(
    ["validate", R, "--set", "name="],
    /^65 .*missing key "name"/,
  ),
  "--set of an item of a list": of(
    recipe({ training: "keep_steps: [1, 2]" }),
    /^0 .*valid/,
    "--set",
    "pretrain.keep_steps.1=3",
  ),
  "--set of an item that is not there": of(
    recipe({ training: "keep_steps: [1, 2]" }),
    /^65 .*"5" is no index of this list of 2/,
    "--set",
    "pretrain.keep_steps.5=3",
  ),
  "--set into a single value": good(
    ["validate", R, "--set", "name.x=1"],
    /^65 .*there is no section to put "x" into/,
  ),
  "--set of a prototype": good(
    ["validate", R, "--set", "__proto__.x=1"],
    /^65 .*unknown key "__proto__"/,
  ),

  // Sweeps.
  "a sweep over an unknown key": of(
    swept("{pretrain.learning_ratee: {values: [1]}}"),
    /^65 .*r\.yaml:5:36: unknown key "learning_ratee"[^]*did you mean "learning_rate"\?/,
  ),
  "a sweep over a section": of(
    swept("{pretrain: {values: [1]}}"),
    /^65 .*r\.yaml:5:56: pretrain is 1, expected a map/,
  ),
  "a sweep over a list": of(swept("{pretrain.keep_steps: {values: [[1], [2]]}}"), /^0 .*valid/),
  "a sweep over lists that are none": of(
    swept("{pretrain.keep_steps: {values: [1]}}"),
    /^65 .*r\.yaml:5:67: keep_steps is 1, expected a list/,
  ),
  "a sweep with nested parameters": of(
    swept("{pretrain: {parameters: {learning_rate: {values: [1e-3, 2e-3]}}}}"),
    /^0 .*valid/,
  ),
  "a sweep without parameters": of(
    swept("{}"),
    /^65 .*parameters is an empty map, expected a map with at least one key/,
  ),
  "a grid that is too large": {
    files: {
      "r.yaml": swept(
        `{seed: {values: [${Array.from({ length: 11 }, (_, i) => i).join(",")}]}, ` +
          `pretrain.max_steps: {values: [${Array.from({ length: 9091 }, (_, i) => i + 1).join(",")}]}}`,
      ),
    },
    args: ["plan", R],
    says: /^65 .*r\.yaml:5:1: the sweep has 100001 trials, expected at most 100000[^]*seed: 11/,
  },

  // Stages.
  "from a step that is not kept": of(
    recipe({ rest: `stages: {a: {${CHAT}, from: pretrain@2}}` }),
    /^65 .*r\.yaml:5:71: pretrain@2 names a step that stage pretrain does not keep[^]*keep_steps/,
  ),
  "from a stage that is not there": of(
    recipe({ rest: `stages: {a: {${CHAT}, from: nope}}` }),
    /^65 .*r\.yaml:5:71: stages\.a\.from names "nope"[^]*expected one of: pretrain, model/,
  ),
  "from a list": of(
    recipe({ rest: `stages: {a: {${CHAT}, from: [pretrain]}}` }),
    /^65 .*r\.yaml:5:71: from is a list, expected a stage/,
  ),
  "from in a circle": of(
    recipe({ rest: `stages: {a: {${CHAT}, from: b}, b: {${CHAT}, from: a}}` }),
    /^65 .*r\.yaml:5:71: stages start from each other in a circle: a -> b -> a/,
  ),
  "a stage of a section's name": of(
    recipe({ rest: `stages: {pretrain: {${CHAT}}}` }),
    /^65 .*stage "pretrain" is there twice(?![^]*one of: \n)/,
  ),
  "a stage id with a path in it": of(
    recipe({ rest: `stages: {../x: {${CHAT}, from: pretrain}}` }),
    /^65 .*r\.yaml:5:10: key "\.\.\/x" in stages is no name\n[^]*at most 64/,
  ),
  "a stage without a kind": of(
    recipe({ rest: "stages: {a: {from: pretrain}}" }),
    /^65 .*missing key "kind" in stages\.a[^]*kind: What it is: pretrain, sft, eval or export\./,
  ),
  "no stage under stages": of(
    recipe({ rest: "stages: {}" }),
    /^65 .*r\.yaml:5:9: stages is an empty map, expected a map with at least one key/,
  ),
  "one dataset three times": of(
    recipe({ rest: `stages: {a: {kind: sft, from: pretrain, dataset_args: b+b+b}}` }),
    /^0 .*valid/,
  ),

  // Hardware.
  "one device on two nodes": {
    files: { "r.yaml": recipe({ rest: "hardware: {strategy: single, nodes: 2}" }) },
    args: ["plan", R],
    says: /^65 .*r\.yaml:5:37: nodes is 2, but strategy is "single": one device\n[^]*write strategy: ddp/,
  },
  "two nodes from one machine": {
    files: {
      "r.yaml": recipe({
        rest: "hardware: {nodes: 2, strategy: ddp, launcher: local, engine: accelerate}",
      }).replace("{config: {}}", "{name_or_path: answerdotai/ModernBERT-base}"),
    },
    args: ["plan", R],
    says: /^65 .*r\.yaml:5:47: launcher is "local", which cannot start processes on 2 nodes/,
  },

  // Names.
  "a name with a slash": of(GOOD.replace("good", "a/b"), /^65 .*r\.yaml:1:7: name is "a\/b"/),
  "a name of 129 characters": of(
    GOOD.replace("good", "a".repeat(129)),
    /^65 .*r\.yaml:1:7: name is "a+…, expected at most 128 letters/,
  ),
  "a name that is a number": of(
    GOOD.replace("good", "1e5"),
    /^65 .*r\.yaml:1:7: name is 100000[^]*write it in quotes: "1e5"/,
  ),

  // explain
  "explain what any object has": good(["explain", R, "toString"], /^66 .*has no key "toString"/),
  "explain a prototype": good(["explain", R, "__proto__"], /^66 .*has no key "__proto__"/),
  "explain the constructor of a section": good(
    ["explain", R, "pretrain.constructor"],
    /^66 .*has no key "pretrain\.constructor"/,
  ),
  "explain a character of a text": good(
    ["explain", R, "pretrain.dataset_args.0"],
    /^66 .*has no key "pretrain\.dataset_args\.0"\n.*did you mean "pretrain\.dataset_args"\?/,
  ),
  "explain the length of a list": good(
    ["explain", R, "dataset_separators.length"],
    /^66 .*has no key "dataset_separators\.length"/,
  ),
  "explain nothing": good(["explain", R, ""], /^2 error: the key is empty/),
  "explain two keys": good(["explain", R, "seed", "name"], /^2 .*explain takes one key/),
  "explain an item of a list": {
    files: { "r.yaml": recipe({ training: "keep_steps: [1, 2]" }) },
    args: ["explain", R, "pretrain.keep_steps.1"],
    says: /^0 pretrain\.keep_steps\.1: 2\n {2}set by {5}<dir>\/r\.yaml:4:84\n {2}reaches {4}pretrain: train\.keep_steps\n$/,
  },
  "explain an item that is not there": {
    files: { "r.yaml": recipe({ training: "keep_steps: [1, 2]" }) },
    args: ["explain", R, "pretrain.keep_steps.2"],
    says: /^66 .*has no key "pretrain\.keep_steps\.2"/,
  },
  "explain a key of a section that is not there": good(
    ["explain", R, "sft.learning_rate"],
    /^0 sft\.learning_rate: not there\n {2}Peak learning rate\.\n {2}set by {5}nobody\n$/,
  ),
  "explain a hostile text": {
    files: { "r.yaml": recipe({ rest: 'description: "a\\e[2J\\nb\\u202ec"' }) },
    args: ["explain", R, "description"],
    says: /^0 description: a bc\n/,
  },
  "explain all, with a hostile text": {
    files: { "r.yaml": recipe({ rest: 'description: "a\\e[2J\\nb\\u202ec"' }) },
    args: ["explain", R],
    says: /^0 [^]*\ndescription +a bc +<dir>\/r\.yaml:5:14\n/,
  },

  // ls
  "ls of a file": good(["ls", R], /^66 error: .*r\.yaml is no directory\n.*dllm validate/),
  "ls of nothing": good(
    ["ls", "<dir>/nowhere"],
    /^66 error: there is no directory <dir>\/nowhere\n {2}dllm ls lists/,
  ),
  "ls with broken recipes": {
    files: { "bad.yaml": "- a\n", "part.yaml": "seed: 1\n", "notes.txt": "hello" },
    args: ["ls", "<dir>"],
    says: /^0 <dir>\/r\.yaml\nwarning: <dir>\/bad\.yaml is no recipe: .*the recipe is a list, expected keys\n$/,
  },
  "ls with links": {
    prepare: (directory) => {
      symlinkSync("r.yaml", join(directory, "a.yaml"));
      symlinkSync("nowhere", join(directory, "b.yaml"));
    },
    args: ["ls", "<dir>"],
    says: /^0 <dir>\/a\.yaml\n<dir>\/r\.yaml\nwarning: <dir>\/b\.yaml is no recipe: .* does not exist\n$/,
  },
  "ls with hostile texts": {
    files: { "r.yaml": recipe({ rest: 'description: "a\\e[2J\\nb\\u202ec"' }) },
    args: ["ls", "<dir>"],
    says: /^0 <dir>\/r\.yaml {2}a bc\n$/,
  },

  // init
  "init onto a file": good(["init", R], /^73 .*cannot create the directory <dir>\/r\.yaml/),
  "init onto a recipe": {
    files: { "recipe.yaml": "mine" },
    args: ["init", "<dir>"],
    says: /^73 error: <dir>\/recipe\.yaml exists already, and nothing was written/,
    then: (directory) => {
      expect(readFileSync(join(directory, "recipe.yaml"), "utf8")).toBe("mine");
      expect(existsSync(join(directory, "data"))).toBe(false);
    },
  },
  "init where its data has no place": {
    files: { "new/data": "mine" },
    args: ["init", "<dir>/new"],
    says: /^73 .*cannot create the directory <dir>\/new\/data/,
    then: (directory) => expect(readdirSync(join(directory, "new"))).toEqual(["data"]),
  },
  "init onto a link that leads nowhere": {
    prepare: (directory) => {
      mkdirSync(join(directory, "new"));
      symlinkSync("nowhere", join(directory, "new/recipe.yaml"));
    },
    args: ["init", "<dir>/new"],
    says: /^73 .*recipe\.yaml exists already, and nothing was written/,
    then: (directory) =>
      expect(lstatSync(join(directory, "new/recipe.yaml")).isSymbolicLink()).toBe(true),
  },
  "init with spaces and quotes": {
    args: ["init", "<dir>/it's new"],
    says: /^0 wrote [^]*then {2}dllm plan '[^\n]*it'\\''s new\/recipe\.yaml'\n$/,
    then: (directory) => expect(existsSync(join(directory, "it's new/recipe.yaml"))).toBe(true),
  },

  // lock
  "frozen without a lock": good(
    ["plan", R, "--frozen"],
    /^4 error: <dir>\/dllm\.lock does not lock good\n {2}lock it with: dllm lock <dir>\/r\.yaml\n$/,
  ),
  "a lock of one source": good(
    ["lock", R],
    /^0 <dir>\/dllm\.lock locks good: 1 source, \d+ defaults\n/,
  ),
  "a lock that is empty": locked("", /^65 .*no lock file: it is not valid JSON\n.*version control/),
  "a lock that is a list": locked("[]", /^65 .*no lock file: it has no "schema": 1\n/),
  "a lock of recipes that are none": locked(
    '{"schema": 1, "recipes": null}',
    /^65 .*no lock file: "recipes" is no object\n/,
  ),
  "a lock of a list of recipes": locked(
    '{"schema": 1, "recipes": []}',
    /^65 .*no lock file: "recipes" is no object\n/,
  ),
  "a lock of a recipe that is none": locked(
    '{"schema": 1, "recipes": {"good": null}}',
    /^65 .*no lock file: recipe "good" is no object\n/,
  ),
  "a lock of a recipe without sources": locked(
    '{"schema": 1, "recipes": {"good": {"defaults": {}}}}',
    /^65 .*no lock file: recipe "good" has no object "sources"\n/,
  ),
  "a lock of a source that is none": locked(
    '{"schema": 1, "recipes": {"good": {"defaults": {}, "sources": {"dataset x": null}}}}',
    /^65 .*no lock file: recipe "good" says no commit or sha256 of dataset x\n/,
  ),
  "a lock of a newer version": locked(
    '{"schema": 9, "recipes": {}}',
    /^78 .*written by a newer version[^]*install that version/,
  ),
  "a broken lock is not written over": {
    files: { "dllm.lock": "{" },
    args: ["lock", R],
    says: /^65 .*no lock file/,
    then: (directory) => expect(readFileSync(join(directory, "dllm.lock"), "utf8")).toBe("{"),
  },

  // Arguments.
  "no recipe": good(["validate"], /^2 error: missing required argument 'recipe'/),
  "an argument too many": good(["plan", R, "seed=1", "extra"], /^2 .*unexpected argument extra/),
  "an unknown format": good(["plan", R, "--format", "pdf"], /^2 .*Allowed choices are tree/),
  "schema with an argument": good(["schema", "x"], /^2 .*too many arguments/),
};

test.each(Object.entries(cases))("%s", async (name, { files, prepare, env, args, says, then }) => {
  const directory = join(base, String(Object.keys(cases).indexOf(name)));
  const beside = { "text.jsonl": '{"text": "Call me Ishmael."}\n', "r.yaml": GOOD, ...files };
  for (const [file, content] of Object.entries(beside)) {
    const path = join(directory, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
  prepare?.(directory);
  for (const [key, value] of Object.entries(env ?? {})) vi.stubEnv(key, value);
  const io = fakeIo();
  const exitCode = await runCli(
    args.map((arg) => arg.replace("<dir>", directory)),
    io,
  );
  vi.unstubAllEnvs();

  const said = `${io.stdout()}${io.stderr()}`.replaceAll(directory, "<dir>");
  expect(`${exitCode} ${said}`).toMatch(says);
  // eslint-disable-next-line no-control-regex
  expect(said).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202a-\u202e]|^ +at .*:\d+:\d+/m);
  then?.(directory);
});
