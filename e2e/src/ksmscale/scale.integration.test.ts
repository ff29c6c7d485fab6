import type { KsmScaleSpecInput } from '@shard-controller/shared/api';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { LocalProcess } from '../worker-process/local-process.ts';
import { isReady, ScaleFixture } from './scale-fixture.ts';

const NAME = 'example';
const REPLICATED: KsmScaleSpecInput = { sharding: { enabled: true, shardCount: 3 } };

let fixture: ScaleFixture;
let manager: LocalProcess;

beforeAll(async () => {
  fixture = await ScaleFixture.start();
  await fixture.setNodes(1);
  manager = await fixture.manager();
});

afterAll(async () => {
  await fixture?.stop();
});

afterEach(async () => {
  await fixture.remove(NAME);
});

const suffixes = async (): Promise<readonly string[]> =>
  (await fixture.pods(NAME)).map(({ metadata }) => metadata.name.replace('kube-state-metrics-example-', ''));

/** Waits for phase Ready with so many pods, all of them Ready. */
async function settled(pods: number): Promise<void> {
  await fixture.eventually(async () => {
    const { metadata, status } = await fixture.scale(NAME);
    const seen = await fixture.pods(NAME);
    const conditions = new Map(status?.conditions?.map(({ type, status: value }) => [type, value]));
    const isSettled =
      status?.observedGeneration === metadata.generation &&
      status?.phase === 'Ready' &&
      status.currentReplicas === pods &&
      status.desiredReplicas === pods &&
      conditions.get('Ready') === 'True' &&
      conditions.get('Progressing') === 'False' &&
      seen.length === pods &&
      seen.every(isReady);
    return isSettled ? undefined : `${seen.length} pods, status ${JSON.stringify(status)}`;
  });
}

describe('a manager for KSMScales alone, without NATS', () => {
  test.each([
    [0, 0, 3],
    [1, 1, 3],
    [4, 1, 3],
    [15, 1, 3],
    [16, 2, 3],
    [75, 5, 5],
    [300, 20, 20],
  ])('%i nodes: %i pods without sharding, %i with 3 shards', async (nodes, unsharded, sharded) => {
    await fixture.setNodes(nodes);
    await fixture.apply(NAME, {});
    await settled(unsharded);
    await fixture.remove(NAME);
    await fixture.apply(NAME, REPLICATED);
    await settled(sharded);
    const { status } = await fixture.scale(NAME);
    expect(status?.shardingStatus).toMatchObject({ totalShards: 3, activeShards: 3, coveragePercent: 100 });
  });

  test('follows nodes that come and go', async () => {
    await fixture.setNodes(16);
    await fixture.apply(NAME, {});
    await settled(2);
    await fixture.setNodes(31);
    await settled(3);
    await fixture.setNodes(10);
    await settled(1);
    expect(await suffixes()).toEqual(['0']);
    expect(await fixture.events(NAME)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^ScaledUp: From [12] to 3 pods/),
        expect.stringMatching(/^ScaledDown: From [23] to 1 pods/),
      ]),
    );
  });

  test('makes a pod again that is deleted or has failed', async () => {
    await fixture.setNodes(10);
    await fixture.apply(NAME, REPLICATED);
    await settled(3);
    const uids = new Set((await fixture.pods(NAME)).map(({ metadata }) => metadata.uid));
    await fixture.deletePod('kube-state-metrics-example-0');
    await fixture.patchPodStatus('kube-state-metrics-example-1', {
      phase: 'Failed',
      conditions: [{ type: 'Ready', status: 'False' }],
    });
    const fresh = async () => (await fixture.pods(NAME)).filter(({ metadata }) => !uids.has(metadata.uid)).length;
    await expect.poll(fresh).toBe(2);
    await settled(3);
  });

  test('replaces all pods of two replicas without ever leaving a shard without a Ready one', async () => {
    await fixture.setNodes(90);
    await fixture.apply(NAME, REPLICATED);
    await settled(6);
    await fixture.apply(NAME, {
      ...REPLICATED,
      monitorImage: 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0',
    });
    let fewest = 3;
    await fixture.eventually(async () => {
      const pods = await fixture.pods(NAME);
      const served = new Set(pods.filter(isReady).map(({ metadata }) => metadata.labels['shard-id']));
      fewest = Math.min(fewest, served.size);
      const renewed = pods.filter(({ spec }) => spec.containers[0]?.image.endsWith(':v2.20.0') === true);
      return renewed.length === 6 && pods.every(isReady) ? undefined : `${renewed.length} of 6 pods are replaced`;
    });
    expect(fewest).toBe(3);
    await settled(6);
  });

  test('switches to sharding and back, with what stands beside the pods', async () => {
    await fixture.setNodes(10);
    await fixture.apply(NAME, {});
    await settled(1);
    expect(await fixture.exists('', 'services', 'kube-state-metrics-example')).toBe(true);
    await fixture.apply(NAME, { sharding: { enabled: true, shardCount: 3, servicePerShard: true } });
    await settled(3);
    const args = (await fixture.pods(NAME)).map(({ spec }) => spec.containers[0]?.args.slice(-2));
    expect(args).toEqual([0, 1, 2].map((shard) => [`--shard=${shard}`, '--total-shards=3']));
    expect(await fixture.exists('', 'services', 'kube-state-metrics-sharded')).toBe(true);
    expect(await fixture.exists('', 'services', 'ksm-example-shard-2')).toBe(true);
    expect(await fixture.exists('policy', 'poddisruptionbudgets', 'ksm-example-shards')).toBe(true);
    expect((await fixture.scale(NAME)).status?.shardingStatus?.warning).toContain('disable sharding');
    await fixture.apply(NAME, {});
    await settled(1);
    await fixture.eventually(async () => {
      const left = await Promise.all([
        fixture.exists('', 'services', 'kube-state-metrics-sharded'),
        fixture.exists('', 'services', 'ksm-example-shard-2'),
        fixture.exists('policy', 'poddisruptionbudgets', 'ksm-example-shards'),
      ]);
      return left.some(Boolean) ? `still there: ${JSON.stringify(left)}` : undefined;
    });
  });

  test('says why it does nothing, until that is mended', async () => {
    await fixture.setNodes(10);
    await fixture.apply(NAME, { namespace: 'elsewhere' });
    const degraded = async () =>
      (await fixture.scale(NAME)).status?.conditions?.find(
        ({ type, status }) => type === 'Degraded' && status === 'True',
      );
    await expect.poll(async () => (await degraded())?.message ?? '').toContain('KSMSCALE_NAMESPACES');
    await fixture.apply(NAME, {});
    await settled(1);
    expect(await degraded()).toBeUndefined();
  });

  test('shows its figures, and needs no permission that it does not have', async () => {
    await fixture.setNodes(75);
    await fixture.apply(NAME, REPLICATED);
    await settled(5);
    expect(manager.running).toBe(true);
    expect(manager.output).not.toContain('SC_KUBERNETES_FORBIDDEN');
  });
});
