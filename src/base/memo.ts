/**
 * @file Remembers what was made of the very same things: the trials of a sweep differ in little,
 * and share the rest as the same objects.
 */

/**
 * Returns what `make` returns, or what it returned before for this key and these parts (the same
 * objects, equal primitives). The parts and the value must not change in place.
 */
export type Memo = <Value>(key: string, parts: readonly unknown[], make: () => Value) => Value;

/** Values by key; what differs in each of thousands of trials must not fill the memory. */
const REMEMBERED = 16;

/** A memo that remembers the last values of each key. */
export function createMemo(): Memo {
  const remembered = new Map<string, Remembered[]>();
  return <Value>(key: string, parts: readonly unknown[], make: () => Value): Value => {
    let known = remembered.get(key);
    if (known === undefined) remembered.set(key, (known = []));
    for (const each of known) if (isSame(each.parts, parts)) return each.value as Value;
    const value = make();
    if (known.length === REMEMBERED) known.shift();
    known.push({ parts, value });
    return value;
  };
}

interface Remembered {
  parts: readonly unknown[];
  value: unknown;
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A memo that makes everything anew. */
export const noMemo: Memo = (_key, _parts, make) => make();
