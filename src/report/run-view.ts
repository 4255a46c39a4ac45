/**
 * @file How far a run is, in a few lines: what runs, what failed, what comes next; finished
 * stages become a count where there are more stages than lines. Pure: events in, lines out.
 */
import { sanitize } from "../base/sanitize.js";
import { createEta, type EtaEstimator } from "./eta.js";
import { handleEvent, type StampedEvent } from "./events.js";
import { formatDuration } from "./format.js";
import { noticeText, stoppedText } from "./progress-plain.js";
import { progressBar, progressText } from "./progress-text.js";

export type StageState =
  "waiting" | "running" | "finished" | "reused" | "failed" | "stopped" | "skipped";

export interface ViewLine {
  state: StageState;
  text: string;
}

export interface RunView {
  take(event: StampedEvent): void;
  /** One line about the whole. */
  headline(): string;
  /** At most so many lines about stages. */
  lines(limit: number): ViewLine[];
  hasFailed(): boolean;
}

interface ViewedStage {
  id: string;
  state: StageState;
  text: string;
  eta: EtaEstimator;
}

const BAR_WIDTH = 20;
const FAILURES_SHOWN = 5;
const WAITING_SHOWN = 3;

/** Returns the view of a run that has not begun. @param now monotonic milliseconds */
export function createRunView(now: () => number): RunView {
  const stages = new Map<string, ViewedStage>();
  // By state, each in plan order, or in the order in which they came to it.
  const byState = new Map<StageState, Set<ViewedStage>>();
  let name = "";
  let width = 0;
  let trials: { total: number; finished: number; stopped: number } | undefined;
  let isOver = false;

  const group = (state: StageState): Set<ViewedStage> => {
    let found = byState.get(state);
    if (!found) byState.set(state, (found = new Set()));
    return found;
  };
  function show(id: string, text: string, state?: StageState): void {
    const stage = stages.get(id);
    if (!stage) return;
    stage.text = text;
    if (state === undefined || state === stage.state) return;
    group(stage.state).delete(stage);
    stage.state = state;
    group(state).add(stage);
  }

  function take(event: StampedEvent): void {
    const notice = noticeText(event);
    if (notice !== undefined && "stage" in event && event.stage !== null) {
      show(event.stage, notice.split("\n")[0]!);
    }
    handleEvent(event, {
      "run-started": (started) => {
        name = started.run;
        if (started.trials !== undefined)
          trials = { total: started.trials, finished: 0, stopped: 0 };
        width = Math.max(0, ...started.stages.map(({ id }) => id.length));
        for (const { id, reason } of started.stages) {
          const stage: ViewedStage = {
            ...{ id, state: "waiting", text: sanitize(reason), eta: createEta() },
          };
          stages.set(id, stage);
          group("waiting").add(stage);
        }
      },
      "stage-reused": ({ stage, reason }) => show(stage, `reused: ${sanitize(reason)}`, "reused"),
      "stage-started": ({ stage }) => {
        const viewed = stages.get(stage);
        if (viewed) viewed.eta = createEta();
        show(stage, viewed?.text ?? "", "running");
      },
      "stage-resumed": ({ stage, step }) => show(stage, `resumed at step ${step}`),
      "stage-progress": ({ stage, ...progress }) => {
        const text = progressText(progress, stages.get(stage)?.eta.update(progress, now()));
        show(stage, `${progressBar(progress, BAR_WIDTH)} ${text}`.trimStart());
      },
      "stage-finished": ({ stage, seconds }) =>
        show(stage, `finished in ${formatDuration(seconds)}`, "finished"),
      "stage-failed": ({ stage, reason }) => show(stage, `failed: ${reason}`, "failed"),
      "stage-stopped": (stopped) => show(stopped.stage, stoppedText(stopped), "stopped"),
      "stage-skipped": ({ stage, because }) => show(stage, `not run: ${because}`, "skipped"),
      "trial-stopped-early": () => {
        if (trials) trials.stopped++;
      },
      "trial-finished": ({ status }) => {
        if (trials && status === "finished") trials.finished++;
      },
      "run-finished": () => {
        isOver = true;
        for (const { id } of [...group("waiting"), ...group("running")])
          show(id, "not run", "skipped");
      },
    });
  }

  const lineOf = ({ id, state, text }: ViewedStage): ViewLine => ({
    state,
    text: `${id.padEnd(width)}  ${text}`,
  });
  const first = (state: StageState, limit: number): ViewedStage[] => {
    const found: ViewedStage[] = [];
    for (const stage of group(state)) {
      if (found.length === limit) break;
      found.push(stage);
    }
    return found;
  };
  const count = (state: StageState) => group(state).size;

  /** More stages than lines: those that matter now, and counts of the others. */
  function shortened(limit: number): ViewLine[] {
    const part = (state: StageState, shown: number, more: string): ViewLine[] => {
      const left = count(state) - shown;
      const shownLines = first(state, shown).map(lineOf);
      return left > 0 ? [...shownLines, { state, text: `${left} ${more}` }] : shownLines;
    };
    const failures = part("failed", Math.min(FAILURES_SHOWN, count("failed")), "more failed");
    const waiting = part("waiting", Math.min(WAITING_SHOWN, count("waiting")), "more waiting");
    const counted = [
      ...part("reused", 0, "reused"),
      ...part("finished", 0, "finished"),
      ...part("skipped", 0, "not run"),
    ];
    const stopped = part("stopped", Math.min(WAITING_SHOWN, count("stopped")), "more stopped");
    const others = [...counted, ...failures, ...stopped];
    const room = Math.max(1, limit - others.length - waiting.length - 1);
    const running = part("running", Math.min(room, count("running")), "more running");
    return [...others, ...running, ...waiting].slice(0, limit);
  }

  return {
    take,
    headline() {
      const done = count("finished") + count("reused");
      const ofTrials =
        trials &&
        `${trials.total} trials` + (trials.stopped > 0 ? `, ${trials.stopped} stopped early` : "");
      return [
        `${name}: ${done} of ${stages.size} stages`,
        ...(isOver || count("running") === 0 ? [] : [`${count("running")} running`]),
        ...(count("failed") === 0 ? [] : [`${count("failed")} failed`]),
        ...(ofTrials === undefined ? [] : [ofTrials]),
      ].join(", ");
    },
    lines: (limit) => (stages.size <= limit ? [...stages.values()].map(lineOf) : shortened(limit)),
    hasFailed: () => count("failed") > 0,
  };
}

/** Returns a run's headline and its running stages in one line, for whoever asks by a signal. */
export function statusLine(view: RunView): string {
  const running = view.lines(Infinity).filter(({ state }) => state === "running");
  const texts = running.slice(0, 8).map(({ text }) => text.replace(/\s+/g, " "));
  return [view.headline(), ...texts].join("; ");
}
