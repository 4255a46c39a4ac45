/**
 * @file HTML in which everything that is not markup of ours is escaped: text in a template can
 * only become text, whatever it contains.
 */
import { sanitize } from "../base/sanitize.js";

/** Markup that was made by the `html` template and is not escaped again. */
export interface Html {
  readonly markup: string;
}

export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Returns a text that is safe between tags and inside quoted attributes. */
export function escapeHtml(text: string): string {
  return sanitize(text).replace(/[&<>"']/g, (character) => entities[character]!);
}

function render(value: HtmlValue): string {
  if (value === undefined) return "";
  if (typeof value === "string") return escapeHtml(value);
  if (typeof value === "number") return String(value);
  if ("markup" in value) return value.markup;
  return value.map(render).join("");
}

/** Returns markup; interpolated values are escaped unless they are markup themselves. */
export function html(literals: TemplateStringsArray, ...values: HtmlValue[]): Html {
  let markup = literals[0]!;
  values.forEach((value, i) => (markup += render(value) + literals[i + 1]!));
  return { markup };
}

/** Declares text of this package (a script, a style sheet) to be markup. */
export function trusted(markup: string): Html {
  return { markup };
}

/** Returns a value as JSON in ASCII that cannot end the script element it stands in. */
export function embedJson(value: unknown): Html {
  const json = JSON.stringify(value).replace(
    /[<>&]|[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return { markup: json };
}
