/** @file The columns of a dataset that a recipe may name, and which of its sections read them. */
import type { DatasetPart } from "./dataset-args.js";
import { invalidData } from "./formats/row.js";

export const columnOptions = ["messages", "prompt", "completion", "text"] as const;

/** The options of a dataset that say how its rows are read. */
export const rowOptions: readonly string[] = [...columnOptions, "lang"];

/** The columns that a section reads: of its texts or of its conversations. */
const columnsOf = {
  pretrain: ["text"],
  sft: ["messages", "prompt", "completion"],
} as const;

/**
 * Refuses columns that contradict each other, or that a section would silently not read.
 * @param section without, as for a tokenizer, both texts and conversations are read
 * @throws DllmError 65
 */
export function checkColumns(
  { name, options }: Pick<DatasetPart, "name" | "options">,
  section?: keyof typeof columnsOf,
): void {
  const named = columnOptions.filter((key) => options[key] !== undefined);
  const read: readonly string[] = section === undefined ? columnOptions : columnsOf[section];
  const unread = named.find((key) => !read.includes(key));
  if (unread !== undefined) {
    throw invalidData(`dataset "${name}": ${section} does not read the column "${unread}"`, [
      `expected ${read.join(", ")}, or no column: it is found by its name`,
    ]);
  }
  if (named.includes("prompt") !== named.includes("completion")) {
    throw invalidData(`dataset "${name}": prompt and completion go together`, [
      "expected both, such as [prompt:question,completion:answer]",
    ]);
  }
  const kinds = ["messages", "prompt", "text"].filter((key) => options[key] !== undefined);
  if (kinds.length > 1) {
    throw invalidData(`dataset "${name}": both ${kinds.join(" and ")} are named`, [
      "expected one of: messages; prompt and completion; text",
    ]);
  }
}
