/**
 * @file The command line: names, arguments and options of all commands. A command's own module
 * is imported when it is called, so that `--help`, `--version` and `validate` stay light.
 */
import { createRequire } from "node:module";
import { Command, InvalidArgumentError, Option } from "commander";
import { ExitCode } from "../base/errors.js";
import type {
  CancelCommand,
  ChatCommand,
  CommandIo,
  DoctorCommand,
  ExplainCommand,
  InitCommand,
  LockCommand,
  LsCommand,
  DiffCommand,
  FsckCommand,
  GcCommand,
  LogsCommand,
  PlanCommand,
  PreviewCommand,
  ReportCommand,
  ResultsCommand,
  ResumeCommand,
  RunCommand,
  SampleCommand,
  SchemaCommand,
  StatusCommand,
  ValidateCommand,
  WhyCommand,
} from "./command.js";
import { executeOptions, RUN_HELP } from "./run-options.js";

/** How a command's module is found. */
export interface CommandModules {
  validate: () => Promise<{ run: ValidateCommand }>;
  explain: () => Promise<{ run: ExplainCommand }>;
  plan: () => Promise<{ run: PlanCommand }>;
  preview: () => Promise<{ run: PreviewCommand }>;
  run: () => Promise<{ run: RunCommand }>;
  resume: () => Promise<{ run: ResumeCommand }>;
  cancel: () => Promise<{ run: CancelCommand }>;
  status: () => Promise<{ run: StatusCommand }>;
  logs: () => Promise<{ run: LogsCommand }>;
  why: () => Promise<{ run: WhyCommand }>;
  diff: () => Promise<{ run: DiffCommand }>;
  fsck: () => Promise<{ run: FsckCommand }>;
  gc: () => Promise<{ run: GcCommand }>;
  results: () => Promise<{ run: ResultsCommand }>;
  report: () => Promise<{ run: ReportCommand }>;
  sample: () => Promise<{ run: SampleCommand }>;
  chat: () => Promise<{ run: ChatCommand }>;
  schema: () => Promise<{ run: SchemaCommand }>;
  lock: () => Promise<{ run: LockCommand }>;
  ls: () => Promise<{ run: LsCommand }>;
  init: () => Promise<{ run: InitCommand }>;
  doctor: () => Promise<{ run: DoctorCommand }>;
}

export const commandModules: CommandModules = {
  validate: () => import("./validate.js"),
  explain: () => import("./explain.js"),
  plan: () => import("./plan.js"),
  preview: () => import("./preview.js"),
  run: () => import("./run.js"),
  resume: () => import("./resume.js"),
  cancel: () => import("./cancel.js"),
  status: () => import("./status.js"),
  logs: () => import("./logs.js"),
  why: () => import("./why.js"),
  diff: () => import("./diff.js"),
  fsck: () => import("./fsck.js"),
  gc: () => import("./gc.js"),
  results: () => import("./results.js"),
  report: () => import("./report.js"),
  sample: () => import("./sample.js"),
  chat: () => import("./chat.js"),
  schema: () => import("./schema.js"),
  lock: () => import("./lock.js"),
  ls: () => import("./ls.js"),
  init: () => import("./init.js"),
  doctor: () => import("./doctor.js"),
};

/** The version of this package. */
export function packageVersion(): string {
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  return version;
}

/**
 * Runs the command that the arguments (without node and script) name and returns its exit code.
 * @throws CommanderError for a usage error, after printing it, and after printing help or version
 */
