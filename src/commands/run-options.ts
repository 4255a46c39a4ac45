/** @file The options of `dllm run`, and what its help says about them. */
import { InvalidArgumentError, Option } from "commander";

/** How a run is executed; nothing of it changes what is computed. */
export interface ExecuteOptions {
  jobs: number;
  keepGoing: boolean;
  until: string[];
  from: string[];
  retries: number;
  graceMs: number;
  stallTimeoutMs: number;
  timeoutMs?: number;
  /** Run although the disk seems too small. */
  force: boolean;
  /** Begin stages anew whose checkpoints are all damaged. */
  allowRestart: boolean;
  quiet: boolean;
  dryRun: boolean;
}

/** The options as the command line gives them. */
export interface RawExecuteOptions extends Omit<
  ExecuteOptions,
  "graceMs" | "stallTimeoutMs" | "timeoutMs"
> {
  grace: number;
  stallTimeout: number;
  timeout?: number;
}

const UNITS: Readonly<Record<string, number>> = { "": 1000, s: 1000, m: 60_000, h: 3_600_000 };

/** Returns milliseconds of `90`, `90s`, `1.5m` or `2h`; `0` for never. */
export function parseDuration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smh]?)$/.exec(text) ?? [];
  if (number === undefined) {
    throw new InvalidArgumentError('Expected seconds, or a time such as "90s", "10m" or "2h".');
  }
  return Number(number) * UNITS[unit ?? ""]!;
}

function countFrom(minimum: number): (text: string) => number {
  return (text) => {
    if (!/^\d{1,6}$/.test(text) || Number(text) < minimum) {
      throw new InvalidArgumentError(`Expected an integer at least ${minimum}.`);
    }
    return Number(text);
  };
}

function append(value: string, values: readonly string[] | undefined): string[] {
  return [...(values ?? []), ...value.split(",")];
}

/** Returns the options in the order of the help. */
export function executeOptions(): Option[] {
  const duration = (flags: string, description: string) =>
    new Option(flags, description).argParser(parseDuration);
  return [
    new Option("-n, --dry-run", "show the plan instead, as dllm plan does").default(false),
    new Option("-j, --jobs <n>", "stages that run side by side, sharing the CPU cores")
      .argParser(countFrom(1))
      .default(1),
    new Option("-k, --keep-going", "after a failure go on with what does not need it").default(
      false,
    ),
    new Option("--until <stage>", "run only this stage and what it needs; may be repeated")
      .argParser(append)
      .default([]),
    new Option("--from <stage>", "run this stage anew and what depends on it; may be repeated")
      .argParser(append)
      .default([]),
    new Option("--retries <n>", "retries of a stage after a failure that may pass")
      .argParser(countFrom(0))
      .default(2),
    duration("--grace <time>", "time for a stage to save its state when it is stopped").default(
      120_000,
      "2m",
    ),
    duration(
      "--stall-timeout <time>",
      "stop a stage that reports nothing for so long; 0: never",
    ).default(1_800_000, "30m"),
    duration("--timeout <time>", "stop the run after so long; it can be resumed"),
    new Option("-f, --force", "run although the disk seems too small").default(false),
    new Option(
      "--allow-restart",
      "begin a stage anew when all its checkpoints are damaged",
    ).default(false),
    new Option("-q, --quiet", "print only warnings and failures").default(false),
  ];
}

export const RUN_HELP = `
Which stages run:
  Without --until and --from everything that is missing is computed, and what is finished is
  reused. --until computes the named stages and what they need, and nothing else. --from computes
  the named stages and everything that depends on them again, also what is finished; what comes
  before must be finished already and is taken as it is. What they had computed is moved to
  superseded-1 (-2, ...) in the stage's directory, not deleted. Both together compute what lies
  between. In a sweep a name means that stage of every trial, or one of them by its full name.

Failures:
  A stage that was killed or preempted, or lost a service on the network, is tried again with
  growing pauses; the count begins anew whenever it has saved a later checkpoint. Invalid data,
  divergence, lack of memory and errors of the program are never tried again. Without --keep-going
  nothing new starts after a failure, and what runs is finished. A failed trial of a sweep never
  keeps others from running. With --keep-going, and for sweeps, the exit code of failures is 1.

Threads:
  With --jobs N a stage gets at most 1/N of the cores. A stage that resumes keeps the threads that
  it began with: other numbers of threads may add in another order and give other last digits.

Signals:
  INT, TERM and HUP save and stop; a second one, or QUIT, stops at once. USR1 prints how far the
  run is, USR2 makes running stages save their state and go on.

Environment of stages:
  PATH, HOME, TMPDIR, LANG, LC_*, TZ, NODE_OPTIONS, proxies and certificates, DLLM_*, HF_*, CUDA_*,
  OMP_*, SLURM_* and the like are passed on; secrets are not, but HF_TOKEN to prepare and export.
`;

/** Returns the options with units in their names. */
export function settleOptions(raw: RawExecuteOptions): ExecuteOptions {
  const { grace, stallTimeout, timeout, ...same } = raw;
  return {
    ...same,
    graceMs: grace,
    stallTimeoutMs: stallTimeout,
    ...(timeout !== undefined && { timeoutMs: timeout }),
  };
}
