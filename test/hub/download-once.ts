/** @file A process that downloads one file: `node download-once.mjs <[settings, repository, file]>`. */
import { downloadFile } from "../../src/hub/download.js";
import { openHub } from "../../src/hub/hub.js";

const [settings, repository, file] = JSON.parse(process.argv[2] ?? "") as [
  Parameters<typeof openHub>[0],
  Parameters<typeof downloadFile>[1],
  Parameters<typeof downloadFile>[2],
];
await downloadFile(openHub(settings), repository, file);
