/**
 * @file Chat templates: the reference's default one, and rendering of any Jinja template as
 * Hugging Face transformers does it (trim_blocks, lstrip_blocks). The rules of the default are
 * those of ZHZisZZ/dllm@ca17675 dllm/utils/models.py (BERT-type models).
 */
import { Template } from "@huggingface/jinja";
import { DllmError, ExitCode, errorMessage } from "../base/errors.js";

export interface ChatMessage {
  role: string;
  content: string;
}

/**
 * The default template as Jinja, for `chat_template.jinja`. A message that is neither user nor
 * assistant renders as nothing, except a system message in first place.
 */
export const defaultChatTemplate = `\
{%- if messages[0]['role'] == 'system' -%}
{{- '[SYS]\\n' + (messages[0]['content'] | trim) + '\\n[/SYS]\\n\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}
{{- '[Question]\\n' + (message['content'] | trim) + '\\n[/Question]\\n\\n' -}}
{%- elif message['role'] == 'assistant' -%}
{{- '[Answer]\\n' + (message['content'] | trim) + '\\n[/Answer]\\n\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and messages[-1]['role'] != 'assistant' -%}
{{- '[Answer]\\n' -}}
{%- endif -%}
`;

export interface RenderOptions {
  /** Ends with an opened answer, unless the last message already is one. Default false. */
  addGenerationPrompt?: boolean;
  /** Ends inside the last message, which the model is to continue. Default false. */
  continueFinalMessage?: boolean;
}

export type ChatRenderer = (messages: readonly ChatMessage[], options?: RenderOptions) => string;

// Python's str.strip() white space. JavaScript's trim() also removes U+FEFF and keeps the
// separators 1C to 1F and U+0085.
const PYTHON_SPACE =
  "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const LEADING_SPACE = new RegExp(`^${PYTHON_SPACE}+`, "u");
const TRAILING_SPACE = new RegExp(`${PYTHON_SPACE}+$`, "u");

/** Returns the text without white space at its ends, as Python's `str.strip()`. */
export function pythonStrip(text: string): string {
  const trimmed = pythonRstrip(text);
  return trimmed.slice(LEADING_SPACE.exec(trimmed)?.[0].length ?? 0);
}

/** Returns the text without white space at its end, as Python's `str.rstrip()`. */
export function pythonRstrip(text: string): string {
  // Backwards by hand: a regex anchored at the end is quadratic in runs of inner white space.
  let end = text.length;
  while (end > 0 && TRAILING_SPACE.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

const TAGS: Readonly<Record<string, string>> = { user: "Question", assistant: "Answer" };

/** The default template without the Jinja interpreter; a test holds it equal to the text above. */
const renderDefault: ChatRenderer = (messages, { addGenerationPrompt = false } = {}) => {
  let text = "";
  messages.forEach(({ role, content }, index) => {
    const tag = role === "system" && index === 0 ? "SYS" : TAGS[role];
    if (tag !== undefined) text += `[${tag}]\n${pythonStrip(content)}\n[/${tag}]\n\n`;
  });
  if (addGenerationPrompt && messages.at(-1)?.role !== "assistant") text += "[Answer]\n";
  return text;
};

function compileJinja(text: string, specialTokens: Readonly<Record<string, string>>): ChatRenderer {
  let template: Template;
  try {
    template = new Template(text);
  } catch (cause) {
    throw new DllmError(`chat template: ${errorMessage(cause)}`, {
      exitCode: ExitCode.invalidInput,
      details: ["expected a Jinja template as in a Hugging Face chat_template.jinja"],
      cause,
    });
  }
  return (messages, { addGenerationPrompt = false } = {}) => {
    try {
      return template.render({
        ...specialTokens,
        messages,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (cause) {
      throw new DllmError(`chat template: ${errorMessage(cause)}`, {
        exitCode: ExitCode.invalidInput,
        cause,
      });
    }
  };
}

// Stands at the end of the last message while it is rendered. The space tells whether the
// template keeps white space at the end of a message.
const FINAL_MARK = "CONTINUE_FINAL_MESSAGE_TAG ";

/** Renders up to the end of the last message's content, as transformers does. */
function renderToFinalMessage(
  render: ChatRenderer,
  messages: readonly ChatMessage[],
  last: ChatMessage,
): string {
  const marked = { ...last, content: last.content + FINAL_MARK };
  const text = render([...messages.slice(0, -1), marked]);
  const at = text.lastIndexOf(FINAL_MARK.trimEnd());
  if (at < 0) {
    throw new DllmError(`chat template: a last message of role "${last.role}" is left out`, {
      exitCode: ExitCode.invalidInput,
      details: ["expected a message that can be continued"],
    });
  }
  const kept = text.slice(0, at);
  return text.startsWith(FINAL_MARK, at) ? kept : kept.replace(TRAILING_SPACE, "");
}

/**
 * Returns the renderer of a Jinja chat template.
 * @param specialTokens names such as `bos_token` that the template may use
 * @throws DllmError 65 when the text is no template; the renderer throws it when it fails on
 * messages, and always for an empty list.
 */
export function chatRenderer(
  text: string,
  specialTokens: Readonly<Record<string, string>> = {},
): ChatRenderer {
  const render = text === defaultChatTemplate ? renderDefault : compileJinja(text, specialTokens);
  return (messages, options = {}) => {
    const last = messages.at(-1);
    if (last === undefined) {
      throw new DllmError("chat template: the list of messages is empty", {
        exitCode: ExitCode.invalidInput,
        details: ['expected at least one {"role": …, "content": …}'],
      });
    }
    if (options.continueFinalMessage) return renderToFinalMessage(render, messages, last);
    return render(messages, options);
  };
}
