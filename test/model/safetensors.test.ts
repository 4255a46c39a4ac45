import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { DllmError } from "../../src/base/errors.js";
import {
  openSafetensors,
  openWeights,
  readSafetensors,
  safetensorsBytes,
  toFloat32,
  writeSafetensors,
} from "../../src/model/safetensors.js";
import { goldenDirectory } from "../support/golden.js";

const scratch = mkdtempSync(join(tmpdir(), "dllm-safetensors-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let scratchFiles = 0;

function save(bytes: Uint8Array, name = `file-${scratchFiles++}.safetensors`): string {
  const path = join(scratch, name);
  writeFileSync(path, bytes);
  return path;
}

/** A file with this header text, this much data, and optionally a lie about the header's length. */
function craft(header: string | Buffer, dataBytes = 0, claimed?: bigint): Buffer {
  const body = Buffer.from(header as string);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(body.byteLength));
  return Buffer.concat([length, body, Buffer.alloc(dataBytes)]);
}

const entry = (shape: unknown, begin: unknown, end: unknown, dtype: unknown = "F32") =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe("a hostile file", () => {
  const cases: [string, Buffer, string | RegExp][] = [
    ["empty", Buffer.alloc(0), "the file has 0 bytes\n  expected at least 8 (header length)"],
    [
      "header beyond the file",
      craft("{}", 0, 3n),
      "the header claims 3 bytes\n  expected at most 2",
    ],
    [
      "header length of 2^64 - 1",
      craft("{}", 0, 0xffffffffffffffffn),
      "the header claims 18446744073709551615 bytes\n  expected at most 2",
    ],
    ["Git LFS pointer", Buffer.from("version https://git-lfs"), /Git LFS pointer/],
    ["empty header", craft(""), 'the header begins ""\n  expected "{"'],
    ["leading space", craft(" {}"), 'the header begins " {}"\n  expected "{"'],
    ["not JSON", craft('{"a":'), /the header is not JSON \(it begins "\{\\"a\\":"\)/],
    ["trailing text", craft("{} {}"), /the header is not JSON/],
    ["not UTF-8", craft(Buffer.from([0x7b, 0xff, 0x7d])), /the header is not valid UTF-8/],
    [
      "a tensor twice",
      craft(`{"a":${entry([1], 0, 4)},"a":${entry([1], 0, 4)}}`, 4),
      'the header has key "a" twice in one object\n  expected flat JSON with each key once',
    ],
    [
      "a tensor twice, once escaped",
      craft(`{"a":${entry([1], 0, 4)},"\\u0061":${entry([1], 0, 4)}}`, 4),
      /key "a" twice/,
    ],
    [
      "a field twice",
      craft('{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}}', 4),
      /key "shape" twice/,
    ],
    ["deep nesting", craft(`{"a":${"[".repeat(100_000)}`), /nesting deeper than 8/],
    [
      "entry that is no object",
      craft('{"a":1}'),
      'tensor "a": header entry is 1\n  expected an object',
    ],
    [
      "unknown dtype",
      craft(`{"a":${entry([1], 0, 4, "F33")}}`, 4),
      /dtype is "F33"\n {2}expected BOOL/,
    ],
    ["inherited dtype", craft(`{"a":${entry([1], 0, 4, "toString")}}`, 4), /dtype is "toString"/],
    ["negative size", craft(`{"a":${entry([-1], 0, 4)}}`, 4), /shape is \[-1\]/],
    ["fractional size", craft(`{"a":${entry([0.5], 0, 2)}}`, 2), /shape is \[0.5\]/],
    ["shape of text", craft(`{"a":${entry("1", 0, 4)}}`, 4), /shape is "1"/],
    ["missing offsets", craft('{"a":{"dtype":"F32","shape":[1]}}'), /data_offsets is nothing/],
    [
      "three offsets",
      craft('{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1,1]}}', 1),
      /data_offsets is \[0,1,1\]/,
    ],
    [
      "offsets backwards",
      craft(`{"a":${entry([0], 4, 0)}}`, 4),
      'tensor "a": data_offsets is [4, 0]\n  expected begin <= end',
    ],
    ["offset of 1e300", craft(`{"a":${entry([1], 0, 1e300)}}`, 4), /data_offsets is \[0,1e\+300\]/],
    [
      "shape that disagrees",
      craft(`{"a":${entry([2, 2], 0, 12)}}`, 12),
      'tensor "a": data_offsets [0, 12] hold 12 bytes\n  expected 16 bytes for F32 [2, 2]',
    ],
    [
      "shape product that overflows",
      craft(`{"a":${entry([2 ** 40, 2 ** 40, 2 ** 40], 0, 0)}}`),
      /data_offsets \[0, 0\] hold 0 bytes/,
    ],
    [
      "a hole",
      craft(`{"a":${entry([1], 0, 4)},"b":${entry([1], 8, 12)}}`, 12),
      'tensor "b": data begins at 8 (a hole before it)\n  expected 4, the end of the tensor before',
    ],
    [
      "an overlap",
      craft(`{"a":${entry([2], 0, 8)},"b":${entry([1], 4, 8)}}`, 8),
      /tensor "b": data begins at 4 \(an overlap with the one before\)/,
    ],
    ["data cut off", craft(`{"a":${entry([2], 0, 8)}}`, 7), /is the file cut off\?/],
    [
      "bytes after the data",
      craft(`{"a":${entry([2], 0, 8)}}`, 9),
      /the file has 71 bytes\n {2}expected 70: header 62 \+ tensors 8$/,
    ],
    [
      "metadata of numbers",
      craft('{"__metadata__":{"a":1}}'),
      /__metadata__ holds something other/,
    ],
    [
      "control characters in a name",
      craft('{"\\u001b[31m\u202e":1}'),
      /tensor "\\u001b\[31m\\u202e": header/,
    ],
  ];

  test.each(cases)("%s is refused with 65", async (_, bytes, expected) => {
    const path = save(bytes);
    const error: unknown = await openSafetensors(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DllmError);
    if (!(error instanceof DllmError)) return;
    expect(error.exitCode).toBe(65);
    expect(error.format()).toContain(`${path}: `);
    if (typeof expected === "string") expect(error.format()).toBe(`${path}: ${expected}`);
    else expect(error.format()).toMatch(expected);
  });

  test("random damage to a valid file is refused or changes data only", async () => {
    const good = safetensorsBytes([
      { name: "a", shape: [2, 3], data: new Float32Array(6) },
      { name: "b", shape: [4], data: new Float32Array(4) },
    ]);
    const dataStart = 8 + Number(good.readBigUInt64LE());
    let refused = 0;
    let state = 1;
    for (let i = 0; i < 300; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const bytes = Buffer.from(good);
      bytes[state % dataStart] = (state >>> 12) & 0xff;
      const path = save(bytes, "damaged.safetensors");
      try {
        const { tensors } = await readSafetensors(path);
        for (const { shape, data, dtype } of tensors.values()) {
          const size = dtype === "F32" || dtype === "I32" || dtype === "U32" ? 4 : NaN;
          expect(data.byteLength).toBe(shape.reduce((a, b) => a * b, size));
        }
      } catch (error) {
        expect(error).toBeInstanceOf(DllmError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  test("a truncated file is refused at every length", async () => {
    const good = safetensorsBytes([{ name: "a", shape: [3], data: new Float32Array(3) }]);
    for (let length = 0; length < good.byteLength; length++) {
      const path = save(good.subarray(0, length), "truncated.safetensors");
      await expect(openSafetensors(path)).rejects.toThrow(DllmError);
    }
  });

  test("an absent file is 66 and a directory is 65", async () => {
    const absent = join(scratch, "absent.safetensors");
    await expect(openSafetensors(absent)).rejects.toMatchObject({
      exitCode: 66,
      message: `${absent}: no such file`,
    });
    await expect(openSafetensors(scratch)).rejects.toMatchObject({ exitCode: 65 });
  });
});

describe("reading", () => {
  test("a tensor called __proto__ is a tensor", async () => {
    const path = save(craft(`{"__proto__":${entry([1], 0, 4)}}`, 4));
    const { tensors } = await readSafetensors(path);
    expect([...tensors.keys()]).toEqual(["__proto__"]);
  });

  test("every numeric dtype becomes float32", () => {
    const data = (view: ArrayBufferView) => Buffer.from(view.buffer as ArrayBuffer);
    const read = (dtype: Parameters<typeof toFloat32>[0]["dtype"], view: ArrayBufferView) => [
      ...toFloat32({ dtype, shape: [], data: data(view) }),
    ];
    // 1, -2, the largest, the smallest subnormal, infinity, and minus zero of each format.
    const halves = new Uint16Array([0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x8000]);
    expect(read("F16", halves)).toEqual([1, -2, 65504, 2 ** -24, Infinity, -0]);
    const bf16 = new Uint16Array([0x3f80, 0xc000, 0x7f7f, 0x0001, 0x7f80, 0x8000]);
    expect(read("BF16", bf16)).toEqual([1, -2, 255 * 2 ** 120, 2 ** -133, Infinity, -0]);
    expect(read("F16", new Uint16Array([0x7e00]))).toEqual([NaN]);
    expect(read("F32", new Float32Array([1.5, -0]))).toEqual([1.5, -0]);
    expect(read("F64", new Float64Array([0.1]))).toEqual([Math.fround(0.1)]);
    expect(read("I64", new BigInt64Array([-3n]))).toEqual([-3]);
    expect(read("U64", new BigUint64Array([2n ** 63n]))).toEqual([2 ** 63]);
    expect(read("I32", new Int32Array([-7]))).toEqual([-7]);
    expect(read("U32", new Uint32Array([2 ** 31]))).toEqual([2 ** 31]);
    expect(read("I16", new Int16Array([-5]))).toEqual([-5]);
    expect(read("U16", new Uint16Array([65535]))).toEqual([65535]);
    expect(read("I8", new Int8Array([-1]))).toEqual([-1]);
    expect(read("U8", new Uint8Array([255]))).toEqual([255]);
    expect(read("BOOL", new Uint8Array([0, 1]))).toEqual([0, 1]);
    expect(() => read("F8_E4M3", new Uint8Array([0]))).toThrow(/no conversion from F8_E4M3/);
  });

  test("float32 is read into the caller's array, and only one of the right length", async () => {
    const path = save(
      safetensorsBytes([
        { name: "a", shape: [2], data: new Float32Array([1, 2]) },
        { name: "h", shape: [2], dtype: "BF16", data: new Uint16Array([0x3f80, 0x4040]) },
      ]),
    );
    const file = await openSafetensors(path);
    const flat = new Float32Array(6);
    await file.readFloat32("a", flat.subarray(1, 3));
    await file.readFloat32("h", flat.subarray(3, 5));
    expect([...flat]).toEqual([0, 1, 2, 1, 3, 0]);
    await expect(file.readFloat32("a", flat)).rejects.toMatchObject({
      exitCode: 65,
      message: `${path}: tensor "a": 2 elements, shape [2]`,
    });
    await expect(file.read("c")).rejects.toThrow(`${path}: no tensor "c"`);
    await file.close();
  });
});

describe("writing", () => {
  test("tensors come by dtype, then by name in UTF-8 order; the header is padded with spaces", () => {
    const bytes = safetensorsBytes([
      { name: "\u{10000}", shape: [1], data: new Float32Array([1]) },
      { name: "\uffff", shape: [1], data: new Float32Array([2]) },
      { name: "b", shape: [1], dtype: "I64", data: new BigInt64Array([3n]) },
      { name: "a", shape: [2], dtype: "U8", data: new Uint8Array([4, 5]) },
      { name: "c", shape: [0, 7], dtype: "F16", data: new Uint16Array(0) },
    ]);
    const length = Number(bytes.readBigUInt64LE());
    expect(length % 8).toBe(0);
    const text = bytes.toString("utf8", 8, 8 + length);
    expect(text).toMatch(/^\{"__metadata__":\{"format":"pt"\},"b":.*\} *$/);
    const header = JSON.parse(text) as Record<string, unknown>;
    const names = ["__metadata__", "b", "\uffff", "\u{10000}", "c", "a"];
    expect(Object.keys(header)).toEqual(names);
    expect(header["a"]).toEqual({ dtype: "U8", shape: [2], data_offsets: [16, 18] });
  });

  test("file and memory forms agree and read back", async () => {
    const tensors = [
      { name: "w", shape: [2, 2], data: new Float32Array([1, 2, 3, 4]) },
      // A view into a larger buffer: only its own bytes are written.
      { name: "v", shape: [2], data: new Float32Array([9, 8, 7, 6]).subarray(1, 3) },
      { name: "scalar", shape: [], data: new Float32Array([0.25]) },
    ];
    const path = join(scratch, "written.safetensors");
    await writeSafetensors(path, tensors, { format: "pt", a: "1" });
    expect(readFileSync(path)).toEqual(safetensorsBytes(tensors, { a: "1", format: "pt" }));
    const read = await readSafetensors(path);
    expect(read.metadata).toEqual({ format: "pt", a: "1" });
    expect([...toFloat32(read.tensors.get("v")!)]).toEqual([8, 7]);
    expect(read.tensors.get("scalar")!.shape).toEqual([]);
    const asked: string[] = [];
    const lazy = tensors.map(({ name, shape, data }) => ({
      name,
      shape,
      data: () => {
        asked.push(name);
        return Promise.resolve(data);
      },
    }));
    await writeSafetensors(path, lazy, { format: "pt", a: "1" });
    expect(asked).toEqual(["scalar", "v", "w"]);
    expect(readFileSync(path)).toEqual(safetensorsBytes(tensors, { a: "1", format: "pt" }));
  });

  test("data that disagrees with its shape, or a repeated name, is a bug", () => {
    const data = new Float32Array(3);
    expect(() => safetensorsBytes([{ name: "a", shape: [2], data }])).toThrow(
      'safetensors: tensor "a" has 12 bytes, expected 8 for F32 [2]',
    );
    const twice = { name: "a", shape: [3], data };
    expect(() => safetensorsBytes([twice, twice])).toThrow(/tensor name "a" is taken/);
  });

  const golden = goldenDirectory();
  test
    .skipIf(golden === undefined)
    .each([
      "models/modernbert/model.safetensors",
      "models/bert/model.safetensors",
      "models/roberta/model.safetensors",
      "interop/tiny_input/model.safetensors",
      "interop/pt_checkpoint_final/model.safetensors",
      "interop/sft_checkpoint-30/model.safetensors",
    ])("re-writing %s gives its bytes", async (name) => {
    const original = readFileSync(join(golden!, name));
    const { tensors, metadata } = await readSafetensors(join(golden!, name));
    const shuffled = [...tensors]
      .map(([tensor, { dtype, shape, data }]) => ({ name: tensor, dtype, shape, data }))
      .reverse();
    expect(safetensorsBytes(shuffled, metadata).equals(original)).toBe(true);
  });
});

describe("sharded weights", () => {
  function shards(weightMap: unknown, index?: string): string {
    const directory = mkdtempSync(join(scratch, "shards-"));
    const file = (name: string, tensors: [string, number][]) =>
      writeFileSync(
        join(directory, name),
        safetensorsBytes(
          tensors.map(([tensor, value]) => ({
            name: tensor,
            shape: [1],
            data: new Float32Array([value]),
          })),
        ),
      );
    file("model-00001-of-00002.safetensors", [["a", 1]]);
    file("model-00002-of-00002.safetensors", [["b", 2]]);
    writeFileSync(
      join(directory, "model.safetensors.index.json"),
      index ?? JSON.stringify({ metadata: { total_size: 8 }, weight_map: weightMap }),
    );
    return directory;
  }
  const first = "model-00001-of-00002.safetensors";
  const second = "model-00002-of-00002.safetensors";

  test("tensors are found in their shards", async () => {
    const weights = await openWeights(shards({ a: first, b: second }));
    expect([...weights.tensors.keys()]).toEqual(["a", "b"]);
    expect([...(await weights.tensors.get("b")!.readFloat32("b"))]).toEqual([2]);
    expect(weights.paths).toHaveLength(2);
    await weights.close();
  });

  test.each([
    "../model.safetensors",
    "/etc/model.safetensors",
    "sub/model.safetensors",
    "..\\model.safetensors",
    ".hidden.safetensors",
    "model.bin",
    "a\u0000.safetensors",
    "",
  ])("a weight_map to %j is refused", async (target) => {
    await expect(openWeights(shards({ a: target, b: second }))).rejects.toMatchObject({
      exitCode: 65,
      message: expect.stringContaining('weight_map sends tensor "a" to') as unknown,
    });
  });

  test("an index that disagrees with its shards is refused", async () => {
    await expect(openWeights(shards({ a: first, b: second, c: first }))).rejects.toThrow(
      /sends tensor "c" to model-00001-of-00002.safetensors, which does not have it/,
    );
    await expect(openWeights(shards({ a: first, c: second }))).rejects.toThrow(
      /model-00002-of-00002.safetensors: tensor "b" is here/,
    );
    await expect(openWeights(shards({}))).rejects.toThrow(/weight_map is empty/);
    await expect(openWeights(shards([]))).rejects.toThrow(/no weight_map/);
    const twice = `{"weight_map":{"a":"${first}","a":"${second}"}}`;
    await expect(openWeights(shards({}, twice))).rejects.toThrow(/key "a" twice/);
  });

  test("a missing shard and missing weights are 66", async () => {
    await expect(
      openWeights(shards({ a: first, b: "model-00003-of-00003.safetensors" })),
    ).rejects.toMatchObject({ exitCode: 66 });
    await expect(openWeights(mkdtempSync(join(scratch, "none-")))).rejects.toMatchObject({
      exitCode: 66,
      message: expect.stringMatching(/: no weights$/) as unknown,
    });
  });
});
