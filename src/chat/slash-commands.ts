/** @file Lines of a chat that begin with a slash. */
import type { Conversation } from "./conversation.js";

export type SlashResult = { exit: true } | { exit: false; lines: readonly string[] };

interface SlashCommand {
  usage: string;
  help: string;
  run(conversation: Conversation, argument: string): SlashResult;
}

const say = (...lines: string[]): SlashResult => ({ exit: false, lines });

/** A command that shows or changes one number of the sampler's settings. */
function numberSetting(
  key: "steps" | "temperature" | "block_size" | "max_new_tokens",
  {
    usage,
    help,
    isValid,
    expected,
  }: {
    usage: string;
    help: string;
    isValid: (value: number) => boolean;
    expected: string;
  },
): SlashCommand {
  return {
    usage,
    help,
    run(conversation, argument) {
      if (argument === "") return say(`${key} is ${conversation.settings[key]}`);
      const value = Number(argument);
      if (!isValid(value)) return say(`${key} is "${argument}", expected ${expected}`);
      conversation.settings = { ...conversation.settings, [key]: value };
      return say(`${key} is ${value} now`);
    },
  };
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;
const count = { isValid: isCount, expected: "an integer of at least 1" };

const commands: Readonly<Record<string, SlashCommand>> = {
  help: { usage: "/help", help: "show this", run: () => say(...helpLines()) },
  reset: {
    usage: "/reset",
    help: "forget the conversation",
    run(conversation) {
      conversation.reset();
      return say("the conversation starts anew");
    },
  },
  steps: numberSetting("steps", {
    usage: "/steps [N]",
    help: "denoising steps of an answer",
    ...count,
  }),
  temperature: numberSetting("temperature", {
    usage: "/temperature [T]",
    help: "0 takes the most probable token",
    isValid: (value) => Number.isFinite(value) && value >= 0,
    expected: "a number of at least 0",
  }),
  block: numberSetting("block_size", {
    usage: "/block [N]",
    help: "tokens unmasked together",
    ...count,
  }),
  tokens: numberSetting("max_new_tokens", {
    usage: "/tokens [N]",
    help: "longest answer",
    ...count,
  }),
  exit: { usage: "/exit", help: "leave (also Ctrl-D)", run: () => ({ exit: true }) },
};

function helpLines(): string[] {
  const width = Math.max(...Object.values(commands).map(({ usage }) => usage.length));
  return Object.values(commands).map(({ usage, help }) => `${usage.padEnd(width)}  ${help}`);
}

/** Carries out a line that begins with a slash. An unknown name is answered with what there is. */
export function runSlashCommand(line: string, conversation: Conversation): SlashResult {
  const [name = "", ...rest] = line.slice(1).trim().split(/\s+/);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) return say(`unknown command "/${name}"`, ...helpLines());
  return command.run(conversation, rest.join(" "));
}
