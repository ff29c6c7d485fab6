import { type ShardConfig, shardConfigSpecSchema } from '@shard-controller/shared/api';
import { ManualClock } from '@shard-controller/shared/testing';
import { beforeEach, expect, test } from 'vitest';
import { initialState, type ShardConfigState } from '../aggregate/index.ts';
import type { InvalidConfig } from '../observation/index.ts';
import { ConfigInputs } from './config-inputs.ts';

const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
const worker = {
  image: 'worker:1',
  serviceAccount: 'worker',
  nats: { url: 'nats://nats:4222', auth: 'none', audience: '' } as const,
  logLevel: 'info',
  fixedUser: true,
};
const signal = new AbortController().signal;

const resource = (generation: number): ShardConfig => ({
  apiVersion: 'shard.io/v1',
  kind: 'ShardConfig',
  metadata: { namespace: 'monitoring', name: 'main', uid: 'uid-1', resourceVersion: '1', generation },
  spec: shardConfigSpecSchema.parse({}),
});
const invalid = (generation: number, problems: string[] = ['spec.slots: 3']): InvalidConfig => ({
  namespace: 'monitoring',
  name: 'main',
  uid: 'uid-1',
  generation,
  problems,
  status: undefined,
});

let seen: { config?: ShardConfig | undefined; invalid?: InvalidConfig | undefined };
/** What the API server answers. */
let present: object | undefined;
let reads: number;
let clock: ManualClock;
let removed: AbortController;
let inputs: ConfigInputs;

beforeEach(() => {
  seen = { config: resource(1) };
  present = undefined;
  reads = 0;
  clock = new ManualClock();
  removed = new AbortController();
  inputs = new ConfigInputs({
    config,
    cluster: { config: () => seen.config, invalid: () => seen.invalid },
    client: {
      find: async <T>() => {
        reads += 1;
        return present === undefined ? undefined : (JSON.parse(JSON.stringify(present)) as T);
      },
    },
    worker,
    clock,
    removed: removed.signal,
  });
});

/** The state after the spec of `specGeneration` was accepted. */
function accepted(specGeneration: number): ShardConfigState {
  const observed = inputs.observed();
  if (observed === undefined) throw new Error('no spec is seen');
  return { ...initialState, ...observed, specGeneration };
}
const types = (state: ShardConfigState): string[] => inputs.commands(state).map(({ type }) => type);

test('a spec is offered when it is new, and not any more once it is in force', () => {
  expect(types(initialState)).toEqual(['ConfigObserved']);
  expect(types(accepted(1))).toEqual([]);
});

test('a spec that was refused is not offered again before it changes or the log is read again', () => {
  const refused = { ...initialState, rejected: { specGeneration: 1, problems: ['no'] } };
  expect(types(refused)).toEqual(['ConfigObserved']);
  expect(types(refused)).toEqual([]);
  inputs.reset();
  expect(types(refused)).toEqual(['ConfigObserved']);
  seen.config = resource(2);
  expect(types(refused)).toEqual(['ConfigObserved']);
});

test('an invalid spec is told once, with problems that fit an event', () => {
  seen.invalid = invalid(2, Array(60).fill('x'.repeat(600)));
  const [command] = inputs.commands(initialState);
  expect(command).toMatchObject({ type: 'ConfigInvalid', specGeneration: 2, isRestored: false });
  const problems = command?.type === 'ConfigInvalid' ? command.problems : [];
  expect(problems.map(({ length }) => length)).toEqual(Array(50).fill(500));
  expect(types({ ...initialState, rejected: { specGeneration: 2, problems: [] } })).toEqual([]);
});

test('a ShardConfig that is gone is told until the state says so', () => {
  const state = accepted(1);
  removed.abort();
  expect(types(state)).toEqual(['ConfigDeleted']);
  expect(types({ ...state, deleted: true })).toEqual([]);
  expect(types(initialState)).toEqual([]);
});

test('an older spec counts as restored once the API server has it, and is asked for no more than every 2 s', async () => {
  const state = accepted(5);
  present = { metadata: { uid: 'uid-1', generation: 5 } };
  await inputs.confirmRestored(state, signal);
  expect(inputs.commands(state)).toMatchObject([{ isRestored: false }]);
  present = { metadata: { uid: 'uid-1', generation: 1 } };
  await clock.advance(1_999);
  await inputs.confirmRestored(state, signal);
  expect(reads).toBe(1);
  await clock.advance(1);
  await inputs.confirmRestored(state, signal);
  expect(inputs.commands(state)).toMatchObject([{ type: 'ConfigObserved', isRestored: true }]);
  // It is known now.
  await clock.advance(10_000);
  await inputs.confirmRestored(state, signal);
  expect(reads).toBe(2);
  await inputs.confirmRestored(accepted(1), signal);
  inputs.reset();
  expect(inputs.commands(state)).toMatchObject([{ isRestored: false }]);
});

test.each([
  [{ metadata: { uid: 'uid-1' } }, true],
  [{ metadata: { uid: 'uid-2' } }, false],
  [{ metadata: { uid: 'uid-1', deletionTimestamp: '2026-01-01T00:00:00Z' } }, false],
  [undefined, false],
])('exists as %j: %s', async (object, expected) => {
  present = object;
  expect(await inputs.exists(signal)).toBe(expected);
});
