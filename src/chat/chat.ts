/**
 * @file The terminal chat: reads messages line by line; on a terminal tokens unmask in place,
 * elsewhere answers are printed plainly. The end of the input ends the chat.
 */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import pc from "picocolors";
import { DllmError } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import type { Tokenizer } from "../data/tokenizer.js";
import type { Conversation } from "./conversation.js";
import { runSlashCommand } from "./slash-commands.js";
import { EMPTY_ANSWER, showUnmasking } from "./unmasking.js";

/** The terminal as the chat sees it; data goes to `out`, messages to `err`. */
export interface ChatIo {
  out(line: string): void;
  err(line: string): void;
  write(text: string): void;
  readonly input: NodeJS.ReadableStream & { isTTY?: boolean };
  readonly isTty: boolean;
  readonly columns: number;
}

export interface ChatOptions {
  conversation: Conversation;
  tokenizer: Tokenizer;
  /** What the model is called in the greeting. */
  title: string;
  /** Least time that a frame is seen on a terminal. */
  frameMs: number;
  sleep(ms: number): Promise<void>;
}

/** Talks until /exit, Ctrl-D or the end of the input. */
export async function runChat(io: ChatIo, options: ChatOptions): Promise<void> {
  const { conversation } = options;
  const interactive = io.isTty && io.input.isTTY === true;
  const keyboard = openKeyboard(io, interactive);
  const colors = pc.createColors(interactive && pc.isColorSupported);
  if (interactive) {
    io.out(colors.bold(sanitize(options.title)));
    io.out(colors.dim("Type a message; /help shows the commands, Ctrl-C stops an answer."));
  }
  keyboard.ask();
  for await (const line of keyboard.lines) {
    const text = line.trim();
    if (text.startsWith("/")) {
      const result = runSlashCommand(text, conversation);
      if (result.exit) break;
      for (const reply of result.lines) (interactive ? io.out : io.err)(colors.dim(reply));
    } else if (text !== "") {
      await answer(text, io, options, keyboard);
    }
    keyboard.ask();
  }
  keyboard.close();
}

async function answer(
  text: string,
  io: ChatIo,
  { conversation, tokenizer, frameMs, sleep }: ChatOptions,
  keyboard: Keyboard,
): Promise<void> {
  const abort = new AbortController();
  keyboard.answering(() => {
    abort.abort();
  });
  let display: ReturnType<typeof showUnmasking> | undefined;
  try {
    const { text: reply, forgotten } = await conversation.ask(text, {
      signal: abort.signal,
      onStart(promptLength) {
        if (!io.isTty) return;
        display = showUnmasking({
          tokenizer,
          promptLength,
          write: io.write,
          columns: io.columns,
          colors: pc.isColorSupported,
          frameMs,
          sleep,
        });
      },
      onFrame: (frame) => display?.frame(frame),
    });
    if (display) display.finish(reply);
    else io.out(reply === "" ? EMPTY_ANSWER : sanitize(reply));
    if (forgotten > 0)
      io.err(`(the first ${forgotten} messages no longer fit; /reset starts anew)`);
  } catch (error) {
    display?.abandon();
    if (abort.signal.aborted) io.err("(stopped; the question is forgotten)");
    else if (error instanceof DllmError) io.err(sanitize(error.format()));
    else throw error;
  } finally {
    keyboard.listening();
  }
}

interface Keyboard {
  lines: AsyncIterable<string>;
  /** Shows the prompt, on a terminal. */
  ask(): void;
  /** Until listening(): typed keys are not shown, and Ctrl-C calls `stop`. */
  answering(stop: () => void): void;
  listening(): void;
  close(): void;
}

function openKeyboard(io: ChatIo, interactive: boolean): Keyboard {
  let stop: (() => void) | undefined;
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!stop) io.write(chunk.toString());
      done();
    },
  });
  const lines = createInterface({
    input: io.input,
    terminal: interactive,
    ...(interactive && { output: Object.assign(output, { columns: io.columns, isTTY: true }) }),
    prompt: "> ",
  });
  lines.on("SIGINT", () => {
    if (stop) stop();
    else lines.close();
  });
  return {
    lines,
    ask() {
      if (interactive) lines.prompt();
    },
    answering(stopAnswer) {
      stop = stopAnswer;
    },
    listening() {
      stop = undefined;
    },
    close: () => {
      lines.close();
    },
  };
}
