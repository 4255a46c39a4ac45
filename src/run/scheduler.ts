/**
 * @file Which stages may start now: greedy list scheduling in plan order on slots of a machine.
 * Pure: no clock, no process; the executor tells it what ended.
 *
 * Plan order, not the critical path: units of estimates differ between kinds (steps, rows), so
 * that path lengths would be guesses; and the trials of a sweep finish one after the other, so
 * that there are early results. Any order of a greedy list ends within (2 - 1/m) of the best
 * possible time on m equal slots (Graham 1969), and one slot loses nothing by it.
 */
export interface Task {
  id: string;
  /** Ids of tasks that must end well before; ids that are no task of the schedule count as done. */
  needs: readonly string[];
  threads: number;
  memoryBytes?: number;
  gpus?: number;
  /** Tasks of equal identity make the same thing: never at the same time. */
  identity?: string;
}

/** What there is to share. A task that wants more than all takes all. */
export interface Slots {
  /** Tasks at a time. */
  tasks: number;
  threads: number;
  memoryBytes?: number;
  /** Names of devices as CUDA_VISIBLE_DEVICES has them. */
  gpus?: readonly string[];
}

/** A task that was started, and what it holds until it ends. */
export interface Grant {
  id: string;
  threads: number;
  gpus: readonly string[];
}

export interface Scheduler {
  /**
   * Starts what can start now, in plan order.
   * @param isDone asked once per task when its needs are met, and again before it starts:
   * a task that is done already takes no slot
   */
  start(isDone?: (id: string) => boolean): Grant[];
  /** A started task has ended well. */
  finish(id: string): void;
  /**
   * A task ended otherwise, or never will start.
   * @returns it and the tasks that cannot start any more; none when it was over already
   */
  abandon(id: string): string[];
  /** Whether nothing waits and nothing runs. */
  isOver(): boolean;
  running(): readonly string[];
}

type State = "waiting" | "ready" | "running" | "done" | "abandoned";

/** Returns a scheduler of tasks in a topological order. @throws Error for a task that is there twice */
export function createScheduler(tasks: readonly Task[], slots: Slots): Scheduler {
  const index = new Map(tasks.map(({ id }, i) => [id, i]));
  if (index.size < tasks.length) throw new Error("scheduler: a task is there twice");
  const needsOf = tasks.map(({ needs }) =>
    [...new Set(needs)].flatMap((id) => index.get(id) ?? []),
  );
  const missing = needsOf.map(({ length }) => length);
  const followers = tasks.map((): number[] => []);
  needsOf.forEach((needs, i) => needs.forEach((need) => followers[need]!.push(i)));

  const states = tasks.map((): State => "waiting");
  const grants = new Map<number, Grant & { memoryBytes: number }>();
  const busyIdentities = new Set<string>();
  const memory = slots.memoryBytes ?? Infinity;
  const free = { threads: slots.threads, memoryBytes: memory, gpus: [...(slots.gpus ?? [])] };
  // Kept in plan order.
  const ready: number[] = [];
  // Ready tasks that nobody was asked about yet.
  let fresh: number[] = [];
  let open = tasks.length;

  const makeReady = (i: number): void => {
    states[i] = "ready";
    fresh.push(i);
  };
  const settle = (i: number, state: "done" | "abandoned"): void => {
    states[i] = state;
    open--;
    if (state === "abandoned") return;
    for (const follower of followers[i]!) {
      if (--missing[follower]! === 0 && states[follower] === "waiting") makeReady(follower);
    }
  };
  tasks.forEach((_, i) => missing[i] === 0 && makeReady(i));

  function fits(task: Task): boolean {
    return (
      grants.size < slots.tasks &&
      Math.min(task.threads, slots.threads) <= free.threads &&
      Math.min(task.memoryBytes ?? 0, memory) <= free.memoryBytes &&
      Math.min(task.gpus ?? 0, slots.gpus?.length ?? 0) <= free.gpus.length &&
      !(task.identity !== undefined && busyIdentities.has(task.identity))
    );
  }

  function take(i: number): Grant {
    const { id, threads, memoryBytes = 0, gpus = 0, identity } = tasks[i]!;
    const grant = {
      id,
      threads: Math.min(threads, slots.threads),
      memoryBytes: Math.min(memoryBytes, memory),
      gpus: free.gpus.splice(0, gpus),
    };
    free.threads -= grant.threads;
    free.memoryBytes -= grant.memoryBytes;
    if (identity !== undefined) busyIdentities.add(identity);
    states[i] = "running";
    grants.set(i, grant);
    return grant;
  }

  function giveBack(i: number): void {
    const grant = grants.get(i);
    if (!grant) return;
    grants.delete(i);
    free.threads += grant.threads;
    free.memoryBytes += grant.memoryBytes;
    free.gpus = (slots.gpus ?? []).filter((g) => free.gpus.includes(g) || grant.gpus.includes(g));
    const { identity } = tasks[i]!;
    if (identity !== undefined) busyIdentities.delete(identity);
  }

  return {
    start(isDone = () => false) {
      const started: Grant[] = [];
      // A task that is done makes others ready: until there is no news.
      do {
        for (const i of fresh.splice(0).sort((a, b) => a - b)) {
          if (isDone(tasks[i]!.id)) settle(i, "done");
          else insert(ready, i);
        }
        for (let at = 0; at < ready.length && grants.size < slots.tasks && free.threads > 0;) {
          const i = ready[at]!;
          if (!fits(tasks[i]!)) at++;
          else {
            ready.splice(at, 1);
            if (isDone(tasks[i]!.id)) settle(i, "done");
            else started.push(take(i));
          }
        }
      } while (fresh.length > 0);
      return started;
    },
    finish(id) {
      const i = index.get(id);
      if (i === undefined || states[i] !== "running") {
        throw new Error(`scheduler: ${id} ended, and was not running`);
      }
      giveBack(i);
      settle(i, "done");
    },
    abandon(id) {
      const lost: string[] = [];
      const first = index.get(id);
      const stack = first === undefined ? [] : [first];
      for (let i = stack.pop(); i !== undefined; i = stack.pop()) {
        if (states[i] === "done" || states[i] === "abandoned") continue;
        giveBack(i);
        remove(ready, i);
        fresh = fresh.filter((each) => each !== i);
        settle(i, "abandoned");
        lost.push(tasks[i]!.id);
        stack.push(...followers[i]!);
      }
      return lost;
    },
    isOver: () => open === 0,
    running: () => [...grants.values()].map(({ id }) => id),
  };
}

/** Inserts a number in an ascending list. */
function insert(list: number[], value: number): void {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! < value) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, value);
}

function remove(list: number[], value: number): void {
  const at = list.indexOf(value);
  if (at >= 0) list.splice(at, 1);
}
