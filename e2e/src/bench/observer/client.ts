import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Observations, ObserverResponse, ObserverSettings } from './protocol.ts';

/** Runs the observer to its end. @throws Error when it could not measure, or when the signal aborts */
export async function observe(settings: ObserverSettings, signal: AbortSignal): Promise<Observations> {
  const child = fork(join(import.meta.dirname, 'main.ts'), {
    execArgv: ['--conditions=@shard/source'],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    child.send(settings);
    const [response] = (await Promise.race([
      once(child, 'message', { signal }),
      once(child, 'exit', { signal }).then(([code]) => {
        throw new Error(`the observer's process ended (exit code ${String(code)})`);
      }),
    ])) as [ObserverResponse];
    if (response.type === 'failed') throw new Error(`the observer: ${response.message}`);
    return response.observations;
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
  }
}
