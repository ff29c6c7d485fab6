import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { OutsidePorts } from './outside-ports.ts';
import { findUnshareCommand } from './permission.ts';
import { FOLDER_VARIABLE, INIT_SCRIPT, INSIDE_VARIABLE, LIFELINE_FD } from './setup-script.ts';
import { makeSharedFolder, removeSharedFolder } from './shared-folder.ts';

/** Signals passed to the command. A terminal sends its signals to the launcher alone, which makes the stop ordered. */
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGWINCH', 'SIGUSR2'] as const;

/** A third interrupt means that the ordered stop is stuck: everything inside is killed. */
const PATIENCE = 3;

/**
 * Runs a command inside a namespace of its own and resolves with its exit code. Everything that the command started
 * is gone when this resolves, and also when this process dies in any way.
 *
 * @throws NamespaceForbiddenError, BinaryMissingError
 */
export async function launch(command: readonly string[], outerEnv: NodeJS.ProcessEnv = process.env): Promise<number> {
  const env: NodeJS.ProcessEnv = { ...outerEnv, PATH: searchPath(outerEnv) };
  const [unshare, ...args] = await findUnshareCommand(env);
  const folder = makeSharedFolder(env);
  const ports = new OutsidePorts(folder);
  try {
    await ports.start();
    const child = spawn(unshare, [...args, '/bin/sh', '-c', INIT_SCRIPT, 'namespace', ...command], {
      env: { ...env, [INSIDE_VARIABLE]: '1', [FOLDER_VARIABLE]: folder },
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
      detached: true,
    });
    const stopForwarding = forwardSignals(child);
    try {
      return await exitCode(child);
    } finally {
      stopForwarding();
    }
  } finally {
    ports.stop();
    removeSharedFolder(folder);
  }
}

/** This Node first, so that `node` and `npx` inside are the same; the sbin folders last, which users' PATHs lack. */
function searchPath(env: NodeJS.ProcessEnv): string {
  const own = env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin';
  return [dirname(process.execPath), own, '/usr/sbin', '/sbin', '/usr/bin', '/bin'].join(delimiter);
}

function forwardSignals(child: ChildProcess): () => void {
  const lifeline = writable(child);
  // The inside may be gone before the last signal is written.
  lifeline.on('error', () => undefined);
  let interrupts = 0;
  const forward = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGINT' || signal === 'SIGTERM') interrupts += 1;
    if (interrupts >= PATIENCE) lifeline.end();
    else lifeline.write(`${signal.slice('SIG'.length)}\n`);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return () => {
    for (const signal of FORWARDED) process.off(signal, forward);
    lifeline.end();
  };
}

function writable(child: ChildProcess): Writable {
  const stream = child.stdio[LIFELINE_FD];
  if (stream === null || stream === undefined || !('write' in stream)) throw new Error('the lifeline was not opened');
  return stream;
}

function exitCode(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
