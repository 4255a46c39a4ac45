/** @file The sources of a mix on this machine: verified, downloaded, their rows counted. */
import {
  countRows,
  openHubSource,
  openLocalSource,
  sourceRows,
  type OpenSource,
} from "../data/open-source.js";
import { rowReader, type RowReader } from "../data/row-mapping.js";
import { openHub, type Hub } from "../hub/hub.js";
import { readHubSettings } from "../hub/settings.js";
import type { SourceParams } from "../plan/params.js";
import { StageStopped, type StageContext } from "../plan/stage.js";

export interface MixSource extends OpenSource {
  params: SourceParams;
  reader: RowReader;
  /** Split to the numbers of its rows in the whole mix, in order. */
  rows: Readonly<Record<string, readonly number[]>>;
  /** Number of its first row in the mix, and of the one after its last. */
  first: number;
  end: number;
}

/** Throws when the stage was asked to stop: what is downloaded or published stays. */
export function checkStop({ stop }: StageContext): void {
  if (stop.requested) throw new StageStopped("stopped while preparing data");
}

/** Returns the hub as the environment describes it; what it does meanwhile goes to the log. */
export function stageHub(context: StageContext): Hub {
  return openHub(readHubSettings(process.env), { log: (line) => context.log(line) });
}

/** Runs an action that ends when the stage is asked to stop. */
export async function stoppable<T>(
  context: StageContext,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const timer = setInterval(() => {
    if (context.stop.requested) abort.abort(new StageStopped("stopped while downloading"));
  }, 200);
  try {
    return await action(abort.signal);
  } finally {
    clearInterval(timer);
  }
}

/** Opens the sources of a mix one after another. */
export async function openSources(
  context: StageContext,
  sources: readonly SourceParams[],
  textField: string,
): Promise<MixSource[]> {
  const opened: MixSource[] = [];
  let first = 0;
  for (const params of sources) {
    const { name, config, options } = params;
    context.progress({ done: opened.length, unit: "source", message: `reading ${name}` });
    checkStop(context);
    const source = await openSource(context, params);
    const reader = rowReader({ name, config, options, textField });
    const counts = await countRows(source);
    const end = first + Object.values(counts).reduce((sum, count) => sum + count, 0);
    const rows = await wantedRows(source, { counts, first, reader, options });
    opened.push({ ...source, params, reader, rows, first, end });
    for (const [split, { length }] of Object.entries(rows)) {
      context.log(`${name}: ${length} rows in ${split}`);
    }
    first = end;
  }
  return opened;
}

async function openSource(context: StageContext, params: SourceParams): Promise<OpenSource> {
  const { name, hub } = params;
  if (hub === undefined) return openLocalSource(params, locationOf(context, name));
  return stoppable(context, (signal) =>
    openHubSource(stageHub(context), params, {
      signal,
      onProgress: (done, total) =>
        context.progress({ done, total, unit: "byte", message: `downloading ${name}` }),
    }),
  );
}

export function locationOf({ job }: StageContext, name: string): string {
  const location = job.locations[name];
  if (location === undefined) throw new Error(`the job names no location of "${name}"`);
  return location;
}

/** Returns the rows of each split; only those of the language that is asked for. */
export async function wantedRows(
  source: OpenSource,
  {
    counts,
    first,
    reader,
    options,
  }: {
    counts: Readonly<Record<string, number>>;
    first: number;
    reader: RowReader;
    options: SourceParams["options"];
  },
): Promise<Record<string, number[]>> {
  const rows: Record<string, number[]> = {};
  let at = first;
  for (const [split, count] of Object.entries(counts)) {
    const start = at;
    rows[split] = Array.from({ length: count }, (_, i) => start + i);
    at += count;
  }
  if (options["lang"] === undefined) return rows;
  const isWanted = new Uint8Array(at - first);
  let index = 0;
  for await (const row of sourceRows(source)) {
    isWanted[index++] = row.problem === undefined && reader.isWanted(row) ? 1 : 0;
  }
  return Object.fromEntries(
    Object.entries(rows).map(([split, ids]) => [split, ids.filter((id) => isWanted[id - first])]),
  );
}
