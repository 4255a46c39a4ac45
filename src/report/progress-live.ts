/**
 * @file Live progress on a terminal, drawn by listr2 as one task whose title is the view of the
 * run. It only draws: its signal handler (which would call process.exit) is off, and its errors
 * never leave this file.
 */
import { DefaultRenderer, Listr, ListrLogger, ProcessOutput, type ListrTaskWrapper } from "listr2";
import pc from "picocolors";
import type { StampedEvent } from "./events.js";
import { noticeText } from "./progress-plain.js";
import { createRunView, type StageState } from "./run-view.js";

type Colors = ReturnType<typeof pc.createColors>;
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Wrapper = ListrTaskWrapper<any, any, any>;

/** Draws wherever it is told to: the caller knows what is a terminal. */
class LiveRenderer extends DefaultRenderer {
  static override nonTTY = true;
}

export interface LiveOptions {
  err: (line: string) => void;
  now: () => number;
  /** Where to draw; the process's own streams unless a test looks. */
  stdout?: NodeJS.WriteStream;
  stderr?: NodeJS.WriteStream;
}

/** Lines of the terminal that are not for stages: headline, prompt, a margin. */
const OTHER_ROWS = 4;
const FEWEST_ROWS = 6;
/** How often text is made anew; listr2 draws ten times a second. */
const TEXT_INTERVAL_MS = 100;

const marks: Record<StageState, (colors: Colors) => string> = {
  waiting: ({ dim }) => dim("·"),
  running: ({ yellow }) => yellow("▸"),
  finished: ({ green }) => green("✔"),
  reused: ({ dim }) => dim("✔"),
  failed: ({ red }) => red("✖"),
  stopped: ({ yellow }) => yellow("■"),
  skipped: ({ dim }) => dim("-"),
};

export function createLiveProgress({ err, now, stdout, stderr }: LiveOptions): {
  sink: (event: StampedEvent) => void;
  end: () => Promise<void>;
} {
  const view = createRunView(now);
  const colors = pc.createColors(process.env["NO_COLOR"] === undefined);
  const terminal = stdout ?? process.stdout;
  const notices: string[] = [];
  let wrapper: Wrapper | undefined;
  let madeAt = -Infinity;
  let later: NodeJS.Timeout | undefined;
  let finish: (how: "done" | "failed") => void = () => undefined;
  const ended = new Promise<"done" | "failed">((resolve) => (finish = resolve));
  let drawing: Promise<unknown> | undefined;

  const text = (): string => {
    const room = Math.max(FEWEST_ROWS, (terminal.rows || 24) - OTHER_ROWS);
    const lines = view.lines(room).map((line) => `${marks[line.state](colors)} ${line.text}`);
    return [view.headline(), ...lines].join("\n");
  };
  const refresh = (): void => {
    clearTimeout(later);
    later = undefined;
    if (!wrapper) return;
    madeAt = now();
    wrapper.title = text();
  };

  function start(): void {
    const task = async (_: unknown, given: Wrapper): Promise<void> => {
      wrapper = given;
      refresh();
      const how = await ended;
      refresh();
      if (how === "failed") throw new Error(view.headline());
    };
    drawing = new Listr([{ title: text(), task }], {
      exitOnError: false,
      registerSignalListeners: false,
      renderer: LiveRenderer,
      rendererOptions: {
        showErrorMessage: false,
        // A line that wraps would be drawn at the wrong place.
        formatOutput: "truncate",
        logger: new ListrLogger({ processOutput: new ProcessOutput(stdout, stderr) }),
      },
    }).run();
  }

  return {
    sink(event) {
      view.take(event);
      const notice = noticeText(event);
      // The display owns the terminal until it ends: warnings are repeated below it.
      if (notice !== undefined && isLasting(event)) notices.push(notice);
      if (event.event === "run-started") start();
      else if (event.event !== "stage-progress" || now() - madeAt >= TEXT_INTERVAL_MS) refresh();
      // The last report before a long silence must be seen too.
      else later ??= setTimeout(refresh, TEXT_INTERVAL_MS);
    },
    async end() {
      finish(view.hasFailed() ? "failed" : "done");
      await drawing?.catch((error: unknown) =>
        err(`the progress display failed: ${String(error)}`),
      );
      for (const notice of notices) err(notice);
    },
  };
}

/** What is still worth reading when the run is over. */
function isLasting({ event }: StampedEvent): boolean {
  return event !== "stop-requested" && event !== "kill-requested" && event !== "stage-waiting";
}
