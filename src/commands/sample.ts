/** @file `dllm sample <model> --prompt TEXT…` generates an answer, or a continuation, per prompt. */
import { setTimeout as sleep } from "node:timers/promises";
import pc from "picocolors";
import { EMPTY_ANSWER, showUnmasking, type UnmaskingDisplay } from "../chat/unmasking.js";
import { DllmError, ExitCode } from "../base/errors.js";
import { sanitize } from "../base/sanitize.js";
import { pythonStrip } from "../data/chat-template.js";
import { sample } from "../sample/sampler.js";
import { sampleTrim } from "../sample/trim.js";
import type { CommandIo, SampleCommand } from "./command.js";
import { loadSampler, type LoadedSampler } from "./load-sampler.js";

/** Time that a frame is seen with --visualize. */
const FRAME_MS = 40;

/** A line of `--json`. */
interface SampleLine {
  prompt: string;
  /** The answer, up to its end. */
  text: string;
  /** All generated ids, what follows the answer's end included. */
  token_ids: number[];
  /** The generated ids before the first step and after each. */
  frames?: number[][];
}

export const run: SampleCommand = async ([name], options, io) => {
  const loaded = await loadSampler(name, options);
  const { frames = false, visualize = false } = options;
  const watch = visualize && io.isTty && !options.json;
  try {
    for (const [index, prompt] of options.prompt.entries()) {
      if (!options.json && options.prompt.length > 1) io.out(sanitize(`> ${prompt}`));
      const display = { watch, io };
      const line = await samplePrompt(loaded, {
        prompt,
        index,
        seed: options.seed,
        useChatTemplate: options.chatTemplate ?? true,
        frames,
        display,
      });
      if (options.json) io.out(JSON.stringify(line));
      else if (!watch) io.out(line.text === "" ? EMPTY_ANSWER : sanitize(line.text));
    }
  } finally {
    await loaded.model.dispose();
  }
  return ExitCode.ok;
};

async function samplePrompt(
  { model, tokenizer, settings, maxPositions }: LoadedSampler,
  request: {
    prompt: string;
    index: number;
    seed: number;
    useChatTemplate: boolean;
    frames: boolean;
    display: { watch: boolean; io: CommandIo };
  },
): Promise<SampleLine> {
  const { prompt, useChatTemplate, display } = request;
  const rendered = useChatTemplate
    ? tokenizer.renderChat([{ role: "user", content: prompt }], { addGenerationPrompt: true })
    : prompt;
  const ids = tokenizer.encode(rendered);
  if (ids.length + settings.max_new_tokens > maxPositions) {
    throw new DllmError(
      `the prompt has ${ids.length} tokens and ${settings.max_new_tokens} are to follow, ` +
        `the model is meant for ${maxPositions}`,
      { exitCode: ExitCode.invalidInput, details: ["shorten it, or lower --max-new-tokens"] },
    );
  }
  const view: UnmaskingDisplay | undefined = display.watch
    ? showUnmasking({
        tokenizer,
        promptLength: ids.length,
        write: display.io.write,
        columns: display.io.columns,
        colors: pc.isColorSupported,
        frameMs: FRAME_MS,
        sleep,
      })
    : undefined;
  const frames: number[][] = [];
  try {
    const { sequences } = await sample(model, tokenizer, [ids], settings, {
      seed: request.seed,
      rowIds: [request.index],
      onFrame: async (frame) => {
        if (request.frames) frames.push([...frame.canvas.subarray(ids.length)]);
        await view?.frame(frame);
      },
    });
    const answer = sampleTrim(tokenizer, sequences[0]!, ids);
    // A continuation keeps its leading space: it is to be read right after the prompt.
    const text = useChatTemplate ? pythonStrip(answer) : answer;
    view?.finish(text);
    return {
      prompt,
      text,
      token_ids: [...sequences[0]!.subarray(ids.length)],
      ...(request.frames && { frames }),
    };
  } catch (error) {
    view?.abandon();
    throw error;
  }
}
