import { readFileSync } from 'node:fs';
import { FOLDER_VARIABLE, INSIDE_VARIABLE } from './setup-script.ts';

/** Something that starts processes and signals them was run outside the namespace made for it. */
class OutsideNamespaceError extends Error {
  readonly code = 'SC_OUTSIDE_NAMESPACE';

  constructor(reason: string) {
    super(
      `${reason}: run the command through the launcher, ` +
        '`node --conditions=@shard/source e2e/src/namespace/enter.ts -- <command>`.',
    );
    this.name = 'OutsideNamespaceError';
  }
}

/**
 * Proves that this process runs inside: the launcher's mark, and a /proc of this pid namespace whose PID 1 is its shell.
 *
 * @throws OutsideNamespaceError
 */
export function requireNamespace(): void {
  if (process.env[INSIDE_VARIABLE] !== '1') throw new OutsideNamespaceError('The cluster needs its own namespace');
  const self = Number(readFileSync('/proc/self/stat', 'utf8').split(' ', 1)[0]);
  const init = readFileSync('/proc/1/environ', 'utf8');
  if (self !== process.pid || !init.split('\0').includes(`${INSIDE_VARIABLE}=1`)) {
    throw new OutsideNamespaceError('/proc does not belong to the namespace');
  }
}

/**
 * The folder that the launcher shares with the inside and removes at the end.
 *
 * @throws OutsideNamespaceError
 */
export function sharedFolder(): string {
  const folder = process.env[FOLDER_VARIABLE];
  if (folder === undefined || folder === '') throw new OutsideNamespaceError(`${FOLDER_VARIABLE} is not set`);
  return folder;
}
