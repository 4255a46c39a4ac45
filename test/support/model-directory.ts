/** @file A model directory small enough for tests: random ModernBERT, one token per byte. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JsonObject } from "../../src/base/json.js";
import { initialiseParameters, layOut, tensorsOf } from "../../src/model/parameters.js";
import { parseArchitecture } from "../../src/model/registry.js";
import { writeSafetensors } from "../../src/model/safetensors.js";

const PAD = 256;
const MASK = 257;
const VOCAB = 258;

/** Byte b as the printable character that byte-level tokenizers write for it. */
function byteCharacters(): string[] {
  const printable = (b: number): boolean =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

const special = (id: number, content: string): JsonObject => ({
  id,
  content,
  special: true,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
});

/** Writes tokenizer.json and tokenizer_config.json: ids 0..255 are bytes, then [PAD], [MASK]. */
export async function writeByteTokenizer(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const byteLevel = { add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [special(PAD, "[PAD]"), special(MASK, "[MASK]")],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", ...byteLevel },
    post_processor: null,
    decoder: { type: "ByteLevel", ...byteLevel },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(byteCharacters().map((character, id) => [character, id])),
      merges: [],
    },
  };
  const config = { pad_token: "[PAD]", mask_token: "[MASK]", clean_up_tokenization_spaces: false };
  await writeFile(join(directory, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeFile(join(directory, "tokenizer_config.json"), JSON.stringify(config));
}

/** Writes a model directory in Hugging Face layout, its weights drawn from a seed. */
export async function writeModelDirectory(directory: string, seed = 1): Promise<void> {
  await writeByteTokenizer(directory);
  const config: JsonObject = {
    model_type: "modernbert",
    architectures: ["ModernBertForMaskedLM"],
    vocab_size: VOCAB,
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 24,
    local_attention: 8,
    pad_token_id: PAD,
    // Large enough that predictions differ from position to position.
    initializer_range: 0.5,
  };
  await writeFile(join(directory, "config.json"), JSON.stringify(config));
  const { family, config: parsed } = parseArchitecture(config);
  const layout = layOut(family.parameters(parsed));
  const flat = initialiseParameters(layout, seed);
  await writeSafetensors(join(directory, "model.safetensors"), tensorsOf(layout, flat), {
    format: "pt",
  });
}
