#!/usr/bin/env node
import { executing } from './kubectl.ts';
import { run } from './program.ts';

const end = new AbortController();
process.on('SIGINT', () => end.abort());
process.on('SIGTERM', () => end.abort());
process.stdout.on('error', (error) => {
  // A reader that has seen enough (`| head`) is no error.
  if ('code' in error && error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await run(process.argv.slice(2), {
  kubectl: executing(process.env['KUBECTL'] ?? 'kubectl'),
  width: process.stdout.isTTY ? process.stdout.columns : undefined,
  colour: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
  version: '0.1.0',
  signal: end.signal,
  now: () => Date.now(),
  write: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
});
