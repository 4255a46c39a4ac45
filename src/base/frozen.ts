/** @file Values that are frozen all the way down: what is computed of one can be kept. */

const deepFrozen = new WeakSet<object>();

/** Freezes a value and everything in it. */
export function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !deepFrozen.has(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) if (typeof item === "object") deepFreeze(item);
    deepFrozen.add(value);
  }
  return value;
}

/** Whether `deepFreeze` has frozen a value: nothing in it will ever change. */
export function isDeepFrozen(value: object): boolean {
  return deepFrozen.has(value);
}
