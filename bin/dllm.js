#!/usr/bin/env node
import { ensureBuilt } from "../scripts/setup.js";

ensureBuilt();
const { runCli } = await import("../dist/cli.js");
process.exitCode = await runCli(process.argv.slice(2));
