/** @file What an action that must fail fails with. */
import { DllmError } from "../../src/base/errors.js";

/** Returns the error that an action ends with; any other error, and none, fails the test. */
export async function thrownBy(action: Promise<unknown>): Promise<DllmError> {
  const error: unknown = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof DllmError)) throw error ?? new Error("no error");
  return error;
}
