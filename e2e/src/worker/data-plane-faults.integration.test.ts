import { createLogger } from '@shard-controller/shared/observability';
import type { KubernetesClient, KubernetesObject } from '@shard-controller/shared/kubernetes';
import type { DataPlaneFault } from '@shard-controller/worker/data-plane';
import { waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { Workload } from '../workload/index.ts';
import { clientOf, slots, WorkerRig } from './exporter-rig.ts';
import { verifyMove } from './verified-move.ts';

const MOVED = slots(0, 64);
let api: StandaloneApiServer;
let client: KubernetesClient;
let source: WorkerRig;

beforeAll(async () => {
  api = await startApiServer();
  client = clientOf(api, createLogger({ name: 'workload', level: 'warn' }), 'workload');
  const workload = new Workload({ client, seed: 2, pods: 100, nodes: 2, namespaces: 2 });
  await workload.define();
  await workload.populate();
  source = await WorkerRig.create('source', api);
  source.startPlane();
  source.assign({ epoch: 1, owned: slots(0, 256) });
  await source.startExporter();
  await waitUntil('the source is warm', () => source.plane.status().warm);
});

afterAll(async () => {
  await Promise.allSettled([source?.stop()]);
  await client?.close();
  await api?.stop();
});

/** A target with a fault, warmed with a quarter of the slots and acknowledged. */
async function withTarget(fault: DataPlaneFault, check: (target: WorkerRig) => Promise<void>): Promise<void> {
  const target = await WorkerRig.create(fault, api, fault);
  try {
    target.startPlane();
    target.assign({ epoch: 1, warm: [{ migration: 'm', slots: MOVED }] });
    await target.startExporter();
    const state = (): string | undefined => target.plane.status().handovers[0]?.state;
    await expect.poll(state).toBe('acknowledged');
    await check(target);
  } finally {
    await target.stop();
  }
}

const positionOf = ({ plane }: WorkerRig): string | undefined =>
  plane.inspection.feeds().find(({ collection }) => collection === 'pods')?.position;

describe('a faulty target is found out by verification', () => {
  test('when it omits one object', async () => {
    await withTarget('omit-one', async (target) => {
      const result = await verifyMove(source.plane, target.plane, MOVED);
      expect(result).toMatchObject({ kind: 'different', reason: expect.stringMatching(/source has .* target/) });
    });
  });

  test('when one of its feeds stops after the warm; only a source that ends gives its slots away all the same', async () => {
    await withTarget('stop-feed', async (target) => {
      // What the source has heard of since then, the target has not.
      const position = positionOf(source);
      const [pod] = (await client.list<KubernetesObject>('/api/v1/namespaces/team-0/pods')).items;
      const path = `/api/v1/namespaces/team-0/pods/${pod?.metadata?.name}`;
      await client.patch(path, { metadata: { annotations: { changed: 'after the warm' } } });
      await waitUntil('the source has heard of the change', () => positionOf(source) !== position);
      const result = await verifyMove(source.plane, target.plane, MOVED, { timeoutMs: 10_000 });
      expect(result).toMatchObject({ kind: 'unanswered', reason: expect.stringMatching(/^pods: /) });
      const drained = await verifyMove(source.plane, target.plane, MOVED, { sourceEnds: true });
      expect(drained).toMatchObject({ kind: 'verified', leftOut: { sourceOnly: [], uncounted: [{ kind: 'pods' }] } });
      expect(drained.kind === 'verified' && drained.kinds).toBeGreaterThan(20);
    });
  });

  test('when it never answers', async () => {
    await withTarget('mute', async (target) => {
      const result = await verifyMove(source.plane, target.plane, MOVED, { timeoutMs: 1_000 });
      expect(result).toEqual({ kind: 'unanswered', reason: 'shard-001: timeout' });
    });
  });
});
