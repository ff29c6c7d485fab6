import { shardConfigSpecSchema, type ShardInstance } from '@shard-controller/shared/api';
import type { ApplyRequest, KubernetesObject } from '@shard-controller/shared/kubernetes';
import { describe, expect, it } from 'vitest';
import { desired } from '../decision/index.ts';
import { Simulation, testSettings } from '../decision/testing/index.ts';
import { configLabels } from '../naming/index.ts';
import type { WorkerPod } from '../observation/index.ts';
import { shardInstanceOf } from './shard-instance.ts';
import { templateRevision } from './worker-pod.ts';
import { type ReconcileInput, Reconciler } from './reconciler.ts';

const config = { namespace: 'monitoring', name: 'main', uid: 'uid-1' };
const worker = {
  image: 'worker:1',
  serviceAccount: 'worker',
  nats: { url: 'nats://nats:4222', auth: 'none', audience: '' } as const,
  logLevel: 'info',
  fixedUser: true,
};
const spec = shardConfigSpecSchema.parse({});
const revision = templateRevision({ config, spec, worker });
const model = new Simulation({ settings: testSettings });
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
  trouble: undefined,
  createdAt: 0,
  ...over,
});

interface Around {
  /** Objects that stand in the cluster, by the end of their path. */
  readonly present?: Readonly<Record<string, Pick<KubernetesObject, 'metadata'>>>;
  readonly leads?: () => boolean;
}

