/**
 * @file Token lists of the reference's command line, as `[126081;126348]`.
 * Source: ZHZisZZ/dllm@ca17675 dllm/core/eval/mdlm.py, _parse_token_list.
 */
import { DllmError, ExitCode } from "../base/errors.js";
import { pythonStrip } from "../data/chat-template.js";

/**
 * Returns the ids of a text, separated by semicolons, brackets optional, or of an array. Anything
 * else is no list and gives none, a bare number too, as in the reference.
 * @throws DllmError 65 when an item is not an integer
 */
export function parseTokenList(value: unknown): number[] {
  if (Array.isArray(value)) return value.map(parseId);
  if (typeof value !== "string") return [];
  let text = pythonStrip(value);
  if (text.startsWith("[") && text.endsWith("]")) text = text.slice(1, -1);
  return text
    .split(";")
    .map(pythonStrip)
    .filter((item) => item !== "")
    .map(parseId);
}

function parseId(item: unknown): number {
  const isInteger = typeof item === "string" ? /^[+-]?[0-9]+$/.test(item) : Number.isInteger(item);
  if (isInteger) return Number(item);
  throw new DllmError(`token list: found ${JSON.stringify(item)}, expected a token id`, {
    exitCode: ExitCode.invalidInput,
    details: ["ids are integers separated by semicolons, as in [126081;126348]"],
  });
}
