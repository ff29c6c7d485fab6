import { shardConfigSpecSchema, type ShardInstance } from '@shard-controller/shared/api';
import type { ApplyRequest } from '@shard-controller/shared/kubernetes';
import { describe, expect, it } from 'vitest';
import { desired } from '../aggregate/index.ts';
import { ModelWorld, testSettings } from '../aggregate/testing/model-world.ts';
import { shardInstanceOf } from './shard-instance.ts';
import type { WorkerPod } from './worker-pods.ts';
import { World, type WorldInput } from './world.ts';
import { templateRevision } from './worker-pod.ts';

const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
const worker = { image: 'worker:1', serviceAccount: 'worker', natsUrl: 'nats://nats:4222', logLevel: 'info' };
const spec = shardConfigSpecSchema.parse({});
const revision = templateRevision({ config, spec, worker });
const model = new ModelWorld({ settings: testSettings });
model.settle();
const head = { generation: model.state.generation, epoch: model.state.sequence };

const instanceOf = (shardId: string, epoch: number): ShardInstance => {
  const [assignment] = desired(model.state).assignments;
  if (assignment === undefined) throw new Error('nothing is assigned');
  const { metadata, spec: content } = shardInstanceOf({ ...assignment, shardId, epoch });
  return {
    apiVersion: 'shard.io/v1',
    kind: 'ShardInstance',
    metadata: { name: metadata?.name ?? '', namespace: 'monitoring', uid: `of-${shardId}`, resourceVersion: '1' },
    spec: content,
  };
};

const pod = (over: Partial<WorkerPod>): WorkerPod => ({
  name: 'main-a-0',
  uid: 'p0',
  config: 'main',
  shardId: 'shard-000',
  replica: 'a',
  revision: 'before',
  node: 'n1',
  phase: 'Running',
  ready: true,
  notReadyReason: '',
  deleting: false,
  workerDown: false,
  createdAt: 0,
  ...over,
});

/** Names of what is applied and deleted. */
async function effectsOf(over: Partial<WorldInput>) {
  const changes: string[] = [];
  const world = new World({
    client: {
      apply: async <T>({ object }: ApplyRequest): Promise<T> => {
        changes.push(`apply ${object.kind} ${object.metadata?.name}`);
        return JSON.parse('{}');
      },
      delete: async (path: string) => void changes.push(`delete ${path.split('/').at(-1)}`),
    },
    publisher: {
      publish: async ({ shardId }) => {
        changes.push(`publish ${shardId}`);
        return 'published';
      },
      forget: () => undefined,
      remove: async () => undefined,
    },
    worker,
    logger: { info: () => undefined },
  });
  const input: WorldInput = {
    config,
    spec,
    head,
    desired: desired(model.state),
    revision,
    instances: new Map(),
    pods: [],
    resync: true,
    ...over,
  };
  const outcome = await world.reconcile(input, new AbortController().signal);
  return { changes, outcome };
}

describe('the world', () => {
  it('is left as it is by a manager whose state is older than what the ShardInstances hold', async () => {
    const newer = new Map([['shard-002', instanceOf('shard-002', head.epoch + 1)]]);
    expect(await effectsOf({ instances: newer })).toEqual({
      changes: [],
      outcome: { settled: false, superseded: true, problems: [] },
    });
    const leftOver = new Map([['shard-002', instanceOf('shard-002', head.epoch)]]);
    expect((await effectsOf({ instances: leftOver })).changes).toContain('delete main-shard-002');
  });

  it('gets assignments, and no pods, while no valid spec is known', async () => {
    const { changes } = await effectsOf({ spec: undefined });
    expect(changes).toEqual(expect.arrayContaining(['apply ShardInstance main-shard-000', 'publish shard-001']));
    expect(changes.filter((change) => change.includes('StatefulSet'))).toEqual([]);
  });

  it.each([
    ['spares', true, []],
    ['loses', false, ['delete main-a-0']],
  ])('%s an outdated pod of an owner that is not heard when its readiness is %s', async (_, ready, expected) => {
    const [statefulSet] = desired(model.state).statefulSets;
    const outdated = { shardId: 'shard-000', replica: 'a', unlessRevision: revision } as const;
    const wanted = {
      statefulSets: statefulSet === undefined ? [] : [statefulSet],
      assignments: [],
      podsToDelete: [{ ...outdated, unlessReady: true, whenOthersReady: false }],
    };
    const { changes } = await effectsOf({ desired: wanted, pods: [pod({ ready })] });
    expect(changes.filter((change) => change.startsWith('delete main-a'))).toEqual(expected);
  });
});
