/**
 * @file Tokens per second of one core, by CPU time, against Hugging Face's `tokenizers` (Rust) on
 * one thread: each side with an empty word cache and again with a full one.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { loadTokenizer } from "../dist/data/tokenizer.js";

const PEER = `
import json, sys, time
import tokenizers
data = json.load(sys.stdin)
passes = {}
for name, texts in data.items():
    tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
    for cache in ("cold", "warm"):
        start = time.process_time()
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
        seconds = time.process_time() - start
        passes[f"{name} {cache}"] = {"tokens": sum(len(e.ids) for e in encodings), "seconds": seconds}
print(json.dumps({"version": tokenizers.__version__, "passes": passes}))`;

/** Returns `{"<data> cold": {tokens, seconds}, …}`. */
async function measureOurs(directory, data) {
  const passes = {};
  for (const [name, texts] of Object.entries(data)) {
    const tokenizer = await loadTokenizer(directory);
    for (const cache of ["cold", "warm"]) {
      const start = process.cpuUsage();
      let tokens = 0;
      for (const text of texts) tokens += tokenizer.encode(text).length;
      const { user, system } = process.cpuUsage(start);
      passes[`${name} ${cache}`] = { tokens, seconds: (user + system) / 1e6 };
    }
  }
  return passes;
}

function measurePeer(python, directory, data) {
  const { status, stdout, stderr, error } = spawnSync(
    python,
    ["-c", PEER, join(directory, "tokenizer.json")],
    {
      input: JSON.stringify(data),
      encoding: "utf8",
      maxBuffer: 1 << 24,
      env: { ...process.env, RAYON_NUM_THREADS: "1" },
    },
  );
  if (status === 0) return JSON.parse(stdout);
  const cause = error?.message ?? stderr.trim().split("\n").at(-1);
  return {
    reason: `${python} cannot run tokenizers (${cause}); set DLLM_BENCH_PYTHON to one that can`,
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/**
 * Measures both sides in turns.
 * @returns `{rows: [{work, tokens, ours, peer?}], peerVersion?, reason?}` with median seconds
 * @throws when the sides do not make the same number of tokens
 */
export async function measureTokenizers({ directory, data, python, turns }) {
  const ours = [];
  const peers = [];
  let peerVersion, reason;
  for (let turn = 0; turn < turns; turn++) {
    ours.push(await measureOurs(directory, data));
    if (reason !== undefined) continue;
    const peer = measurePeer(python, directory, data);
    ({ reason } = peer);
    if (reason !== undefined) continue;
    peerVersion = peer.version;
    peers.push(peer.passes);
  }
  const rows = Object.keys(ours[0]).map((work) => {
    const { tokens } = ours[0][work];
    const found = peers.map((passes) => passes[work].tokens);
    if (found.some((count) => count !== tokens)) {
      throw new Error(`${work}: ${tokens} tokens, and ${found[0]} from the peer`);
    }
    const seconds = (passes) => median(passes.map((pass) => pass[work].seconds));
    return {
      work,
      rows: data[work.split(" ")[0]].length,
      tokens,
      ours: seconds(ours),
      ...(peers.length > 0 && { peer: seconds(peers) }),
    };
  });
  return { rows, peerVersion, reason };
}
