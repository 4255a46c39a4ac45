/**
 * @file Live progress on a terminal, one line per stage, drawn by listr2. It only draws: its
 * signal handler (which would call process.exit) is off, and its errors never leave this file.
 */
import { DefaultRenderer, Listr, ListrLogger, ProcessOutput, type ListrTaskWrapper } from "listr2";
import { sanitize } from "../base/sanitize.js";
import { createEta } from "./eta.js";
import { handleEvent, type StageSummary, type StampedEvent } from "./events.js";
import { formatDuration } from "./format.js";
import { noticeText, stoppedText } from "./progress-plain.js";
import { progressBar, progressText } from "./progress-text.js";

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Wrapper = ListrTaskWrapper<any, any, any>;

const BAR_WIDTH = 20;

/** Draws wherever it is told to: the caller knows what is a terminal. */
class LiveRenderer extends DefaultRenderer {
  static override nonTTY = true;
}

/** How a stage's line ends. */
type Ending = { how: "done" | "skipped" | "failed"; text: string };

class StageLine {
  readonly eta = createEta();
  readonly #ended: Promise<Ending>;
  #end!: (ending: Ending) => void;
  #wrapper: Wrapper | undefined;
  #text: string;

  constructor(
    readonly stage: StageSummary,
    readonly width: number,
  ) {
    this.#text = this.label(sanitize(stage.reason));
    this.#ended = new Promise((resolve) => (this.#end = resolve));
  }

  label(text: string): string {
    return `${this.stage.id.padEnd(this.width)}  ${text}`;
  }

  show(text: string): void {
    this.#text = this.label(text);
    if (this.#wrapper) this.#wrapper.title = this.#text;
  }

  end(how: Ending["how"], text: string): void {
    this.#end({ how, text: this.label(text) });
  }

  /** The listr2 task: drawn until the stage ends. */
  async draw(wrapper: Wrapper): Promise<void> {
    this.#wrapper = wrapper;
    wrapper.title = this.#text;
    const { how, text } = await this.#ended;
    wrapper.title = text;
    if (how === "skipped") wrapper.skip(text);
    if (how === "failed") throw new Error(text);
  }
}

export interface LiveOptions {
  err: (line: string) => void;
  now: () => number;
  /** Where to draw; the process's own streams unless a test looks. */
  stdout?: NodeJS.WriteStream;
  stderr?: NodeJS.WriteStream;
}

export function createLiveProgress({ err, now, stdout, stderr }: LiveOptions): {
  sink: (event: StampedEvent) => void;
  end: () => Promise<void>;
} {
  const lines = new Map<string, StageLine>();
  const notices: string[] = [];
  let drawing: Promise<unknown> = Promise.resolve();

  function start(stages: readonly StageSummary[]): void {
    const width = Math.max(...stages.map(({ id }) => id.length));
    for (const stage of stages) lines.set(stage.id, new StageLine(stage, width));
    const tasks = [...lines.values()].map((line) => ({
      title: line.label(sanitize(line.stage.reason)),
      task: (_: unknown, wrapper: Wrapper) => line.draw(wrapper),
    }));
    drawing = new Listr(tasks, {
      concurrent: false,
      exitOnError: false,
      registerSignalListeners: false,
      renderer: LiveRenderer,
      rendererOptions: {
        showErrorMessage: false,
        showSkipMessage: true,
        collapseSkips: true,
        logger: new ListrLogger({ processOutput: new ProcessOutput(stdout, stderr) }),
      },
    }).run();
  }

  function sink(event: StampedEvent): void {
    if (event.event === "run-started") return start(event.stages);
    if (event.event === "run-finished") {
      // Ends that were not told: the stages after a failure or a stop.
      for (const line of lines.values()) line.end("skipped", "not run");
      return;
    }
    const line = "stage" in event && event.stage !== null ? lines.get(event.stage) : undefined;
    const notice = noticeText(event);
    if (notice !== undefined) {
      // The display owns the terminal until it ends: warnings are repeated below it.
      if (event.event === "quarantined") notices.push(notice);
      line?.show(notice.split("\n")[0]!);
    }
    if (line) showEvent(line, event, now());
  }

  return {
    sink,
    async end() {
      for (const line of lines.values()) line.end("skipped", "not run");
      await drawing.catch((error: unknown) => err(`the progress display failed: ${String(error)}`));
      for (const notice of notices) err(notice);
    },
  };
}

function showEvent(line: StageLine, event: StampedEvent, nowMs: number): void {
  handleEvent(event, {
    "stage-reused": ({ reason }) => line.end("skipped", `reused: ${sanitize(reason)}`),
    "stage-resumed": ({ step }) => line.show(`resumed at step ${step}`),
    "stage-progress": (progress) => {
      const text = progressText(progress, line.eta.update(progress, nowMs));
      line.show(`${progressBar(progress, BAR_WIDTH)} ${text}`.trimStart());
    },
    "stage-finished": ({ seconds }) => line.end("done", `finished in ${formatDuration(seconds)}`),
    "stage-failed": () => line.end("failed", "failed"),
    "stage-stopped": (stopped) => line.end("skipped", stoppedText(stopped)),
  });
}
