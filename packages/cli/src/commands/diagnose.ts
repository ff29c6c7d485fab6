import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from '../inspection-client.ts';
import type { Kubectl } from '../kubectl.ts';

/** Log lines of each container that are kept. */
const LOG_LINES = 2000;
const WORKERS = 'app.kubernetes.io/managed-by=shard-controller';
const MANAGERS = 'app.kubernetes.io/part-of=shard-controller';

/** Names of variables and fields whose values are left out. */
const SECRET = /(token|password|secret|credential|nkey|seed|creds|authorization)/i;

/** A copy without the values of whatever is called like a secret, and without what kubectl applied. */
export function redacted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const name = entries.find(([key]) => key === 'name')?.[1];
  const isSecret = typeof name === 'string' && SECRET.test(name);
  return Object.fromEntries(
    entries
      .filter(([key]) => key !== 'managedFields' && key !== 'kubectl.kubernetes.io/last-applied-configuration')
      .map(([key, each]): [string, unknown] => {
        const hide = typeof each === 'string' && each !== '' && (SECRET.test(key) || (isSecret && key === 'value'));
        return [key, hide ? 'REDACTED' : redacted(each)];
      }),
  );
}

/** Connection strings with a password in them. */
export const redactedText = (text: string): string => text.replaceAll(/(\w+:\/\/)[^\s/@"]+@/g, '$1REDACTED@');

/**
 * Gathers what a bug report needs in one archive: objects, events, logs, the newest decisions. Secrets are not read, and
 * what looks like one is left out. Returns what could not be gathered.
 */
export async function diagnose(kubectl: Kubectl, path: string): Promise<readonly string[]> {
  const work = mkdtempSync(join(tmpdir(), 'kubectl-shard-'));
  const folder = join(work, 'diagnose');
  mkdirSync(folder);
  const missing: string[] = [];
  const keep = async (name: string, gather: () => Promise<string>): Promise<void> => {
    try {
      writeFileSync(join(folder, name), redactedText(await gather()));
    } catch (error) {
      missing.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const objects = (name: string, args: readonly string[]): Promise<void> =>
    keep(`${name}.json`, async () => JSON.stringify(redacted(await kubectl.json(['get', ...args])), null, 2));
  try {
    await Promise.all([
      objects('shardconfigs', ['shardconfigs.shard.io']),
      objects('shardinstances', ['shardinstances.shard.io']),
      objects('workers', ['pods,statefulsets,services,poddisruptionbudgets', '-l', WORKERS]),
      objects('installation', ['pods,deployments,statefulsets,services', '-l', MANAGERS]),
      objects('events', ['events']),
      keep('version.txt', () => kubectl.run(['version'])),
      keep('managers.log', () => logs(kubectl, MANAGERS)),
      keep('workers.log', () => logs(kubectl, WORKERS)),
      ...(['status', 'shards', 'events'] as const).map((endpoint) =>
        keep(`inspect-${endpoint}.json`, async () => JSON.stringify(await ask(kubectl, endpoint, {}), null, 2)),
      ),
    ]);
    writeFileSync(join(folder, 'missing.txt'), missing.join('\n'));
    execFileSync('tar', ['-czf', path, '-C', work, 'diagnose']);
    return missing;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const logs = (kubectl: Kubectl, selector: string): Promise<string> =>
  kubectl.run(['logs', '-l', selector, '--all-containers', '--prefix', `--tail=${LOG_LINES}`, '--max-log-requests=50']);
