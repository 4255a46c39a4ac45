/**
 * @file Protocol-buffer wire format, as much as an ONNX file needs: varints, fixed 32-bit
 * floats and length-delimited fields. https://protobuf.dev/programming-guides/encoding
 */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

function varint(value: number | bigint): Buffer {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

/** A message under construction. Fields are numbered as in onnx.proto3. */
export class Message {
  private readonly chunks: Uint8Array[] = [];

  int(field: number, value: number | bigint): this {
    this.chunks.push(varint((field << 3) | VARINT), varint(value));
    return this;
  }

  float(field: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    this.chunks.push(varint((field << 3) | FIXED32), bytes);
    return this;
  }

  bytes(field: number, value: Uint8Array | string): this {
    const data = typeof value === "string" ? Buffer.from(value, "utf8") : value;
    this.chunks.push(varint((field << 3) | LENGTH_DELIMITED), varint(data.byteLength), data);
    return this;
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  /** A packed repeated integer field. */
  packedInts(field: number, values: readonly number[]): this {
    return this.bytes(field, Buffer.concat(values.map(varint)));
  }

  encode(): Buffer {
    return Buffer.concat(this.chunks);
  }
}
