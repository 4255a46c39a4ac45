/**
 * @file The datasets that the reference knows by name: which configurations, which splits, and
 * how their rows are read. Source: ZHZisZZ/dllm@ca17675 dllm/data/utils.py load_sft_dataset,
 * load_pt_dataset; as there, the first entry that is part of a name wins.
 */

/** Where the text or the conversation of a row is. */
export interface RowMapping {
  /** Column of a list of messages. */
  messages?: string;
  /** Columns of a question and its answer, taken as they are. */
  prompt?: string;
  completion?: string;
  /** Column of a text to pretrain on, in place of the recipe's `text_field`. */
  text?: string;
}

export interface KnownDataset {
  /** Part of the dataset's name. */
  match: string;
  /** Configuration where the recipe names none; null stands for all of them, one after another. */
  config?: string | null;
  /** Split of the dataset for each of ours, where they differ. */
  splits?: Readonly<Record<string, string>>;
  rows?: RowMapping;
  /** What the option `lang` keeps: rows whose column is it, or whose answer contains it. */
  lang?: { column: string; byConfig?: Readonly<Record<string, string>> } | "in the answer";
}

const instructionRows = { prompt: "instruction", completion: "output" };

export const knownDatasets: readonly KnownDataset[] = [
  // Rows of instruction, input and output: detected, and stripped as the reference does.
  { match: "tatsu-lab/alpaca" },
  { match: "allenai/tulu-3-sft-mixture", rows: { messages: "messages" } },
  { match: "HuggingFaceTB/smoltalk", config: "all", rows: { messages: "messages" } },
  {
    match: "OpenCoder-LLM/opc-sft-stage1",
    config: null,
    rows: instructionRows,
    lang: "in the answer",
  },
  {
    match: "OpenCoder-LLM/opc-sft-stage2",
    config: null,
    rows: instructionRows,
    lang: "in the answer",
  },
  {
    match: "HuggingFaceH4/ultrachat_200k",
    splits: { train: "train_sft", test: "test_sft" },
    rows: { messages: "messages" },
  },
  {
    match: "OpenCoder-LLM/opc-annealing-corpus",
    lang: { column: "lang", byConfig: { synthetic_qa: "program_lang" } },
  },
  { match: "Trelis/tiny-shakespeare", rows: { text: "Text" } },
];

/** Datasets that the hub knows by a bare name, from the time before owners. */
export const bareNames: Readonly<Record<string, string>> = {
  alpaca: "tatsu-lab/alpaca",
  gsm8k: "openai/gsm8k",
  openwebtext: "Skylion007/openwebtext",
  wikitext: "Salesforce/wikitext",
  "bert-base-cased": "google-bert/bert-base-cased",
  "bert-base-uncased": "google-bert/bert-base-uncased",
  "bert-large-cased": "google-bert/bert-large-cased",
  "bert-large-uncased": "google-bert/bert-large-uncased",
  "roberta-base": "FacebookAI/roberta-base",
  "roberta-large": "FacebookAI/roberta-large",
};

/** Returns what is known of a dataset; a path to a copy of it counts as its name. */
export function knownDataset(name: string): KnownDataset | undefined {
  return knownDatasets.find(({ match }) => name.includes(match));
}
