import { type CallOptions, KubernetesError, type ObjectList } from '@shard-controller/shared/kubernetes';
import { SteppingClock } from '@shard-controller/shared/testing';
import { describe, expect, it } from 'vitest';
import { desired } from '../decision/index.ts';
import { Simulation, testSettings } from '../decision/testing/index.ts';
import { parseEvent, refusalOf, wantedPods } from './pod-problems.ts';
import { PodWatch } from './pod-watch.ts';
import { parseWorkerPod, type WorkerPod } from './worker-pods.ts';

const signal = new AbortController().signal;
const QUOTA = 'pods "main-a-1" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1';

const created = (pod: string, seconds: number, error?: string) => ({
  type: error === undefined ? 'Normal' : 'Warning',
  reason: error === undefined ? 'SuccessfulCreate' : 'FailedCreate',
  message: `create Pod ${pod} in StatefulSet main-a ${error === undefined ? 'successful' : `failed error: ${error}`}`,
  lastTimestamp: new Date(seconds * 1000).toISOString(),
});

function pod(name: string, status: object): WorkerPod {
  const labels = { 'shard.io/config': 'main', 'shard.io/replica': 'a', 'shard.io/revision': 'r1' };
  const parsed = parseWorkerPod({
    metadata: { name, uid: `uid of ${name}`, labels },
    spec: { nodeName: 'n1' },
    status,
  });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  return parsed.value;
}

const running = (name: string): WorkerPod =>
  pod(name, { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });

