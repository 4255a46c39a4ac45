/**
 * @file Named fault points of the write path, for tests: `DLLM_FAULT=point:n:action` makes the
 * n-th operation at a point fail. Every write of the project passes one (see files.ts).
 *
 * - point   `mkdir`, `write`, `append`, `fsync`, `rename`, `remove`, `link`, `chmod`, or `any`;
 *           `point@text` counts only operations on paths that contain the text
 * - n       1 for the first; `2+` from the second on
 * - action  `kill` (SIGKILL before the operation), `torn` (half of the bytes, then SIGKILL),
 *           `eio`, `enospc` (the system call fails)
 */
const faultPoints = [
  "mkdir",
  "write",
  "append",
  "fsync",
  "rename",
  "remove",
  "link",
  "chmod",
] as const;
export type FaultPoint = (typeof faultPoints)[number];

const faultActions = ["kill", "torn", "eio", "enospc"] as const;
export type FaultAction = (typeof faultActions)[number];

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

/** Sets the fault of this process, counting from now; undefined for none. */
export function injectFault(text: string | undefined): void {
  fault = text === undefined ? undefined : parseFault(text);
  passed = 0;
}

injectFault(process.env.DLLM_FAULT);

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
export function faultPoint(point: FaultPoint, path: string): boolean {
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
      throw systemError("EIO", "i/o error", path);
    case "enospc":
      throw systemError("ENOSPC", "no space left on device", path);
  }
}
