/**
 * @file One HTML file that needs nothing but itself. Its policy lets no style apply and no script
 * run but those that stand in it, named by their hashes, and loads nothing from anywhere.
 */
import { createHash } from "node:crypto";
import { html, trusted, type Html } from "./html.js";

export interface Page {
  /** `report`: what of dllm it is. */
  product: string;
  /** What it is about. */
  title: string;
  /** A line below the title. */
  summary: Html;
  style: string;
  /** For those who are read to. */
  navigationLabel: string;
  /** Places of the page and their names. */
  navigation: readonly (readonly [id: string, name: string])[];
  /** The sections, with their footer. */
  main: Html;
  /** What the scripts read: elements that do nothing. */
  data?: Html;
  scripts?: readonly { element: "script" | 'script type="module"'; code: string }[];
}

/** An element with a script or style sheet, and the source that the policy allows it by. */
function inline(element: string, code: string): { element: Html; source: string } {
  // Compiled scripts name a source map beside them, which a page does not have.
  const text = code.replace(/^\/\/# sourceMappingURL=.*$/gm, "");
  const hash = createHash("sha256").update(text).digest("base64");
  const end = element.split(" ")[0]!;
  return { element: trusted(`<${element}>${text}</${end}>`), source: `'sha256-${hash}'` };
}

/** Returns a page as the text of an HTML file. */
export function renderPage(page: Page): string {
  const style = inline("style", page.style);
  const scripts = (page.scripts ?? []).map(({ element, code }) => inline(element, code));
  const sources = scripts.map(({ source }) => source).join(" ");
  const policy = [
    "default-src 'none'",
    ...(scripts.length > 0 ? [`script-src ${sources}`] : []),
    `style-src ${style.source}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${trusted(policy)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="referrer" content="no-referrer" />
        <title>${page.title} · dllm ${page.product}</title>
        ${style.element}
      </head>
      <body>
        <header>
          <div>
            <div class="product">dllm ${page.product}</div>
            <h1>${page.title}</h1>
            <p>${page.summary}</p>
          </div>
        </header>
        <nav aria-label="${page.navigationLabel}">
          <div>${page.navigation.map(([id, name]) => html`<a href="#${id}">${name}</a>`)}</div>
        </nav>
        <main>${page.main}</main>
        ${page.data}${scripts.map(({ element }) => element)}
      </body>
    </html> `.markup;
}
