import {
  isCounted,
  MAX_KINDS_ASKED,
  type VerifyQuestion,
  type VerifyReply,
  type VerifyRequest,
  verifyReplySchema,
} from '@shard-controller/shared/contracts';
import { ManualClock } from '@shard-controller/shared/testing';
import { describe, expect, test } from 'vitest';
import { namespacesOf } from '../upstream/selection.ts';
import { type VerifiableFeed, Verifier } from './verification.ts';

const SLOTS = new Set([1, 2]);

interface FeedLike {
  readonly kind?: string;
  readonly namespace?: string;
  readonly fieldSelector?: string;
  readonly count?: number;
  readonly position?: string;
  readonly proven?: string | Error;
}

/** A feed that holds `count` objects, and proves `proven` where it is not at the asked position yet. */
function feed(over: FeedLike): VerifiableFeed & { readonly reads: () => number } {
  const { kind = 'pods', namespace = '', fieldSelector = '', count = 2, position = '1', proven = '16' } = over;
  let reads = 0;
  const { namespaces } = namespacesOf(namespace, fieldSelector);
  const hasReached = (version: string): boolean => Number(version) <= Number(position);
  return {
    name: `/${kind}`,
    selection: { resource: kind, version: 'v1', encoding: '', namespaces, selector: '' },
    problem: undefined,
    hasReached,
    count: () => count,
    prove: (_signal, version) => {
      if (version !== undefined && hasReached(version)) return Promise.resolve(version);
      reads++;
      return proven instanceof Error ? Promise.reject(proven) : Promise.resolve(proven);
    },
    digest: (_slots, version, only) => ({ count: only?.has('none') === true ? 0 : count, digest: BigInt(version) }),
    compared: () => undefined,
    shows: (_slots, version) => Promise.resolve(hasReached(version)),
    lateUntil: () => undefined,
    letGo: () => undefined,
    reads: () => reads,
  };
}

const ask = (
  feeds: readonly VerifiableFeed[],
  question: VerifyQuestion = { ask: 'kinds' },
  verifier = new Verifier(new ManualClock()),
): Promise<VerifyReply> => {
  const request: VerifyRequest = {
    v: 'shard.verify.v2',
    uid: 'u',
    migration: 'm',
    slots: '1-2',
    slotCount: 256,
    question,
  };
  return verifier.answer(request, SLOTS, { feeds, settled: true }, AbortSignal.timeout(5_000));
};

