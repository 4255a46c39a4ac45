/** @file Protocol-buffer messages of any size inside others. */
import { expect, test } from "vitest";
import { Message } from "../../src/graph/onnx/protobuf.js";

/** A field of one byte, so that a message of n of them has 2 n bytes. */
const withFields = (count: number): Message => {
  const message = new Message();
  for (let i = 0; i < count; i++) message.int(1, i & 0x7f);
  return message;
};

test.each([0, 1, 2048, 2049, 200_000])("a message of %i fields in another", (count) => {
  const inner = withFields(count);
  const encoded = new Message().message(7, inner).int(2, 5).encode();
  const prefix = new Message().bytes(7, inner.encode()).encode();
  expect(encoded.equals(Buffer.concat([prefix, Buffer.from([0x10, 5])]))).toBe(true);
});

test("large fields stay views through any nesting", () => {
  const weights = new Uint8Array(10_000);
  const tensor = new Message().bytes(9, weights);
  const { chunks } = new Message().message(7, new Message().message(5, tensor));
  expect(chunks).toContain(weights);
});
