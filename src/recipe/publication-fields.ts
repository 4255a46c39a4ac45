/** @file The keys that name a published experiment and its figures. */
import { number, optional, text } from "./fields.js";

export const reproducesFields = {
  report: text("What is reproduced: a report, paper or README, as a title or link."),
  edition: optional(text("Which of its versions: date, tag or name.")),
  experiment: optional(text("Which of its experiments.")),
  dllm_commit: optional(
    text("Commit of ZHZisZZ/dllm that was run.", {
      pattern: "^[0-9a-f]{7,40}$",
      patternHint: "a commit hash of 7 to 40 hexadecimal digits",
    }),
  ),
  note: optional(text("What is known to be unclear or different.")),
};

export const expectFields = {
  stage: text("Stage whose figure this is."),
  task: text("Task, such as exact_match or gsm8k_bert."),
  metric: optional(text("Metric of the task; by default its first.")),
  value: number("The published figure, on the scale of `dllm results` (accuracies from 0 to 1)."),
  tolerance: optional(number("How far off still counts as equal.", { minimum: 0 })),
  source: optional(text("Where it was published.")),
};
