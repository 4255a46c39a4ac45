/** @file What layers of a recipe do to each other, told from their plain values alone. */

/** What a file says about itself, which those that extend it do not take over. */
const OWN_KEYS: ReadonlySet<string> = new Set(["name", "description"]);

export type Path = readonly string[];

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the value at a path of keys and indices. */
export function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (found, key) => (found as Record<string, unknown> | null | undefined)?.[key],
    root,
  );
}

/**
 * Why what layer `index` says at a path has no effect, if it has none. Each layer extends the next
 * one, so that those before it are laid over it.
 */
export function whyDead(layers: readonly unknown[], index: number, path: Path): string | undefined {
  if (index > 0 && OWN_KEYS.has(path[0]!)) return "not inherited";
  const isReplaced = layers
    .slice(0, index)
    .some((above) => isReplacedBy(above, layers[index], path));
  return isReplaced ? "replaced by a recipe that extends it" : undefined;
}

function isReplacedBy(above: unknown, below: unknown, path: Path): boolean {
  if (path[0] === "extends") return false;
  let [upper, lower] = [above, below];
  for (const key of path) {
    if (!isMap(upper) || !(key in upper)) return false;
    upper = upper[key];
    lower = isMap(lower) ? lower[key] : undefined;
    if (!isMap(upper)) return true;
    // A map over something else: one of the two is a mistake.
    if (!isMap(lower)) return lower === null;
  }
  return false;
}

/** Whether another layer than `index` says something at a path, too; lists are never merged. */
export function isSaidElsewhere(layers: readonly unknown[], index: number, path: Path): boolean {
  return layers.some((layer, other) => {
    if (other === index || (other > 0 && OWN_KEYS.has(path[0]!))) return false;
    let value: unknown = layer;
    for (const key of path) {
      if (!isMap(value) || !(key in value)) return false;
      value = value[key];
    }
    return true;
  });
}
