/**
 * @file Protocol-buffer wire format, as much as an ONNX file needs: varints, fixed 32-bit
 * floats and length-delimited fields. https://protobuf.dev/programming-guides/encoding
 */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
/** Bytes of a message up to which it is copied into one part, which is less work than many. */
const SMALL = 4096;

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

/**
 * A message under construction. Fields are numbered as in onnx.proto3. Large byte fields are
 * kept as views, never copied, until the message is encoded or its chunks are written out.
 */
export class Message {
  private readonly parts: Uint8Array[] = [];
  private size = 0;

  /** The encoded message in pieces, in order. */
  get chunks(): readonly Uint8Array[] {
    return this.parts;
  }

  int(field: number, value: number | bigint): this {
    return this.append(varint((field << 3) | VARINT), varint(value));
  }

  float(field: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return this.append(varint((field << 3) | FIXED32), bytes);
  }

  bytes(field: number, value: Uint8Array | string): this {
    const data = typeof value === "string" ? Buffer.from(value, "utf8") : value;
    return this.append(...this.lengthPrefix(field, data.byteLength), data);
  }

  message(field: number, value: Message): this {
    this.append(...this.lengthPrefix(field, value.size));
    if (value.size <= SMALL) return this.append(value.encode());
    // One by one: graphs have more parts than a call has room for arguments.
    for (const part of value.parts) this.append(part);
    return this;
  }

  encode(): Buffer {
    return Buffer.concat(this.parts);
  }

  private lengthPrefix(field: number, length: number): [Buffer, Buffer] {
    return [varint((field << 3) | LENGTH_DELIMITED), varint(length)];
  }

  private append(...parts: Uint8Array[]): this {
    for (const part of parts) {
      this.parts.push(part);
      this.size += part.byteLength;
    }
    return this;
  }
}
