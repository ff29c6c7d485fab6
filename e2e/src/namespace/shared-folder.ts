import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'sc-ns-';
const OWNER = 'launcher.pid';

/**
 * A short folder for sockets and data. Not under /run, which is fresh inside, and short because socket paths are.
 * Those of launchers that were killed are removed on the way.
 */
export function makeSharedFolder(env: NodeJS.ProcessEnv): string {
  const parent = parentFolder(env);
  removeAbandoned(parent);
  const folder = mkdtempSync(join(parent, PREFIX));
  writeFileSync(join(folder, OWNER), String(process.pid));
  return folder;
}

export function removeSharedFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

function parentFolder(env: NodeJS.ProcessEnv): string {
  const wanted = env['TMPDIR'] ?? tmpdir();
  const usable = wanted.length <= 60 && !/^(\/var)?\/run(\/|$)/.test(wanted) && existsSync(wanted);
  return usable ? wanted : '/tmp';
}

function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(parent, name);
    try {
      if (statSync(folder).uid !== process.getuid?.()) continue;
      if (!isAlive(Number(readFileSync(join(folder, OWNER), 'utf8')))) removeSharedFolder(folder);
    } catch {
      // Someone else's, half made, or removed meanwhile: not ours to judge.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