/** Names of what is applied, scaled and deleted. */
async function effectsOf(over: Partial<ReconcileInput>, { present = {}, leads = () => true }: Around = {}) {
  const changes: string[] = [];
  const pathOf = async ({ kind, metadata }: KubernetesObject): Promise<string> => `${kind}/${metadata?.name}`;
  const reconciler = new Reconciler({
    config,
    client: {
      pathOf,
      find: async <T>(path: string): Promise<T | undefined> => {
        const found = Object.entries(present).find(([end]) => path.endsWith(end))?.[1];
        return found === undefined ? undefined : JSON.parse(JSON.stringify(found));
      },
      apply: async <T>({ object, force, maySend }: ApplyRequest): Promise<T> => {
        if (maySend?.() !== true) throw new Error('sent without leading');
        const how = force === true ? `apply ${object.metadata?.uid ?? ''}` : 'make ';
        changes.push(`${how}${how.endsWith(' ') ? '' : ' '}${object.kind} ${object.metadata?.name}`);
        return JSON.parse('{}');
      },
      delete: async (path: string) => void changes.push(`delete ${path.split('/').at(-1)}`),
      patch: async <T>(path: string, patch: unknown): Promise<T> => {
        changes.push(`patch ${path.split('/').at(-1)} ${JSON.stringify(patch)}`);
        return JSON.parse('{}');
      },
    },
    leads,
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
  const input: ReconcileInput = {
    spec,
    labels: {},
    head,
    desired: desired(model.state),
    revision,
    instances: new Map(),
    pods: [],
    resync: true,
    ...over,
  };
  const outcome = await reconciler.reconcile(input, new AbortController().signal);
  return { changes, outcome };
}

describe('the cluster', () => {
  it('is left as it is by a manager whose state is older than what the ShardInstances hold', async () => {
    const newer = new Map([['shard-002', instanceOf('shard-002', head.epoch + 1)]]);
    expect(await effectsOf({ instances: newer })).toEqual({
      changes: [],
      outcome: { settled: false, superseded: true, problems: [] },
    });
    const leftOver = new Map([['shard-002', instanceOf('shard-002', head.epoch)]]);
    expect((await effectsOf({ instances: leftOver })).changes).toContain('delete main-shard-002');
  });

  const owner = (kind: string, name: string, uid: string) => ({
    ownerReferences: [{ apiVersion: kind === 'ShardConfig' ? 'shard.io/v1' : 'apps/v1', kind, name, uid }],
  });
  const scaled = 'patch main-a {"metadata":{"uid":"s1"},"spec":{"replicas":2}}';
  const ownedAs = (uid: string) => ({ metadata: { uid, ...owner('ShardConfig', 'main', 'uid-1') } });
  const there = { present: { 'statefulsets/main-a': ownedAs('s1') } };

  it.each([
    ['no valid spec is known', { spec: undefined }],
    ['the wanted template is not proved', { desired: { ...desired(model.state), templateProved: false } }],
    ['the spec is not the accepted one', { revision: 'another' }],
  ])('has as many pods as it should, of the existing template, while %s', async (_, over) => {
    const { changes } = await effectsOf(over, there);
    expect(changes).toEqual(expect.arrayContaining(['make ShardInstance main-shard-000', 'publish shard-001']));
    expect(changes.filter((change) => /StatefulSet|main-a/.test(change))).toEqual([scaled]);
  });

  it('makes a StatefulSet that is gone from the wanted template, and says so when that is not known', async () => {
    const held = { desired: { ...desired(model.state), templateProved: false } };
    expect((await effectsOf(held)).changes).toContain('make StatefulSet main-a');
    const { changes, outcome } = await effectsOf({ spec: undefined });
    expect(changes.filter((change) => change.includes('StatefulSet'))).toEqual([]);
    expect(outcome.problems.map(({ message }) => message)).toEqual([
      'StatefulSet main-a is gone, and without a valid spec it cannot be re-created',
    ]);
  });

  it('has a surge worker of the wanted template while a rolling update needs one', async () => {
    const rolling = { ...desired(model.state), templateProved: false, surge: true };
    expect((await effectsOf({ desired: rolling }, there)).changes).toEqual(
      expect.arrayContaining([scaled, 'make StatefulSet main-s']),
    );
    expect((await effectsOf({}, { present: { 'statefulsets/main-s': ownedAs('s2') } })).changes).toEqual(
      expect.arrayContaining(['make StatefulSet main-a', 'delete main-s']),
    );
  });

  it.each([
    ['spares', true, []],
    ['loses', false, ['delete main-a-0']],
  ])('%s an outdated pod of an owner that is not heard when its readiness is %s', async (_, ready, expected) => {
    const [statefulSet] = desired(model.state).statefulSets;
    const outdated = { shardId: 'shard-000', replica: 'a', unlessRevision: revision } as const;
    const wanted = {
      templateProved: true,
      surge: false,
      statefulSets: statefulSet === undefined ? [] : [statefulSet],
      assignments: [],
      podsToDelete: [{ ...outdated, unlessReady: true, whenOthersReady: false }],
    };
    const { changes } = await effectsOf({ desired: wanted, pods: [pod({ ready })] });
    expect(changes.filter((change) => change.startsWith('delete main-a'))).toEqual(expected);
  });

  it('is not touched by a manager whose term is over, also when nobody has told it yet', async () => {
    expect(await effectsOf({}, { leads: () => false })).toMatchObject({ changes: [], outcome: { problems: [] } });
    // It ends between two effects.
    let looks = 0;
    const { changes } = await effectsOf({ pods: [pod({})] }, { leads: () => ++looks <= 4 });
    expect(changes.filter((change) => !change.includes('ShardInstance') && !change.includes('publish'))).toEqual([]);
  });

  const labels = configLabels('main');

  it('keeps an object of somebody else that has the name of one of its own, says so, and goes on with the rest', async () => {
    const present = {
      'Service/main-metrics': { metadata: { uid: 's' } },
      'StatefulSet/main-a': { metadata: { uid: 'a', labels, ...owner('Deployment', 'other', 'o') } },
      'ShardInstance/main-shard-001': { metadata: { uid: 'i' } },
    };
    const { changes, outcome } = await effectsOf({}, { present });
    expect(changes.toSorted()).toEqual(
      ['make PodDisruptionBudget main', 'make ShardInstance main-shard-000', 'publish shard-000'].toSorted(),
    );
    expect(outcome.settled).toBe(false);
    expect(outcome.problems.map(({ code }) => code)).toEqual(Array(3).fill('SC_FOREIGN_OBJECT'));
    const texts = outcome.problems.map(({ message }) => message).join();
    for (const name of ['Service monitoring/main-metrics', 'StatefulSet monitoring/main-a', 'main-shard-001']) {
      expect(texts).toContain(`${name} exists and does not belong to ShardConfig main`);
    }
  });

  it('takes its own objects, and those that were left without an owner, by their uid', async () => {
    const present = {
      'Service/main-metrics': { metadata: { uid: 's', ...owner('ShardConfig', 'main', 'uid-1') } },
      'StatefulSet/main-a': { metadata: { uid: 'a', labels } },
    };
    const { changes } = await effectsOf({}, { present });
    expect(changes).toEqual(expect.arrayContaining(['apply s Service main-metrics', 'apply a StatefulSet main-a']));
  });

  it('waits for what a deleted ShardConfig of its name has left, and says so', async () => {
    const present = {
      'StatefulSet/main-a': { metadata: { uid: 'a', labels, ...owner('ShardConfig', 'main', 'uid-of-before') } },
    };
    const { changes, outcome } = await effectsOf({}, { present });
    expect(changes.filter((change) => change.includes('StatefulSet'))).toEqual([]);
    expect(outcome.problems).toMatchObject([{ code: 'SC_PREDECESSOR_OBJECT' }]);
  });

  it('deletes no PodDisruptionBudget and no StatefulSet of somebody else where it wants none', async () => {
    const without = { ...spec, distribution: { ...spec.distribution, enablePDB: false } };
    const { changes } = await effectsOf(
      { spec: without, revision: templateRevision({ config, spec: without, worker }) },
      { present: { 'poddisruptionbudgets/main': { metadata: {} }, 'statefulsets/main-b': { metadata: {} } } },
    );
    expect(changes.filter((change) => change.startsWith('delete'))).toEqual([]);
    const own = { metadata: { uid: 'p', ...owner('ShardConfig', 'main', 'uid-1') } };
    const deleting = await effectsOf(
      { spec: without, revision: templateRevision({ config, spec: without, worker }) },
      { present: { 'poddisruptionbudgets/main': own } },
    );
    expect(deleting.changes.filter((change) => change.startsWith('delete'))).toEqual(['delete main']);
  });
});
