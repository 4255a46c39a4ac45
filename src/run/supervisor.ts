/**
 * @file Watches a stage process while it runs: that it makes progress, how much memory it has,
 * and that its log stays small.
 */
import { join } from "node:path";
import { startActiveTimer } from "../base/active-time.js";
import { appendLine } from "../base/fs.js";
import { capLog } from "../base/log-cap.js";
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
  end(): Promise<void>;
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
  let answerTimer: NodeJS.Timeout | undefined;

  const cutLog = async (): Promise<void> => {
    // The log is no reason to end a training: where it cannot be cut it is left.
    const droppedBytes = await capLog(logPath).catch(() => 0);
    if (droppedBytes > 0) emit({ event: "log-cut", stage, droppedBytes });
  };
  let cutting: Promise<void> | undefined;
  const look = setInterval(() => {
    if (pid !== undefined) peak = peakResidentBytes(pid) ?? peak;
    cutting ??= cutLog().finally(() => (cutting = undefined));
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
    inputs.reportState();
    answerTimer = setTimeout(() => {
      const threads = pid === undefined ? [] : threadStates(pid);
      for (const line of [`stalled; threads of process ${pid}:`, ...threads]) {
        appendLine(logPath, `[dllm] ${line}`);
      }
      inputs.stopStage();
    }, ANSWER_MS);
  }

  return {
    onMessage({ type }) {
      waiting = type === "waiting";
      if (!stalled) stall?.restart();
    },
    async end() {
      clearInterval(look);
      clearTimeout(answerTimer);
      stall?.cancel();
      await cutting;
      await cutLog();
    },
    hasStalled: () => stalled,
    peakRssBytes: () => peak,
  };
}
