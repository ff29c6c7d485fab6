import type { ObjectList } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { ManualClock } from '@shard-controller/shared/testing';
import { expect, test } from 'vitest';
import { type CommandBody, initialState, type ObservedConfig } from '../aggregate/index.ts';
import type { ConfigHead } from './decision-log.ts';
import { TermLog } from './term-log.ts';

const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
const signal = new AbortController().signal;
const PROBE_MS = 10_000;

const headAt = (sequence: number, over: Partial<ConfigHead> = {}): ConfigHead => ({
  state: initialState,
  sequence,
  lastSequence: sequence,
  generation: 1,
  at: 0,
  decisions: sequence,
  lastId: `d${sequence}`,
  skipped: 0,
  created: 'c1',
  writtenUnder: 'c1',
  ...over,
});

const instance = (generation: number, epoch: number): object => ({
  apiVersion: 'shard.io/v1',
  kind: 'ShardInstance',
  metadata: { name: 'main-shard-000', namespace: 'monitoring', uid: 'i0', resourceVersion: '1' },
  spec: {
    shardConfigRef: { namespace: 'monitoring', name: 'main', uid: 'uid-1' },
    shardId: 'shard-000',
    generation,
    epoch,
    slotCount: 64,
    shardBy: 'uid',
    hashRanges: [],
    warmRanges: [],
    releaseRanges: [],
  },
});

interface Situation {
  /** What NATS holds. */
  head: ConfigHead;
  instances: object[];
  observed: ObservedConfig | undefined;
  exists: boolean;
  /** Whether the command that rebuilds the log is stored. */
  recovers: boolean;
  /** Called while the log is read. */
  onLoad: () => void;
  warm: ConfigHead | undefined;
}

function setUp(over: Partial<Situation> = {}) {
  const situation: Situation = {
    head: headAt(5),
    instances: [],
    observed: undefined,
    exists: true,
    recovers: true,
    onLoad: () => undefined,
    warm: undefined,
    ...over,
  };
  const clock = new ManualClock();
  const did: string[] = [];
  const recovered: CommandBody[] = [];
  const log = new TermLog({
    config,
    log: {
      load: async () => {
        did.push('load');
        situation.onLoad();
        return situation.head;
      },
      resume: async ({ sequence }) => {
        did.push(`resume ${sequence}`);
        return situation.head;
      },
      append: async () => ({ kind: 'conflict', lastSequence: 0 }),
    },
    events: {
      facts: async () => ({
        name: 'SHARD_EVENTS',
        created: situation.head.created,
        messages: 9,
        firstSequence: 1,
        lastSequence: 99,
      }),
      lastSequence: async () => situation.head.sequence,
    },
    client: {
      list: async <T>(): Promise<ObjectList<T>> => ({ resourceVersion: '1', items: situation.instances as T[] }),
    },
    inputs: { observed: () => situation.observed, exists: async () => situation.exists },
    clock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    probeIntervalMs: PROBE_MS,
    warm: situation.warm,
    removed: signal,
    ensureStreams: async () => void did.push('streams'),
    onRead: (known, head) => void did.push(`read ${known?.sequence ?? 'nothing'} to ${head.sequence}`),
    recover: async (_, command) => {
      recovered.push(command);
      return situation.recovers;
    },
    onOpen: () => void did.push('open'),
  });
  return { situation, clock, did, recovered, log };
}

test('is read whole at first, and not again while it is as it was', async () => {
  const { log, did } = setUp();
  expect(log.isStale).toBe(true);
  expect((await log.open(signal))?.head.sequence).toBe(5);
  expect(did).toEqual(['streams', 'load', 'read nothing to 5', 'open']);
  await log.open(signal);
  await log.open(signal);
  expect(did).toHaveLength(4);
});

test('is read on from what was followed on standby', async () => {
  const { log, did } = setUp({ warm: headAt(3) });
  await log.open(signal);
  expect(did).toContain('resume 3');
});

test('is read again after it was invalidated, from where it was read to', async () => {
  const { log, did, situation } = setUp();
  await log.open(signal);
  situation.head = headAt(7);
  log.invalidate();
  expect((await log.open(signal))?.head.sequence).toBe(7);
  expect(did).toContain('resume 5');
});

test.each<[string, ConfigHead]>([
  ['has another message', headAt(6)],
  ['was made again', headAt(5, { created: 'c2', writtenUnder: 'c2' })],
])('is read again when a probe finds that the stream %s, once per interval', async (_, found) => {
  const { log, did, situation, clock } = setUp();
  await log.open(signal);
  await log.open(signal);
  situation.head = found;
  await clock.advance(PROBE_MS - 1);
  await log.open(signal);
  expect(did).not.toContain('resume 5');
  await clock.advance(1);
  expect((await log.open(signal))?.head).toEqual(found);
  expect(did).toContain('resume 5');
});

test('is not taken for up to date when something invalidated it while it was read', async () => {
  const { log, situation } = setUp();
  situation.onLoad = () => log.invalidate();
  expect(await log.open(signal)).toBeUndefined();
  expect(log.isStale).toBe(true);
});

test('stays stale when it cannot be read', async () => {
  const { log, situation } = setUp();
  situation.onLoad = () => {
    throw new Error('gone');
  };
  await expect(log.open(signal)).rejects.toThrow('gone');
  expect(log.isStale).toBe(true);
  expect(log.current).toBeUndefined();
});

const observed = JSON.parse('{"uid":"uid-1"}') as ObservedConfig;

test('is rebuilt from the ShardInstances when it is lost, and is not open before that is stored', async () => {
  const lost = headAt(0, { generation: 0, writtenUnder: undefined });
  const { log, recovered, situation } = setUp({ head: lost, instances: [instance(3, 70)], observed, recovers: false });
  expect(await log.open(signal)).toBeUndefined();
  expect(recovered).toMatchObject([{ type: 'LogLost', generation: 4 }]);
  expect(log.isStale).toBe(true);
  situation.recovers = true;
  expect(await log.open(signal)).toBeDefined();
});

test('is not rebuilt without a valid spec', async () => {
  const { log } = setUp({ head: headAt(0, { generation: 0, writtenUnder: undefined }), instances: [instance(3, 70)] });
  await expect(log.open(signal)).rejects.toMatchObject({ code: 'SC_LOG_LOST' });
});

test.each([true, false])('starts again after a deletion only if the ShardConfig is there again: %s', async (exists) => {
  const deleted = headAt(5, { state: { ...initialState, deleted: true } });
  const { log, recovered } = setUp({ head: deleted, observed, exists });
  await log.open(signal);
  expect(recovered.map(({ type }) => type)).toEqual(exists ? ['LogLost'] : []);
});

test('knows whether it ends where the state does', async () => {
  const { log, situation } = setUp();
  expect(await log.isNewest()).toBe(false);
  await log.open(signal);
  expect(await log.isNewest()).toBe(true);
  situation.head = headAt(6);
  expect(await log.isNewest()).toBe(false);
});
