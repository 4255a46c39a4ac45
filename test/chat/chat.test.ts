/** @file The chat loop on a stand-in model: plain and on a terminal, commands, Ctrl-C, length. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runChat, type ChatIo } from "../../src/chat/chat.js";
import { startConversation, type Conversation } from "../../src/chat/conversation.js";
import { loadTokenizer, type Tokenizer } from "../../src/data/tokenizer.js";
import { fakeModel, type FakeModel } from "../sample/fake-model.js";
import { writeByteTokenizer } from "../support/model-directory.js";

const ANSWER = "Hi there\n[/Answer]\n\n";
const settings = {
  max_new_tokens: ANSWER.length,
  block_size: ANSWER.length,
  steps: 4,
  temperature: 0,
  remasking: "low_confidence",
  stochastic_transfer: false,
  cfg_scale: 0,
} as const;

let directory: string;
let tokenizer: Tokenizer;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "dllm-chat-"));
  await writeByteTokenizer(directory);
  tokenizer = await loadTokenizer(directory);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A model that says ANSWER after every prompt, from left to right. */
function greeter(): FakeModel {
  return fakeModel(tokenizer.vocabSize, (row, column, id) => {
    const index = column - (row.length - ANSWER.length);
    return id === ANSWER.codePointAt(index) ? 50 - index : 0;
  });
}

function start(maxPositions = 1000): { conversation: Conversation; model: FakeModel } {
  const model = greeter();
  const options = { model, tokenizer, settings, seed: 1, maxPositions };
  return { conversation: startConversation(options), model };
}

interface FakeIo extends ChatIo {
  input: PassThrough & { isTTY?: boolean; setRawMode?: () => void };
  /** Everything written, and to stdout and stderr alone. */
  readonly all: string;
  readonly stdout: string;
}

function fakeIo(isTty: boolean): FakeIo {
  const input = new PassThrough() as FakeIo["input"];
  if (isTty) Object.assign(input, { isTTY: true, setRawMode: () => input });
  let all = "";
  let stdout = "";
  const write = (text: string): void => {
    all += text;
    stdout += text;
  };
  return {
    input,
    isTty,
    columns: 60,
    out: (line) => {
      write(`${line}\n`);
    },
    err: (line) => (all += `${line}\n`),
    write,
    get all() {
      return all;
    },
    get stdout() {
      return stdout;
    },
  };
}

async function chat(io: FakeIo, lines: string, conversation = start().conversation) {
  io.input.end(lines);
  const sleep = () => Promise.resolve();
  await runChat(io, { conversation, tokenizer, title: "test model", frameMs: 0, sleep });
  return conversation;
}

describe("chat without a terminal", () => {
  test("answers each line plainly and ends with the input", async () => {
    const io = fakeIo(false);
    const conversation = await chat(io, "hello\n\nand you?");
    expect(io.all).toBe("Hi there\nHi there\n");
    expect(conversation.messages).toEqual([
      { role: "user", content: "hello" },
      { role: "assistant", content: "Hi there" },
      { role: "user", content: "and you?" },
      { role: "assistant", content: "Hi there" },
    ]);
  });

  test("the model sees all turns; /reset forgets them; /exit ends", async () => {
    const { conversation, model } = start();
    const io = fakeIo(false);
    await chat(io, "one\ntwo\n/reset\nthree\n/exit\nfour\n", conversation);
    const prompts = [...new Set(model.requests.map(({ seq }) => seq))];
    const seen = prompts.map((seq) => {
      const request = model.requests.find((each) => each.seq === seq)!;
      return tokenizer.decode(request.inputIds, { skipSpecialTokens: true });
    });
    expect(seen[0]).toBe("[Question]\none\n[/Question]\n\n[Answer]\n");
    expect(seen[1]).toBe(
      "[Question]\none\n[/Question]\n\n[Answer]\nHi there\n[/Answer]\n\n" +
        "[Question]\ntwo\n[/Question]\n\n[Answer]\n",
    );
    expect(seen[2]).toBe("[Question]\nthree\n[/Question]\n\n[Answer]\n");
    expect(io.stdout).toBe("Hi there\nHi there\nHi there\n");
  });

  test("settings can be changed, and mistakes are explained", async () => {
    const io = fakeIo(false);
    const conversation = await chat(io, "/steps 2\n/temperature -1\n/steps\n/nonsense\n/help\n");
    expect(conversation.settings.steps).toBe(2);
    expect(conversation.settings.temperature).toBe(0);
    expect(io.all).toContain("steps is 2 now\n");
    expect(io.all).toContain('temperature is "-1", expected a number of at least 0\n');
    expect(io.all).toContain('unknown command "/nonsense"\n');
    expect(io.all.match(/\/reset +forget the conversation/g)).toHaveLength(2);
    expect(io.stdout).toBe("");
  });
});

describe("chat on a terminal", () => {
  test("tokens unmask in place, then the answer stands", async () => {
    const io = fakeIo(true);
    await chat(io, "hello\n");
    const frames = io.all.split("\u001b[J");
    const masks = frames.slice(1).map((frame) => frame.match(/░/g)?.length ?? 0);
    expect(masks.filter((count, i) => i === 0 || count !== masks[i - 1])).toEqual([
      20, 15, 10, 5, 0,
    ]);
    expect(io.all).toContain("step 2, 10 masked");
    expect(io.all).toContain("\u001b[JHi there\n\u001b[?25h");
    expect(io.all).toContain("> ");
  });

  test("Ctrl-C stops an answer, and the question is forgotten", async () => {
    const io = fakeIo(true);
    const { conversation } = start();
    let frames = 0;
    const running = runChat(io, {
      conversation,
      tokenizer,
      title: "test model",
      frameMs: 0,
      sleep: async () => {
        frames++;
        if (frames === 2) io.input.write("\u0003");
        if (frames === 7) io.input.end("\u0004");
        await new Promise((resolve) => setImmediate(resolve));
      },
    });
    io.input.write("hello\n");
    await expect.poll(() => io.all).toContain("(stopped; the question is forgotten)");
    expect(conversation.messages).toEqual([]);
    io.input.write("again\n");
    await expect.poll(() => conversation.messages.length).toBe(2);
    io.input.end();
    await running;
  });
});

describe("conversation", () => {
  test("the oldest turns are forgotten when they no longer fit", async () => {
    const prompt = (text: string): number =>
      `[Question]\n${text}\n[/Question]\n\n[Answer]\n`.length;
    const { conversation } = start(2 * prompt("x") + 2 * ANSWER.length);
    expect((await conversation.ask("1")).forgotten).toBe(0);
    expect((await conversation.ask("2")).forgotten).toBe(0);
    expect((await conversation.ask("3")).forgotten).toBe(2);
    expect(conversation.messages.length).toBe(6);
    await expect(conversation.ask("x".repeat(100))).rejects.toThrow(
      /^the message is too long: the model has room for \d+ tokens$/,
    );
    expect(conversation.messages.length).toBe(6);
  });
});
