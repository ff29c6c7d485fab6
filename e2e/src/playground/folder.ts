import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';

const DEFAULT = join(import.meta.dirname, '..', '..', '..', '.playground');

/** Where a playground keeps what outlives the command that started it. Git ignores the default one. */
export const FOLDER = resolve(process.env['SHARD_CONTROLLER_PLAYGROUND'] ?? DEFAULT);

export const LOG = join(FOLDER, 'playground.log');
export const LOGS = join(FOLDER, 'logs');
export const KUBECONFIG = join(FOLDER, 'kubeconfig');
const OWNER = join(FOLDER, 'owner.json');
const READY = join(FOLDER, 'ready.json');

const ownerSchema = z.object({ pid: z.int().positive(), startTime: z.string() });
const readySchema = z.object({ server: z.string(), metrics: z.string(), shardsReady: z.boolean() });

export type Ready = z.infer<typeof readySchema>;

/** An empty folder; what an earlier playground left is gone. */
export function makeFolder(): void {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(LOGS, { recursive: true });
}

export function removeFolder(): void {
  rmSync(FOLDER, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

export function writeOwner(pid: number): void {
  writeFileSync(OWNER, JSON.stringify({ pid, startTime: startTime(pid) ?? '' }));
}

/** The launcher's pid, if it still runs. Its start time tells it from a later process with the same number. */
export function livingOwner(): number | undefined {
  const owner = ownerSchema.safeParse(readJson(OWNER)).data;
  return owner !== undefined && startTime(owner.pid) === owner.startTime ? owner.pid : undefined;
}

export function writeReady(ready: Ready): void {
  writeFileSync(READY, JSON.stringify(ready));
}

/** Undefined until the playground is complete. */
export function readReady(): Ready | undefined {
  return readySchema.safeParse(readJson(READY)).data;
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/<pid>/stat, counted after the name, which may hold spaces; undefined for a zombie too. */
function startTime(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
