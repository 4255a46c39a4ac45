#!/usr/bin/env node
import { ensureBuilt } from "../scripts/setup.js";

ensureBuilt();
await import("../dist/cli.js");
