import { createLogger } from '@shard-controller/shared/observability';
import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import type { DataPlaneFault } from '@shard-controller/worker/resource-processor';
import { elapse, PATIENCE_MS, waitUntil } from '@shard-controller/shared/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApiServer, type StandaloneApiServer } from '../cluster/standalone-api-server.ts';
import { Workload } from '../workload/index.ts';
import { clientOf, slots, WorkerRig } from './exporter-rig.ts';

const MOVED = slots(0, 64);
const request = {
  v: 'shard.verify.v1' as const,
  uid: 'u',
  migration: 'm',
  ranges: [{ start: 0, end: 64 * 2 ** 24 - 1 }],
};

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

async function positions(): Promise<{ feed: string; resourceVersion: string }[]> {
  const { feeds, error } = await source.plane.verify({ ...request, at: [] }, AbortSignal.timeout(PATIENCE_MS));
  expect(error).toBeUndefined();
  return positionsOf(feeds);
}

/** Where the source stands on the feeds that hold something. */
function positionsOf(
  feeds: readonly { readonly feed: string; readonly at: string }[],
): { feed: string; resourceVersion: string }[] {
  return feeds.filter(({ at }) => at !== '').map(({ feed, at }) => ({ feed, resourceVersion: at }));
}

describe('a faulty target is found out by verification', () => {
  test('when it omits one object', async () => {
    await withTarget('omit-one', async (target) => {
      const asked = await source.plane.verify({ ...request, at: [] }, AbortSignal.timeout(PATIENCE_MS));
      const at = positionsOf(asked.feeds);
      const answered = await target.plane.verify({ ...request, at }, AbortSignal.timeout(PATIENCE_MS));
      const counts = (feeds: typeof asked.feeds): number => feeds.reduce((sum, { count }) => sum + count, 0);
      expect(counts(asked.feeds) - counts(answered.feeds)).toBe(1);
      const differing = asked.feeds.filter(
        ({ feed, at: proven, digest }) =>
          proven !== '' && answered.feeds.find((other) => other.feed === feed)?.digest !== digest,
      );
      expect(differing).toHaveLength(1);
    });
  });

  test('when one of its feeds stops after the warm', async () => {
    await withTarget('stop-feed', async (target) => {
      await elapse(1_000);
      const answered = await target.plane.verify({ ...request, at: [] }, AbortSignal.timeout(2_000));
      expect(answered.error).toMatch(/it does not follow the API server|it is not connected/);
    });
  });

  test('when it never answers', async () => {
    await withTarget('mute', async (target) => {
      const at = await positions();
      await expect(target.plane.verify({ ...request, at }, AbortSignal.timeout(500))).rejects.toThrow('mute');
    });
  });
});
