import type { Assignment } from '@shard-controller/shared/contracts';
import type { EventNote } from '@shard-controller/shared/kubernetes';
import { NatsUnavailableError } from '@shard-controller/shared/nats';
import { createLogger } from '@shard-controller/shared/observability';
import { beforeEach, expect, test } from 'vitest';
import { initialState, type ShardConfigState, type ShardEvent } from '../aggregate/index.ts';
import { UnknownEventError } from '../event-log/errors.ts';
import type { ConfigHead } from './decision-log.ts';
import { DecisionReport } from './decision-report.ts';

const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };

let lines: Record<string, unknown>[];
let notes: EventNote[];
let counted: [string, ShardConfigState][];
let rejections: string[];
let changes: number;
let report: DecisionReport;

beforeEach(() => {
  [lines, notes, counted, rejections, changes] = [[], [], [], [], 0];
  report = new DecisionReport({
    config,
    regarding: { kind: 'ShardConfig', metadata: config },
    recorder: { record: (_, note) => void notes.push(note) },
    metrics: {
      event: (_, { type }, before) => void counted.push([type, before]),
      rejected: (_, machine, command) => void rejections.push(`${machine} ${command}`),
    },
    logger: createLogger({
      name: 'test',
      level: 'debug',
      destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
    }),
    onHold: () => void (changes += 1),
  });
});

const texts = (): unknown[] => lines.map(({ msg }) => msg);

test('the reason for not deciding is told once, and its end', () => {
  expect(report.hold?.reason).toBe('Starting');
  report.held('NatsUnavailable', 'no answer');
  report.held('NatsUnavailable', 'still no answer');
  expect(report.hold).toEqual({ reason: 'NatsUnavailable', message: 'still no answer' });
  expect(texts()).toEqual(['no decisions: no answer']);
  expect(notes).toMatchObject([{ type: 'Warning', reason: 'NatsUnavailable', note: 'no answer' }]);
  report.resumed();
  report.resumed();
  expect(report.hold).toBeUndefined();
  expect(texts()).toEqual(['no decisions: no answer', 'deciding again']);
  expect(changes).toBe(3);
});

test.each([
  [new NatsUnavailableError('no answer'), 'NatsUnavailable', /the workers keep serving\. .*no answer/],
  [new UnknownEventError('shard.event.v9', 'shard.events.x', 3), 'LogUnreadable', /shard\.event\.v9/],
  [new Error('a bug'), 'CannotDecide', /^a bug$/],
  ['no error at all', 'CannotDecide', /^no error at all$/],
])('%s is told as %s', (error, reason, message) => {
  expect(report.failed(error)).toBe(reason);
  expect(report.hold).toEqual({ reason, message: expect.stringMatching(message) });
});

test('the first reading of the log is no trouble that ends', () => {
  report.resumed();
  expect(lines).toEqual([]);
  expect(report.hold).toBeUndefined();
});

test('each event is told of the state that it was decided on, with its shard and epoch', () => {
  const events: ShardEvent[] = [
    { type: 'shard.scaled.v1', at: 1, from: 0, to: 1, trigger: 'initial', reason: 'first' },
    { type: 'shard.health.changed.v1', at: 1, shardId: 'shard-000', from: 'Pending', to: 'Failed', evidence: ['gone'] },
  ];
  report.decided(events, initialState, 7);
  expect(lines).toMatchObject([{ epoch: 7 }, { epoch: 7, shard: 'shard-000' }]);
  expect(notes).toMatchObject([{ reason: 'ScaledUp' }, { type: 'Warning', reason: 'ShardFailed' }]);
  expect(counted[0]?.[1]).toBe(initialState);
  expect(counted[1]?.[1].desiredShards).toBe(1);
});

test('a rejection is told aloud once, and counted each time', () => {
  for (let times = 0; times < 3; times += 1) report.rejected('scaling', 'too early', { type: 'Tick' });
  report.rejected('scaling', 'another reason', { type: 'Tick' });
  expect(lines.map(({ level }) => level)).toEqual(['info', 'debug', 'debug', 'info']);
  expect(rejections).toEqual(Array(4).fill('scaling Tick'));
});

test('what somebody else writes to the log is told when there is more of it', () => {
  const head = (skipped: number, created = 'c1'): ConfigHead => ({
    state: initialState,
    sequence: 9,
    lastSequence: 5,
    generation: 1,
    at: 0,
    decisions: 5,
    lastId: 'd5',
    created,
    writtenUnder: created,
    skipped,
  });
  report.skipped(head(2), head(2));
  expect(notes).toEqual([]);
  report.skipped(head(2), head(5));
  report.skipped(head(5), head(1, 'c2'));
  report.skipped(undefined, head(4));
  expect(notes.map(({ note }) => note.split(' ')[0])).toEqual(['3', '1', '4']);
  expect(notes[0]?.note).toContain('shard.events.monitoring.main.uid-1');
});

test('an assignment that no log holds is told with its subject', () => {
  const of = (generation: number, epoch: number): Assignment => ({
    v: 'shard.assignment.v1',
    shardConfig: config,
    shardId: 'shard-000',
    generation,
    epoch,
    slotCount: 64,
    shardBy: 'uid',
    hashRanges: [],
    warmRanges: [],
    releaseRanges: [],
  });
  report.forged(of(99, 1), of(1, 7));
  expect(notes).toMatchObject([{ reason: 'ForgedAssignment' }]);
  expect(notes[0]?.note).toMatch(
    /shard\.assignments\.monitoring\.main\.shard-000 held assignment 99\/1.*replaced by 1\/7/,
  );
});
