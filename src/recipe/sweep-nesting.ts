/**
 * @file W&B writes a parameter's key as a path of nested `parameters`; here it is one key:
 * `sft: {parameters: {learning_rate: …}}` is `sft.learning_rate: …`.
 */
import type { Issue } from "./issues.js";
import type { MapEntry, MapNode } from "./source-tree.js";
import { formatPosition } from "./source-tree.js";

/** Returns the recipe with every parameter of its sweep under its whole key. */
export function flattenSweep(root: MapNode): { root: MapNode; issues: readonly Issue[] } {
  const sweep = root.entries.get("sweep");
  const written = sweep?.value.type === "map" ? sweep.value.entries.get("parameters") : undefined;
  if (sweep?.value.type !== "map" || written?.value.type !== "map") return { root, issues: [] };

  const issues: Issue[] = [];
  const flat = new Map<string, MapEntry>();
  const visit = (entries: MapNode["entries"], prefix: string) => {
    for (const [name, entry] of entries) {
      const key = `${prefix}${name}`;
      const { parameters, others } = nestedIn(entry);
      const earlier = flat.get(key);
      if (parameters !== undefined) {
        for (const [other, { keyAt }] of others) {
          const message = `${other} is written beside the parameters within ${key}`;
          issues.push({ at: keyAt, message, details: ["remove one of the two"] });
        }
        visit(parameters, `${key}.`);
      } else if (earlier !== undefined) {
        issues.push({
          at: entry.keyAt,
          message: `the sweep varies ${key} twice`,
          details: [`it was first written at ${formatPosition(earlier.keyAt)}`],
        });
      } else flat.set(key, entry);
    }
  };
  visit(written.value.entries, "");
  const parameters = { ...written, value: { ...written.value, entries: flat } };
  const entries = new Map(sweep.value.entries).set("parameters", parameters);
  const value: MapNode = { ...sweep.value, entries };
  return {
    root: { ...root, entries: new Map(root.entries).set("sweep", { ...sweep, value }) },
    issues,
  };
}

/** The parameters within one, and what else it says, which W&B has no use for. */
function nestedIn({ value }: MapEntry): {
  parameters: MapNode["entries"] | undefined;
  others: [string, MapEntry][];
} {
  const nested = value.type === "map" ? value.entries.get("parameters")?.value : undefined;
  if (value.type !== "map" || nested?.type !== "map") return { parameters: undefined, others: [] };
  const others = [...value.entries].filter(([key]) => key !== "parameters");
  return { parameters: nested.entries, others };
}