describe('a verification', () => {
  test('is answered as of the position that each kind proves', async () => {
    expect(await ask([feed({})])).toEqual({
      v: 'shard.verify.v2',
      migration: 'm',
      settled: true,
      kinds: [{ kind: 'pods', scope: '', at: '16', count: 2, digest: '0000000000000010' }],
    });
  });

  test('is one answer for all watches of a kind, as of the oldest of their positions', async () => {
    const feeds = [feed({ namespace: 'a', proven: '20' }), feed({ namespace: 'b', proven: '16' })];
    const [pods] = (await ask(feeds)).kinds;
    expect(pods).toMatchObject({ at: '16', count: 4, digest: '0000000000000020' });
  });

  test('with positions is answered for those kinds, as of exactly those', async () => {
    const feeds = [feed({ proven: '99' }), feed({ kind: 'nodes', proven: '99' })];
    const reply = await ask(feeds, { ask: 'positions', kinds: [{ kind: 'pods', at: '16' }], proven: true });
    expect(reply.kinds).toEqual([{ kind: 'pods', scope: '', at: '16', count: 2, digest: '0000000000000010' }]);
  });

  test('needs no proof of a watch that has nothing in the slots, unless it is asked to prove that', async () => {
    const empty = feed({ namespace: 'a', count: 0, proven: new Error('stuck') });
    expect((await ask([empty])).kinds).toMatchObject([{ at: '', count: 0, digest: '0000000000000000' }]);
    const full = feed({ namespace: 'b', proven: '20' });
    const positions = { ask: 'positions' as const, kinds: [{ kind: 'pods', at: '16' }] };
    expect((await ask([empty, full], { ...positions, proven: false })).kinds).toMatchObject([{ count: 2 }]);
    expect((await ask([empty, full], { ...positions, proven: true })).kinds).toMatchObject([{ problem: 'stuck' }]);
  });

  test('of some namespaces asks no watch of others', async () => {
    const feeds = [feed({ namespace: 'a', proven: '20' }), feed({ namespace: 'b', proven: new Error('stuck') })];
    const kinds = [{ kind: 'pods', at: '16' }];
    const reply = await ask(feeds, { ask: 'positions', kinds, proven: true, namespaces: ['a', 'z'] });
    expect(reply.kinds).toMatchObject([{ count: 2 }]);
  });

  test('leaves one kind out that proves nothing, and says why and since when', async () => {
    const clock = new ManualClock();
    const verifier = new Verifier(clock);
    const feeds = [feed({ kind: 'nodes', proven: new Error('stuck') }), feed({})];
    const stuck = async () => (await ask(feeds, { ask: 'kinds' }, verifier)).kinds[0];
    expect(await stuck()).toEqual({ kind: 'nodes', scope: '', problem: 'stuck', sinceMs: 0 });
    await clock.advance(3_000);
    expect(await stuck()).toMatchObject({ sinceMs: 3_000 });
    expect((await ask(feeds, { ask: 'kinds' }, verifier)).kinds.filter(isCounted)).toHaveLength(1);
  });

  test('does not even ask a kind that is judged to be broken', async () => {
    const broken = { ...feed({}), unavailable: 'pods is forbidden' };
    expect((await ask([broken])).kinds).toMatchObject([{ problem: 'pods is forbidden', known: true }]);
    expect(broken.reads()).toBe(0);
  });

  test('says which namespaces a scope is', async () => {
    const fieldSelector = 'metadata.namespace!=b,metadata.namespace!=a';
    const feeds = [feed({ fieldSelector })];
    const [pods] = (await ask(feeds)).kinds;
    const reply = await ask(feeds, { ask: 'scope', scope: pods?.scope ?? '' });
    expect(reply.namespaces).toEqual({ except: true, names: ['a', 'b'] });
    expect((await ask(feeds, { ask: 'scope', scope: '0'.repeat(16) })).error).toContain('no object of the namespaces');
  });

  test('is answered in pages, each of which fits, whatever is exported', async () => {
    const kinds = Array.from({ length: 600 }, (_, i) => `${'k'.repeat(300)}${i}`);
    const names = Array.from({ length: 1_000 }, (_, i) => `${'n'.repeat(59)}${i}`);
    const fieldSelector = names.map((name) => `metadata.namespace!=${name}`).join(',');
    const feeds = kinds.map((kind) => feed({ kind, fieldSelector, proven: new Error('\u0001'.repeat(500)) }));
    const verifier = new Verifier(new ManualClock());
    const seen = new Set<string>();
    let after: string | undefined;
    do {
      const reply = verifyReplySchema.parse(await ask(feeds, { ask: 'kinds', after }, verifier));
      expect(Buffer.byteLength(JSON.stringify(reply))).toBeLessThan(64 * 1024);
      expect(reply.kinds.length).toBeLessThanOrEqual(MAX_KINDS_ASKED);
      for (const { kind } of reply.kinds) seen.add(kind);
      after = reply.next;
    } while (after !== undefined);
    expect(seen.size).toBe(600);
    const denied: string[] = [];
    const scope = (await ask(feeds, { ask: 'kinds' }, verifier)).kinds[0]?.scope ?? '';
    do {
      const reply = verifyReplySchema.parse(await ask(feeds, { ask: 'scope', scope, after }, verifier));
      expect(Buffer.byteLength(JSON.stringify(reply))).toBeLessThan(64 * 1024);
      denied.push(...(reply.namespaces?.names ?? []));
      after = reply.next;
    } while (after !== undefined);
    expect(denied).toEqual(names.toSorted());
  }, 30_000);
});
