/**
 * @file Named fault points of the write path, for tests: `DLLM_FAULT=point:n:action` makes the
 * n-th operation at a point fail. Every write of the project passes one (see files.ts). Tests can
 * also watch the operations, to think through what a loss of power would leave of them.
 *
 * - point   `mkdir`, `create`, `write`, `append`, `cut`, `chmod`, `fsync`, `rename`, `remove`,
 *           `link`, or `any`; `point@text` counts only operations on paths that contain the text
 * - n       1 for the first; `2+` from the second on
 * - action  `kill` (SIGKILL before the operation), `torn` (half of the bytes, then SIGKILL),
 *           `eio`, `enospc`, `edquot`, `efbig`, `emfile` (the system call fails)
 */
const faultPoints = [
  "mkdir",
  "create",
  "write",
  "append",
  "cut",
  "chmod",
  "fsync",
  "rename",
  "remove",
  "link",
] as const;
type FaultPoint = (typeof faultPoints)[number];

const systemErrors = {
  eio: "i/o error",
  enospc: "no space left on device",
  edquot: "disk quota exceeded",
  efbig: "file too large",
  emfile: "too many open files",
} as const;

const faultActions = ["kill", "torn", "eio", "enospc", "edquot", "efbig", "emfile"] as const;
type FaultAction = (typeof faultActions)[number];

/** An operation about to happen. */
export type Operation =
  | { point: "mkdir" | "create" | "chmod" | "fsync" | "remove"; path: string }
  | { point: "write" | "append"; path: string; bytes: Uint8Array }
  | { point: "cut"; path: string; length: number }
  /** `from` becomes `path`. */
  | { point: "rename"; path: string; from: string }
  /** `path` becomes a symbolic link to `target`. */
  | { point: "link"; path: string; target: string };

interface Fault {
  point: FaultPoint | "any";
  pathPart: string;
  first: number;
  onward: boolean;
  action: FaultAction;
}

/** @throws Error when the text is not `point[@text]:n[+]:action`: a typo must not disable a test. */
export function parseFault(text: string): Fault {
  const match = /^([a-z]+)(?:@([^:]*))?:(\d+)(\+?):([a-z]+)$/.exec(text);
  const point = match?.[1] as FaultPoint | "any" | undefined;
  const action = match?.[5] as FaultAction | undefined;
  const first = Number(match?.[3]);
  if (
    !point ||
    !action ||
    !(point === "any" || faultPoints.includes(point)) ||
    !faultActions.includes(action) ||
    first < 1
  ) {
    throw new Error(`DLLM_FAULT is "${text}", expected point[@text]:n:action`);
  }
  return { point, pathPart: match?.[2] ?? "", first, onward: match?.[4] === "+", action };
}

let fault: Fault | undefined;
let passed = 0;
let observer: ((operation: Operation) => void) | undefined;

/** Sets the fault of this process, counting from now; undefined for none. */
export function injectFault(text: string | undefined): void {
  fault = text === undefined ? undefined : parseFault(text);
  passed = 0;
}

injectFault(process.env.DLLM_FAULT);

/** Shows every operation of this process to an observer before it happens; undefined for none. */
export function observeOperations(observe: ((operation: Operation) => void) | undefined): void {
  observer = observe;
}

function systemError(code: string, text: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${text}, injected at '${path}'`), { code, path });
}

/** Ends this process as a power switch would: no handler runs. */
export function killThisProcess(): never {
  process.kill(process.pid, "SIGKILL");
  // The signal may be delivered a moment later; nothing of ours may run until then.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}

/**
 * Marks an operation about to happen. Returns true when the caller must write half of its
 * bytes and then call killThisProcess().
 * @throws a system error when the fault asks for one
 */
export function faultPoint(operation: Operation): boolean {
  observer?.(operation);
  const { point, path } = operation;
  if (!fault || (fault.point !== "any" && fault.point !== point)) return false;
  if (!path.includes(fault.pathPart)) return false;
  passed++;
  if (fault.onward ? passed < fault.first : passed !== fault.first) return false;
  switch (fault.action) {
    case "kill":
      return killThisProcess();
    case "torn":
      return point === "write" || point === "append" ? true : killThisProcess();
    case "eio":
    case "enospc":
    case "edquot":
    case "efbig":
    case "emfile":
      throw systemError(fault.action.toUpperCase(), systemErrors[fault.action], path);
  }
}
