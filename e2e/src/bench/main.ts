import { runBench } from './bench.ts';
import { loadSettings } from './settings.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)));
}

try {
  const results = await runBench(loadSettings(process.env), say, interrupted.signal);
  process.exitCode = Object.keys(results.failed).length === 0 ? 0 : 1;
} catch (error) {
  say(`\nthe bench could not run: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
// The arm that an interrupt cut short still waits for what is gone: it must not keep the process.
if (interrupted.signal.aborted) process.exit(130);
