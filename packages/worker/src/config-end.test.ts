import { KubernetesError } from '@shard-controller/shared/kubernetes';
import { describe, expect, it } from 'vitest';
import { systemClock } from '@shard-controller/shared/runtime';
import { ConfigEnd } from './config-end.ts';
import { identity } from './testing/fixtures.ts';

type Answer = Readonly<Record<string, unknown>> | undefined | number;

const ALIVE = { metadata: { uid: identity.uid } };
const SPACE = { metadata: { uid: 'uid-of-namespace' } };
const DELETED = '2026-11-30T12:00:00Z';

/** What the first answers of the API server make of it. */
async function reasonAfter(config: Answer, namespace: Answer, instanceEnded?: string): Promise<string | undefined> {
  const asked = Promise.withResolvers<void>();
  const over = new AbortController();
  const end = new ConfigEnd({
    client: {
      find: async <T>(path: string): Promise<T | undefined> => {
        const answer = path.includes('shardconfigs') ? config : namespace;
        if (typeof answer !== 'number') return JSON.parse(JSON.stringify(answer ?? null)) ?? undefined;
        const code = answer === 403 ? 'SC_KUBERNETES_FORBIDDEN' : 'SC_KUBERNETES_UNREACHABLE';
        throw new KubernetesError({ code, status: answer, reason: '', method: 'GET', path, message: 'refused' });
      },
    },
    identity,
    clock: systemClock,
    instanceEnded: () => instanceEnded,
    onChange: () => asked.resolve(),
  });
  expect(end.reason).toBeUndefined();
  const running = end.run(over.signal);
  await asked.promise;
  over.abort();
  await running;
  return end.reason;
}

describe('the end of a ShardConfig', () => {
  it('is seen in the ShardConfig itself: gone, going, or another one of its name', async () => {
    expect(await reasonAfter(undefined, SPACE)).toBe('ShardConfig monitoring/main is gone');
    const going = { metadata: { uid: identity.uid, deletionTimestamp: DELETED } };
    expect(await reasonAfter(going, SPACE)).toBe('ShardConfig monitoring/main is being deleted');
    const next = { metadata: { uid: 'uid-2' } };
    expect(await reasonAfter(next, SPACE)).toBe('ShardConfig monitoring/main was deleted and re-created');
  });

  it('is seen in the namespace, also when the ShardConfig still stands or cannot be read', async () => {
    const going = { metadata: { ...SPACE.metadata, deletionTimestamp: DELETED } };
    for (const config of [ALIVE, 403, 0]) {
      expect(await reasonAfter(config, going)).toBe('namespace monitoring is being deleted');
    }
  });

  it('is not seen in a ShardInstance that somebody deleted while its ShardConfig stands', async () => {
    expect(await reasonAfter(ALIVE, SPACE, 'the ShardInstance is gone')).toBeUndefined();
  });

  it('is seen in the ShardInstance where the ShardConfig cannot be read', async () => {
    expect(await reasonAfter(403, 403, 'the ShardInstance is gone')).toBe('the ShardInstance is gone');
  });

  it('is not seen in lost permissions or in an API server that does not answer', async () => {
    expect(await reasonAfter(403, 403)).toBeUndefined();
    expect(await reasonAfter(0, 0)).toBeUndefined();
  });
});
