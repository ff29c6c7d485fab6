import { describe, expect, test } from 'vitest';
import { type VerifiableFeed, verifySlots } from './verification.ts';

const request = {
  v: 'shard.verify.v1' as const,
  uid: 'u',
  migration: 'm',
  ranges: [{ start: 0, end: 4294967295 }],
  at: [] as { feed: string; resourceVersion: string }[],
};

function feed(name: string, proven: string | Error): VerifiableFeed {
  return {
    name,
    count: (slots) => (name === 'empty' ? 0 : slots.size),
    prove: () => (proven instanceof Error ? Promise.reject(proven) : Promise.resolve(proven)),
    census: (slots, version) => ({ count: slots.size, digest: BigInt(version) }),
  };
}

const ask = (feeds: readonly VerifiableFeed[], at = request.at): ReturnType<typeof verifySlots> =>
  verifySlots({ ...request, at }, new Set([1, 2]), feeds, AbortSignal.timeout(1_000));

describe('a verification', () => {
  test('is answered as of the position that each feed proves', async () => {
    expect(await ask([feed('pods', '16')])).toEqual({
      v: 'shard.verify.v1',
      migration: 'm',
      feeds: [{ feed: 'pods', at: '16', count: 2, digest: '0000000000000010' }],
    });
  });

  test('with positions is answered for those feeds, as of exactly those', async () => {
    const reply = await ask([feed('pods', '99'), feed('nodes', '99')], [{ feed: 'pods', resourceVersion: '16' }]);
    expect(reply.feeds).toEqual([{ feed: 'pods', at: '16', count: 2, digest: '0000000000000010' }]);
    expect(reply.error).toBeUndefined();
  });

  test('needs no proof for a feed that has nothing in the slots, unless a position is asked for', async () => {
    const empty = feed('empty', new Error('stuck'));
    expect((await ask([empty])).feeds).toEqual([{ feed: 'empty', at: '', count: 0, digest: '0000000000000000' }]);
    expect((await ask([empty], [{ feed: 'empty', resourceVersion: '7' }])).error).toBe('feed empty: stuck');
  });

  test('fails for a feed that proves nothing, and names it', async () => {
    const reply = await ask([feed('pods', '1'), feed('nodes', new Error('stuck'))]);
    expect(reply.error).toBe('feed nodes: stuck');
    expect(reply.feeds).toHaveLength(1);
  });

  test('fails without feeds, and when a feed that is asked for is not there', async () => {
    expect((await ask([])).error).toContain('no feeds');
    const reply = await ask([feed('pods', '1')], [{ feed: 'nodes', resourceVersion: '1' }]);
    expect(reply.error).toContain('feed nodes is not open here');
  });
});
