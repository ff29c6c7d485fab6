import type { KsmScaleSpecInput } from '@shard-controller/shared/api';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isServing, type ObservedPod } from './observation.ts';
import type { Action, Plan } from './plan.ts';
import { isServed } from './pod-plan.ts';
import { ModelCluster, servingByShare } from './testing/model-cluster.ts';
import { nodesOf, scaleOf } from './testing/scales.ts';

/** Random histories of nodes, pods, spec changes and failing requests, against a model of the cluster. */

const RUNS = Number(process.env['MODEL_RUNS'] ?? 1_000);
const ZONES = ['a', 'b', 'c'];

const image = fc.constantFrom('ksm:1', 'ksm:2', 'ksm:3');

const sharding = fc.oneof(
  fc.constant(undefined),
  fc.record({
    mode: fc.constant('Replicated' as const),
    shardCount: fc.integer({ min: 2, max: 4 }),
    replicationStrategy: fc.constantFrom('round-robin' as const, 'least-loaded' as const, 'zone-aware' as const),
    minReplicasPerShard: fc.integer({ min: 1, max: 2 }),
    maxReplicasPerShard: fc.constantFrom(0, 2, 3),
  }),
  fc.record({ mode: fc.constant('Fixed' as const), shardCount: fc.integer({ min: 2, max: 4 }) }),
  fc.record({
    mode: fc.constant('Expandable' as const),
    allowDynamicExpansion: fc.boolean(),
    preventContraction: fc.boolean(),
  }),
  fc.record({
    mode: fc.constant('Groups' as const),
    scalingStrategy: fc.constantFrom('fixed' as const, 'dynamic' as const),
  }),
  fc.record({
    mode: fc.constant('Partial' as const),
    maxShards: fc.integer({ min: 2, max: 5 }),
    acceptIncompleteBelowNodes: fc.constantFrom(0, 60),
  }),
);

const spec: fc.Arbitrary<KsmScaleSpecInput> = fc.record({ monitorImage: image, sharding }).map((one) => ({
  monitorImage: one.monitorImage,
  ...(one.sharding === undefined ? {} : { sharding: { enabled: true, ...one.sharding } }),
}));

type Step =
  | { readonly type: 'Nodes'; readonly count: number }
  | { readonly type: 'Spec'; readonly spec: KsmScaleSpecInput }
  | {
      readonly type: 'Pod';
      readonly at: number;
      readonly change: 'ready' | 'unready' | 'finished' | 'gone' | 'deleted';
    }
  | { readonly type: 'Pass'; readonly failing: readonly boolean[] };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant('Nodes' as const), count: fc.integer({ min: 0, max: 150 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('Spec' as const), spec }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('Pod' as const),
      at: fc.nat({ max: 20 }),
      change: fc.constantFrom(
        'ready' as const,
        'ready' as const,
        'unready' as const,
        'finished' as const,
        'gone' as const,
        'deleted' as const,
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('Pass' as const), failing: fc.array(fc.boolean(), { maxLength: 6 }) }),
  },
);

function disturb(cluster: ModelCluster, at: number, change: Extract<Step, { type: 'Pod' }>['change']): void {
  const pod = cluster.all[at % Math.max(1, cluster.pods.size)];
  if (pod === undefined) return;
  switch (change) {
    case 'ready':
      if (pod.deletionMs === undefined && !pod.isFinished) cluster.change(pod.name, { isReady: true });
      return;
    case 'unready':
      return cluster.change(pod.name, { isReady: false });
    case 'finished':
      return cluster.change(pod.name, { isReady: false, isFinished: true });
    case 'deleted':
      return cluster.change(pod.name, { isReady: false, deletionMs: Number.MAX_SAFE_INTEGER });
    case 'gone':
      cluster.pods.delete(pod.name);
  }
}

/** No share of the objects that two pods or more serve loses all of them by what a pass deletes, unless it is replaced whole. */
function checkRemovals(seen: readonly ObservedPod[], { pods }: Plan): void {
  const removed = new Set(pods.remove.map(({ pod }) => pod.uid));
  const before = servingByShare(seen);
  const after = servingByShare(seen.filter(({ uid }) => !removed.has(uid)));
  const complete = pods.places.every(({ now }) => now.state === 'Serving');
  const servingRemoved = pods.remove.filter(({ pod }) => isServing(pod));
  const renewals = servingRemoved.filter(({ reason }) => reason === 'Outdated').length;
  expect(renewals).toBeLessThanOrEqual(servingRemoved.length > 1 ? 0 : 1);
  expect(renewals === 0 || pods.places.every(({ now }) => isServed(now))).toBe(true);
  for (const [share, count] of before) {
    if (complete || (after.get(share) ?? 0) > 0) continue;
    // The last one of its share may go to be replaced, alone, and when all others serve.
    expect(count, `${share} loses all of ${count} pods`).toBeLessThanOrEqual(1);
    expect(servingRemoved[0]?.reason).toBe('Outdated');
  }
}

/** One place for each shard and replica, and as many as are wanted. */
function checkPlaces({ layout, pods }: Plan): void {
  const places = pods.places.map(({ place }) => `${place.shard}/${place.replica}`);
  expect(new Set(places).size).toBe(places.length);
  expect(places).toHaveLength(layout.desiredPods);
}

function checkRest(cluster: ModelCluster): void {
  const { plan } = cluster.pass();
  expect(plan.pods.create).toEqual([]);
  expect(plan.pods.remove).toEqual([]);
  expect(plan.pods.places.every(({ now }) => now.state === 'Serving')).toBe(true);
  expect(cluster.all.map(({ name }) => name).toSorted()).toEqual(
    plan.pods.places.map(({ place }) => place.name).toSorted(),
  );
  expect(cluster.scale.status).toMatchObject({ phase: 'Ready', currentReplicas: plan.layout.desiredPods });
  const serving = servingByShare(cluster.all);
  for (let shard = 0; shard < plan.layout.servedShards; shard += 1) {
    expect(serving.get(`${shard}/${plan.layout.totalShards}`)).toBeGreaterThanOrEqual(plan.layout.minPerShard);
  }
}

// oxlint-disable-next-line vitest/expect-expect -- the checks of each pass are in functions
it('no history loses or doubles a pod, and all come to rest', () => {
  fc.assert(
    fc.property(spec, fc.array(step, { minLength: 1, maxLength: 40 }), (first, steps) => {
      const cluster = new ModelCluster(scaleOf(first), nodesOf(20, ZONES));
      for (const one of steps) {
        switch (one.type) {
          case 'Nodes':
            cluster.nodes = nodesOf(one.count, ZONES);
            break;
          case 'Spec': {
            const { status } = cluster.scale;
            cluster.scale = scaleOf(one.spec, status === undefined ? {} : { status });
            break;
          }
          case 'Pod':
            disturb(cluster, one.at, one.change);
            break;
          case 'Pass': {
            let asked = 0;
            cluster.fails = (_action: Action) => one.failing[asked++ % Math.max(1, one.failing.length)] ?? false;
            const { plan, seen } = cluster.pass();
            checkRemovals(seen, plan);
            checkPlaces(plan);
          }
        }
      }
      cluster.rest();
      checkRest(cluster);
    }),
    { numRuns: RUNS },
  );
});
