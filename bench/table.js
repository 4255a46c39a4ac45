/** @file The comparisons as a Markdown table on stderr, stdout being for JSON lines. */

export function printTable(rows) {
  if (rows.length === 0) return;
  const ms = (value) => (value < 100 ? value.toFixed(1) : value.toFixed(0));
  const cells = rows.map(
    ({ work, ours, peer, oursMs, peerMs, ratio, target, rss_ratio, ...row }) => [
      work,
      `${ours}: ${ms(oursMs)} ms`,
      `${peer}: ${ms(peerMs)} ms`,
      `${ratio.median} (${ratio.low}-${ratio.high})`,
      target ? `${target} ${ratio.median >= target ? "reached" : "missed"}` : "",
      String(rss_ratio),
      row.same_tokens ?? "",
    ],
  );
  const head = ["work", "ours", "peer", "faster by", "target", "peak RSS ratio", "same tokens"];
  const widths = head.map((title, i) => Math.max(...[head, ...cells].map((row) => row[i].length)));
  const line = (row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  console.error(
    [line(head), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n"),
  );
}
