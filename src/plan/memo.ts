/**
 * @file Remembers what was made last under a key, for as long as it would be made of the very
 * same things: trials of a sweep differ in little, and share the rest.
 */

/** Returns what `make` returns, or the value of the last call with this key and these parts. */
export type Memo = <Value>(key: string, parts: readonly unknown[], make: () => Value) => Value;

/** A memo that remembers. The parts must not change in place. */
export function createMemo(): Memo {
  const last = new Map<string, { parts: readonly unknown[]; value: unknown }>();
  return <Value>(key: string, parts: readonly unknown[], make: () => Value): Value => {
    const known = last.get(key);
    const isSame =
      known?.parts.length === parts.length && parts.every((part, i) => part === known.parts[i]);
    if (isSame) return known!.value as Value;
    const value = make();
    last.set(key, { parts, value });
    return value;
  };
}

/** A memo that makes everything anew. */
export const noMemo: Memo = (_key, _parts, make) => make();
