/** @file What a stream reads, in tests. */
import type { StreamSpec } from "../../src/data/stream/stream-spec.js";

/** Returns the spec of a stream of short texts whose every row is good. */
export function streamSpec(
  sources: StreamSpec["sources"],
  overrides: Partial<StreamSpec> = {},
): StreamSpec {
  return {
    sources,
    text_field: "text",
    max_length: 5,
    insert_eos: true,
    drop_tail: true,
    on_bad_row: "error",
    max_bad_row_ratio: 0,
    seed: 42,
    ...overrides,
  };
}
