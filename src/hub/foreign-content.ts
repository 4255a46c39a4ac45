/** @file What stands in for a file when something in between went wrong. */

const HEAD_BYTES = 512;

/** Returns what bytes are that should be something else: a web page, a Git LFS pointer. */
export function recogniseForeignContent(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString("latin1").trimStart();
  if (head.startsWith("version https://git-lfs.github.com/spec/")) {
    return "a Git LFS pointer, which names the content but is not the content";
  }
  if (/^(?:<!--[^>]*-->\s*)?<(?:!doctype html|html|head|body)\b/i.test(head)) {
    return "a web page (HTML)";
  }
  return undefined;
}
