import { describe, expect, it } from 'vitest';
import { parseWorkerPod } from './worker-pods.ts';

const raw = (over: { name?: string; labels?: Record<string, string>; status?: object; deleting?: boolean } = {}) => ({
  metadata: {
    name: over.name ?? 'main-a-12',
    uid: 'u1',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: over.labels ?? { 'shard.io/config': 'main', 'shard.io/replica': 'a', 'shard.io/revision': 'r1' },
    ...(over.deleting === true ? { deletionTimestamp: '2026-01-01T00:01:00Z' } : {}),
  },
  spec: { nodeName: 'n1', containers: [] },
  status: over.status ?? {},
});

describe('parseWorkerPod', () => {
  it('takes the shard from the ordinal of the pod', () => {
    expect(parseWorkerPod(raw())).toMatchObject({
      ok: true,
      value: {
        shardId: 'shard-012',
        replica: 'a',
        config: 'main',
        revision: 'r1',
        node: 'n1',
        ready: false,
        deleting: false,
      },
    });
  });

  it('tells NotReady from not yet ready', () => {
    const status = { conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady' }] };
    expect(parseWorkerPod(raw({ status }))).toMatchObject({ value: { notReadyReason: 'ContainersNotReady' } });
    expect(parseWorkerPod(raw())).toMatchObject({ value: { notReadyReason: '' } });
  });

  it.each([
    ['terminated', { name: 'worker', state: { terminated: { exitCode: 1 } }, restartCount: 0 }, true],
    [
      'waiting after a crash',
      { name: 'worker', state: { waiting: { reason: 'CrashLoopBackOff' } }, restartCount: 2 },
      true,
    ],
    [
      'still being created',
      { name: 'worker', state: { waiting: { reason: 'ContainerCreating' } }, restartCount: 0 },
      false,
    ],
    ['running', { name: 'worker', state: { running: {} }, restartCount: 3 }, false],
    ["somebody else's container", { name: 'kube-state-metrics', state: { terminated: {} }, restartCount: 1 }, false],
  ])('says whether the worker is down: %s', (_, container, workerDown) => {
    expect(parseWorkerPod(raw({ status: { containerStatuses: [container] } }))).toMatchObject({
      value: { workerDown },
    });
  });

  it('refuses pods that are no workers', () => {
    expect(parseWorkerPod(raw({ name: 'main' })).ok).toBe(false);
    expect(parseWorkerPod(raw({ labels: {} })).ok).toBe(false);
    expect(parseWorkerPod({ kind: 'Pod' }).ok).toBe(false);
  });

  it('sees a pod that is being deleted', () => {
    expect(parseWorkerPod(raw({ deleting: true }))).toMatchObject({ value: { deleting: true } });
  });
});