export async function runProgram(
  argv: readonly string[],
  io: CommandIo,
  modules: CommandModules = commandModules,
): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok;
  const program = new Command("dllm")
    .description("Train, evaluate and talk to masked-diffusion language models, from one recipe.")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        io.write(text);
      },
      writeErr: (text) => {
        io.err(text.trimEnd());
      },
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
    })
    .showHelpAfterError("(add --help for what is possible)");

  /** Declares a command whose module is imported when it is called. */
  const declare = <Args extends readonly unknown[], Options>(
    usage: string,
    description: string,
    load: () => Promise<{
      run: (args: Args, options: Options, io: CommandIo) => Promise<ExitCode>;
    }>,
  ) =>
    program
      .command(usage)
      .description(description)
      .action(async (...all: unknown[]) => {
        // Commander passes the arguments, then the options, then the command.
        const args = all.slice(0, -2) as unknown as Args;
        const options = all.at(-2) as Options;
        exitCode = await (await load()).run(args, options, io);
      });

  /** Declares a command of a recipe, which takes profiles and overrides. */
  const declareForRecipe: typeof declare = (usage, description, load) => {
    const command = declare(usage, description, load).addOption(setOption());
    return command.addOption(profileOption());
  };
  declareForRecipe(
    "validate <recipe> [more-recipes-and-overrides...]",
    "check recipes and show every problem in them",
    modules.validate,
  ).addOption(jsonOption());
  declareForRecipe(
    "explain <recipe> [key-and-overrides...]",
    "show who set a value of a recipe, and what it reaches",
    modules.explain,
  ).addOption(jsonOption());
  declareForRecipe(
    "plan <recipe> [overrides...]",
    "show which stages would run, why, where, and what they take",
    modules.plan,
  )
    .addOption(
      new Option("--format <format>", "how to show it")
        .choices(["tree", "mermaid", "dot", "json"])
        .default("tree"),
    )
    .addOption(frozenOption())
    .addOption(runsOption())
    .addOption(jsonOption());
  declareForRecipe(
    "preview <recipe> [overrides...]",
    "show what training sees of the data: tokens, masks, and what is dropped",
    modules.preview,
  )
    .addOption(
      new Option("--stage <stage>", "show only this training; may be repeated")
        .argParser(append)
        .default([]),
    )
    .addOption(
      new Option("--rows <n>", "rows to show of each training")
        .argParser(integerFrom(0))
        .default(2),
    )
    .addOption(
      new Option("--sample <n>", "rows to read of each source")
        .argParser(integerFrom(1))
        .default(1000),
    )
    .addOption(
      new Option("--seed <n>", "seed of rows and masks; by default the recipe's").argParser(
        integerFrom(0),
      ),
    )
    .addOption(new Option("--html <file>", "write a page instead of printing"))
    .addOption(jsonOption());
  const run = declareForRecipe(
    "run <recipe> [overrides...]",
    "run a recipe; what is done already is reused",
    modules.run,
  )
    .addOption(frozenOption())
    .addOption(runsOption())
    .addOption(new Option("--json", "print one event per line as JSON").default(false))
    .addHelpText("after", RUN_HELP);
  const resume = declare(
    "resume <run>",
    "run the recipe of a run again: go on where it stopped",
    modules.resume,
  )
    .addOption(runsOption())
    .addOption(new Option("--json", "print one event per line as JSON").default(false));
  for (const command of [run, resume]) {
    for (const option of executeOptions()) command.addOption(option);
  }
  declare("cancel <run>", "stop a running run: its stages checkpoint and end", modules.cancel)
    .addOption(new Option("--kill", "end its stages at once").default(false))
    .addOption(
      new Option("--timeout <seconds>", "how long to wait for its end")
        .argParser(integerFrom(1))
        .default(300),
    )
    .addOption(runsOption());
  declare("status [run]", "show how far runs are", modules.status)
    .addOption(runsOption())
    .addOption(jsonOption());
  declare("logs <run> [stage]", "show what a stage of a run wrote", modules.logs)
    .addOption(new Option("-f, --follow", "go on while the run goes on").default(false))
    .addOption(
      new Option("-n, --lines <n>", "how many of the last lines")
        .argParser(integerFrom(0))
        .default(50),
    )
    .addOption(runsOption());
  declareForRecipe("why <run|recipe> <stage>", "say what made, or makes, a stage run", modules.why)
    .addOption(runsOption())
    .addOption(jsonOption());
  declare("diff <run> <other>", "compare the recipes and figures of two runs", modules.diff)
    .addOption(runsOption())
    .addOption(jsonOption());
  declare("fsck [run]", "check everything on disk; exit code 3 if something is wrong", modules.fsck)
    .addOption(
      new Option("--repair", "set damage aside and remove leftovers, as a run would").default(
        false,
      ),
    )
    .addOption(
      new Option("--secret <variable>", "look in all files for the value of this variable"),
    )
    .addOption(runsOption())
    .addOption(jsonOption());
  declare("gc", "remove from the store what no run refers to", modules.gc)
    .addOption(new Option("--dry-run", "show what would be removed").default(false))
    .addOption(
      new Option("--keep <n>", "keep what the last n executions of each run referred to")
        .argParser(integerFrom(1))
        .default(1),
    )
    .addOption(
      new Option("--checkpoints", "remove the checkpoints of finished stages too").default(false),
    )
    .addOption(new Option("-y, --yes", "do not ask").default(false))
    .addOption(runsOption())
    .addOption(jsonOption());
  declare("results <run>", "show the figures of a run's evaluations", modules.results)
    .addOption(runsOption())
    .addOption(jsonOption());
  declare("report <run>", "write the HTML report of a run", modules.report).addOption(runsOption());
  const sample = declare(
    "sample <model>",
    "generate text with a run's final model or a model directory",
    modules.sample,
  )
    .addOption(
      new Option("--prompt <text...>", "what to answer, one or more texts").makeOptionMandatory(),
    )
    .addOption(new Option("--no-chat-template", "continue the prompt instead of answering it"))
    .addOption(new Option("--visualize", "show tokens unmask, on a terminal").default(false))
    .addOption(jsonOption())
    .addOption(new Option("--frames", "with --json: the ids after every step").default(false));
  const chat = declare(
    "chat <model>",
    "talk to a run's final model or a model directory",
    modules.chat,
  );
  for (const command of [sample, chat]) {
    for (const option of samplerOptions()) command.addOption(option);
    command.addOption(runsOption());
  }
  declareForRecipe(
    "lock <recipe> [overrides...]",
    "write down the commits, contents and defaults that a recipe stands for",
    modules.lock,
  );
  declare("ls [directory]", "list recipes with what each is for", modules.ls).addOption(
    jsonOption(),
  );
  declare("init [directory]", "begin with a commented recipe of your own", modules.init);
  declare("doctor", "show what this machine offers, and what is missing", modules.doctor)
    .addOption(runsOption())
    .addOption(jsonOption());
  declare("schema", "print the JSON Schema of recipes", modules.schema).addOption(
    new Option("--write", "write it, and the code made of it, to schemas/").default(false),
  );

  await program.parseAsync([...argv], { from: "user" });
  return exitCode;
}