/** A watch over two wanted pods; `said`: the events of the namespace, by the object that they are about. */
function trial(pods: readonly WorkerPod[], said: Readonly<Record<string, readonly unknown[]>> = {}) {
  const clock = new SteppingClock();
  const asked: string[] = [];
  const retried: string[] = [];
  const world = { pods, said };
  const watch = new PodWatch({
    client: {
      list: async <T>(_: string, options?: CallOptions): Promise<ObjectList<T>> => {
        const about = JSON.stringify(options?.query);
        asked.push(about);
        const name = /involvedObject\.name=([^"]*)/.exec(about)?.[1] ?? '';
        if (world.said[name] === undefined) {
          throw new KubernetesError({
            code: 'SC_KUBERNETES_FORBIDDEN',
            status: 403,
            reason: 'Forbidden',
            method: 'GET',
            path: '/',
            message: 'may not list events',
          });
        }
        return JSON.parse(JSON.stringify({ items: world.said[name], metadata: {} }));
      },
    },
    namespace: 'monitoring',
    clock,
    logger: { warn: () => undefined, debug: () => undefined },
    wanted: () => [
      { name: 'main-a-0', shardId: 'shard-000', statefulSet: 'main-a' },
      { name: 'main-a-1', shardId: 'shard-001', statefulSet: 'main-a' },
    ],
    pods: () => world.pods,
    onChange: () => undefined,
    retry: async (statefulSet) => void retried.push(statefulSet),
  });
  const after = async (seconds: number): Promise<readonly string[]> => {
    for (let i = 0; i < seconds; i++) {
      await watch.look(signal);
      await clock.sleep(1_000);
    }
    return (await watch.look(signal)).map(({ pod: of, reason, message }) => `${of} ${reason}: ${message}`);
  };
  return { world, asked, retried, after };
}

describe('a pod that is wanted and does not exist', () => {
  it('is told with the sentence of the API server, and no more when it is there', async () => {
    const { world, asked, after } = trial([running('main-a-0')], {
      'main-a': [created('main-a-0', 5), created('main-a-1', 1), created('main-a-1', 7, QUOTA)],
    });
    expect(await after(4)).toEqual([]);
    expect(asked).toEqual([]);
    expect(await after(10)).toEqual([`main-a-1 PodRefused: ${QUOTA}`]);
    world.pods = [running('main-a-0'), running('main-a-1')];
    expect(await after(1)).toEqual([]);
  });

  it('is said to be missing when nobody says why, or when events may not be read', async () => {
    const silent = trial([running('main-a-0')], { 'main-a': [] });
    expect(await silent.after(25)).toEqual(['main-a-1 PodMissing: StatefulSet main-a has not created it']);
    const denied = trial([running('main-a-0')]);
    expect(await denied.after(25)).toEqual(['main-a-1 PodMissing: may not list events']);
  });

  it('is tried again every half minute, whatever its controller waits for', async () => {
    const { after, retried, world } = trial([running('main-a-0')], { 'main-a': [] });
    await after(100);
    expect(retried).toEqual(['main-a', 'main-a', 'main-a']);
    world.pods = [running('main-a-0'), running('main-a-1')];
    await after(60);
    expect(retried).toHaveLength(3);
  });

  it('asks for events every few seconds at most, and never while all pods are there', async () => {
    const { asked, after, world } = trial([running('main-a-0')], { 'main-a': [] });
    await after(30);
    expect(asked.length).toBeLessThan(7);
    world.pods = [running('main-a-0'), running('main-a-1')];
    asked.length = 0;
    await after(30);
    expect(asked).toEqual([]);
  });
});

const waiting = (reason: string, message: string, more: object = {}) => ({
  phase: 'Pending',
  conditions: [{ type: 'PodScheduled', status: 'True' }],
  containerStatuses: [{ name: 'worker', state: { waiting: { reason, message } }, ...more }],
});

describe('a pod that exists and does not run', () => {
  it.each([
    [
      {
        phase: 'Pending',
        conditions: [
          { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/2 nodes are available' },
        ],
      },
      'PodUnschedulable: 0/2 nodes are available',
    ],
    [
      waiting('ImagePullBackOff', 'Back-off pulling image "no/such:1"'),
      'ImagePullFailed: container worker: ImagePullBackOff: Back-off pulling image "no/such:1"',
    ],
    [
      waiting('CreateContainerConfigError', 'secret "x" not found'),
      'ContainerNotCreated: container worker: CreateContainerConfigError: secret "x" not found',
    ],
    [
      waiting('CrashLoopBackOff', 'back-off 10s', {
        lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
      }),
      'ContainerCrashes: container worker: CrashLoopBackOff: back-off 10s; it exited with OOMKilled (137)',
    ],
    [{ phase: 'Failed', reason: 'Evicted', message: 'low on memory' }, 'PodFailed: Evicted: low on memory'],
  ])('is told with what its status says: %j', async (status, told) => {
    const { after, world } = trial([running('main-a-0'), pod('main-a-1', status)]);
    expect(await after(5)).toEqual([]);
    expect(await after(10)).toEqual([`main-a-1 ${told}`]);
    world.pods = [running('main-a-0'), running('main-a-1')];
    expect(await after(1)).toEqual([]);
  });

  it('is told with the newest warning about it when its status says nothing', async () => {
    const warning = (seconds: number, message: string) => ({
      type: 'Warning',
      reason: 'FailedMount',
      message,
      lastTimestamp: new Date(seconds * 1000).toISOString(),
    });
    const { after } = trial([running('main-a-0'), pod('main-a-1', waiting('ContainerCreating', ''))], {
      'main-a-1': [warning(3, 'configmap "new" not found'), warning(2, 'older')],
    });
    expect(await after(15)).toEqual([]);
    expect(await after(10)).toEqual(['main-a-1 PodNotStarting: FailedMount: configmap "new" not found']);
  });
});

describe('events', () => {
  it('are of use in the forms of both API groups, and combined ones', () => {
    const combined = `(combined from similar events): ${created('main-a-1', 1, QUOTA).message}`;
    const events = [
      { message: combined, eventTime: '2026-01-01T00:00:00.000000Z', lastTimestamp: null },
      { message: created('main-a-1', 0).message, metadata: { creationTimestamp: '2025-01-01T00:00:00Z' } },
    ].flatMap((raw) => parseEvent(raw) ?? []);
    expect(refusalOf('main-a-1', events)).toBe(QUOTA);
    expect(refusalOf('main-a-10', events)).toBeUndefined();
    expect(parseEvent({ reason: 7 })).toBeUndefined();
  });
});

describe('wanted pods', () => {
  it('are those of all StatefulSets, and the surge worker while there is one', () => {
    const w = new Simulation({ settings: { ...testSettings, replicasPerShard: 2 } });
    w.settle();
    w.configure({}, 'r2');
    expect(wantedPods('main', desired(w.state)).map(({ name, shardId }) => `${name} ${shardId}`)).toEqual([
      'main-a-0 shard-000',
      'main-a-1 shard-001',
      'main-b-0 shard-000',
      'main-b-1 shard-001',
      'main-s-1000 shard-1000',
    ]);
  });
});

describe('the sentence of a refusal', () => {
  it.each(['create', 'Create'])('is read where the controller begins with %s', (begin) => {
    const message = `${begin} Pod main-a-1 in StatefulSet main-a failed error: exceeded quota`;
    expect(refusalOf('main-a-1', [{ reason: 'FailedCreate', message, type: 'Warning', at: 1 }])).toBe('exceeded quota');
  });
});
