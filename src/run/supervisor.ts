/**
 * @file Watches a stage process while it runs: that it makes progress, how much memory it has,
 * and that its log stays small.
 */
import { join } from "node:path";
import { startActiveTimer } from "../base/active-time.js";
import { capLog, noteInLog } from "../base/log-cap.js";
import { stageFiles, type StageMessage } from "../plan/stage-files.js";
import type { RunEvent } from "../report/events.js";
import { isStopped, peakResidentBytes, threadStates } from "./process-state.js";

export interface SupervisionInputs {
  stage: string;
  pid: number | undefined;
  workingDirectory: string;
  /** Without a report for so long a stage has stalled; 0: never. */
  stallTimeoutMs: number;
  emit: (event: RunEvent) => void;
  reportState: () => void;
  /** Stops it because it has stalled. */
  stopStage: () => void;
}

export interface Supervision {
  onMessage(message: StageMessage): void;
  /** Ends the watching and leaves the log small. */
  end(): void;
  hasStalled(): boolean;
  /** The most memory seen so far. */
  peakRssBytes(): number | undefined;
}

const LOOK_MS = 250;
/** A stage whose event loop runs has answered by then. */
const ANSWER_MS = 1000;

export function supervise(inputs: SupervisionInputs): Supervision {
  const { stage, pid, workingDirectory, stallTimeoutMs, emit } = inputs;
  const logPath = join(workingDirectory, stageFiles.log);
  let peak: number | undefined;
  let waiting = false;
  let stalled = false;
  let hasReported = false;
  let answerTimer: NodeJS.Timeout | undefined;

  const cutLog = (): void => {
    try {
      const droppedBytes = capLog(logPath);
      if (droppedBytes > 0) emit({ event: "log-cut", stage, droppedBytes });
    } catch {
      // The log is no reason to end a training: where it cannot be cut it is left.
    }
  };
  const look = setInterval(() => {
    if (pid !== undefined) peak = peakResidentBytes(pid) ?? peak;
    cutLog();
  }, LOOK_MS);

  const stall =
    stallTimeoutMs > 0
      ? startActiveTimer(stallTimeoutMs, onStall, {
          isCounting: () => !waiting && !(pid !== undefined && isStopped(pid)),
        })
      : undefined;

  function onStall(): void {
    stalled = true;
    emit({ event: "stage-stalled", stage, seconds: stallTimeoutMs / 1000 });
    // Before it listens, the signal would make Node open a port for a debugger.
    if (hasReported) inputs.reportState();
    answerTimer = setTimeout(() => {
      const threads = pid === undefined ? [] : threadStates(pid);
      for (const line of [`stalled; threads of process ${pid}:`, ...threads]) {
        noteInLog(logPath, line);
      }
      inputs.stopStage();
    }, ANSWER_MS);
  }

  return {
    onMessage({ type }) {
      hasReported = true;
      waiting = type === "waiting";
      if (!stalled) stall?.restart();
    },
    end() {
      clearInterval(look);
      clearTimeout(answerTimer);
      stall?.cancel();
      cutLog();
    },
    hasStalled: () => stalled,
    peakRssBytes: () => peak,
  };
}
