#!/usr/bin/env node
import { runCli } from './program.js';

// a reader that has seen enough (vitro grpo --help | head) ends the command quietly
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await runCli(process.argv.slice(2));
