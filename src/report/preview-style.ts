/**
 * @file What the style sheet of a preview adds to that of the report. Colours pass WCAG AA on
 * their tints in both schemes; what is trained is underlined too.
 */
export const previewStyle = `
:root {
  --prompt: #174a93; --prompt-tint: #e4edfb; --trained: #14592f; --trained-tint: #def2e5;
  --template: #6b2f96; --template-tint: #f1e6f9; --masked: #ffffff; --masked-tint: #3b3f47;
}
@media (prefers-color-scheme: dark) {
  :root {
    --prompt: #a9cbff; --prompt-tint: #17253c; --trained: #8fe0b3; --trained-tint: #12291d;
    --template: #d9b8f7; --template-tint: #2a1b38; --masked: #14161a; --masked-tint: #d4d8df;
  }
}
th .muted { font-weight: 400; font-size: 13px; }
h2 .muted, h3 .muted { font-weight: 450; font-size: 13.5px; margin-left: 6px; }
.after { margin: 12px 0 0; font-size: 13.5px; }
.legend { font-size: 13px; }
.histogram rect { fill: var(--accent); } .histogram text { fill: var(--muted); font-size: 9.5px; }
.histogram { margin-left: auto; }
.tokens { line-height: 1.9; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 14px; }
.tok { border-radius: 3px; padding: 1px 0; box-shadow: inset -1px 0 0 var(--surface); text-underline-offset: 4px; }
.tok.learned { text-decoration: underline; text-decoration-thickness: 1px; }
.legend .tok { padding: 1px 7px; }
.tok.prompt { color: var(--prompt); background: var(--prompt-tint); }
.tok.trained { color: var(--trained); background: var(--trained-tint); }
.tok.template { color: var(--template); background: var(--template-tint); }
.tok.padding { color: var(--muted); background: var(--sunken); font-size: 11px; }
.tok.masked { color: var(--masked); background: var(--masked-tint); text-decoration: none; }
.tokens .tok.masked { color: transparent; user-select: none; }
.views { display: flex; flex-wrap: wrap; gap: 8px; }
.views input { position: absolute; opacity: 0; }
.views label {
  order: 0; padding: 3px 11px; border: 1px solid var(--line); border-radius: 8px; cursor: pointer;
  font-size: 13px; font-weight: 550;
}
.views .view { order: 1; flex-basis: 100%; display: none; }
.views input:checked + label { background: var(--text); color: var(--surface); border-color: var(--text); }
.views input:focus-visible + label { outline: 2px solid var(--accent); outline-offset: 2px; }
.views input:checked + label + .view { display: block; }
.view p { margin: 6px 0 8px; font-size: 13px; }
`;
