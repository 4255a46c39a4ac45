/** Commands of the reference in a form in which two are equal when they do the same. */
import { spawnSync } from "node:child_process";
import { chatDefaults } from "../../src/plan/reference/chat-command.js";
import {
  argumentDefaults,
  argumentText,
  type Arguments,
} from "../../src/plan/reference/script-arguments.js";
import type { Edition } from "../../src/recipe/schema.js";

/** What a shell makes of a command. */
export function splitCommand(text: string): string[] {
  const { stdout } = spawnSync("bash", ["-c", `printf '%s\\0' ${text}`], { encoding: "utf8" });
  return stdout.split("\0").slice(0, -1);
}

const isNumber = (text: string) => text !== "" && Number.isFinite(Number(text));
const plainValue = (text: string) => (isNumber(text) ? Number(text) : text);

/** `--flag value`, `--flag=value` and bare `--flag`, in any order, as a map. */
export function flagsOf(argv: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const [name = "", ...value] = argv[i]!.split("=");
    if (!name.startsWith("--")) throw new Error(`stray argument ${name}`);
    const next = argv[i + 1];
    if (value.length > 0) flags.set(name.slice(2), value.join("="));
    else if (next !== undefined && !next.startsWith("--")) flags.set(name.slice(2), argv[++i]!);
    else flags.set(name.slice(2), "");
  }
  return flags;
}

/** A command without what says nothing: order, quotes, defaults, where the output goes. */
export function normalise(argv: readonly string[], edition: Edition): object {
  const scriptAt = argv.findIndex((word) => word.endsWith(".py") || word.endsWith(".slurm.sh"));
  const script = argv[scriptAt]!;
  const launch = argv.slice(0, scriptAt);
  const launcher = launch.filter(
    (word, i) => !word.startsWith("--") && !launch[i - 1]?.startsWith("--"),
  );
  const given = flagsOf(argv.slice(scriptAt + 1));
  const path = given.get("script_path") ?? script;
  let defaults: Arguments = {};
  if (path === "examples/bert/pt.py") defaults = argumentDefaults[edition].pretrain;
  if (path === "examples/bert/sft.py") defaults = argumentDefaults[edition].sft;
  if (path === "examples/bert/chat.py") defaults = chatDefaults[edition];
  if (path === "dllm/pipelines/bert/eval.py") {
    defaults = { batch_size: 1 };
    given.set("model_args", JSON.stringify(modelArguments(given, edition)));
  }
  const said = [...given]
    .filter(([name]) => name !== "output_dir")
    .filter(([name, value]) => !(name in defaults) || argumentText(defaults[name]!) !== value)
    .map(([name, value]) => [name, plainValue(value)]);
  return {
    launcher,
    launch: Object.fromEntries(flagsOf(launch.filter((word) => !launcher.includes(word)))),
    script,
    said: Object.fromEntries(said.sort()) as object,
  };
}

/** Of `--model_args`, what a task of its kind reads. */
function modelArguments(given: ReadonlyMap<string, string>, edition: Edition): object {
  const generates = ["gsm8k_bert", "bbh", "minerva_math"].includes(given.get("tasks")!);
  const unread = generates
    ? ["mc_num", "is_check_greedy"]
    : ["max_new_tokens", "steps", "block_length", "block_size"];
  const defaults: Readonly<Record<string, string>> = {
    is_check_greedy: edition === "report" ? "True" : "False",
  };
  const said = given
    .get("model_args")!
    .split(",")
    .map((pair) => pair.split("=") as [string, string])
    .filter(([name, value]) => !unread.includes(name) && defaults[name] !== value);
  return Object.fromEntries(said.sort());
}