function append(value: string, values: readonly string[] | undefined): string[] {
  return [...(values ?? []), value];
}

function setOption(): Option {
  return new Option("--set <key=value>", "write a value over the recipe's; may be repeated")
    .argParser(append)
    .default([]);
}

function profileOption(): Option {
  return new Option("--profile <name>", "lay a profile of the recipe over it; may be repeated")
    .argParser(append)
    .default([]);
}

function frozenOption(): Option {
  return new Option(
    "--frozen",
    "refuse a recipe that is not what the dllm.lock beside it says",
  ).default(false);
}

function runsOption(): Option {
  return new Option("--runs <directory>", "directory of all runs").default("runs");
}

function jsonOption(): Option {
  return new Option("--json", "print JSON").default(false);
}

function samplerOptions(): Option[] {
  return [
    new Option("--seed <n>", "seed of everything random").argParser(integerFrom(0)).default(42),
    new Option("--max-new-tokens <n>", "tokens to generate").argParser(integerFrom(1)),
    new Option("--block-size <n>", "tokens unmasked together").argParser(integerFrom(1)),
    new Option("--steps <n>", "denoising steps over all blocks").argParser(integerFrom(1)),
    new Option("--temperature <t>", "0 takes the most probable token").argParser(parseNonNegative),
    new Option("--remasking <rule>", "which tokens stay masked after a step").choices([
      "low_confidence",
      "random",
    ]),
    new Option("--cfg-scale <s>", "strength of classifier-free guidance").argParser(
      parseNonNegative,
    ),
    new Option(
      "--confidence-threshold <p>",
      "faster: also reveal tokens at least as probable, in fewer steps",
    ).argParser(parseNonNegative),
    new Option("--precision <p>", "int8 is faster and less exact")
      .choices(["float32", "int8"])
      .default("float32"),
    new Option("--device <name>", "where to compute; `dllm doctor` shows what there is")
      .choices(["cpu", "webgpu", "cuda"])
      .default("cpu"),
  ];
}

function integerFrom(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < minimum || !Number.isSafeInteger(value)) {
      throw new InvalidArgumentError(`Expected an integer at least ${minimum}.`);
    }
    return value;
  };
}

function parseNonNegative(text: string): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError("Expected a number at least 0.");
  }
  return value;
}
