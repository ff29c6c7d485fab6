import type { KsmScaleSpecInput } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import type { ObservedPod } from './observation.ts';
import { passResult, plan } from './plan.ts';
import { ModelCluster } from './testing/model-cluster.ts';
import { nodesOf, NOW_MS, podOf, scaleOf, viewOf } from './testing/scales.ts';

const REPLICATED: KsmScaleSpecInput = { sharding: { enabled: true, shardCount: 3 } };

/** A cluster at rest. */
function settled(spec: KsmScaleSpecInput, nodes: number, zones?: readonly string[]): ModelCluster {
  const cluster = new ModelCluster(scaleOf(spec), nodesOf(nodes, zones));
  cluster.rest();
  return cluster;
}

/** Another spec for a cluster that is there. */
function respec(cluster: ModelCluster, spec: KsmScaleSpecInput): void {
  const { status } = cluster.scale;
  cluster.scale = scaleOf(spec, status === undefined ? {} : { status });
}

const names = (cluster: ModelCluster): readonly string[] =>
  [...cluster.pods.keys()].map((name) => name.replace('kube-state-metrics-example-', '')).toSorted();

const created = (cluster: ModelCluster): readonly string[] =>
  cluster.pass().plan.actions.flatMap((action) => (action.type === 'CreatePod' ? [action.pod.metadata.name] : []));

const statusOf = (cluster: ModelCluster) => cluster.scale.status;

describe('phase', () => {
  it('is Incomplete at the first sharded pass, Scaling at the first unsharded one', () => {
    const sharded = new ModelCluster(scaleOf(REPLICATED), nodesOf(75));
    sharded.pass();
    expect(statusOf(sharded)).toMatchObject({ phase: 'Incomplete', currentReplicas: 0, desiredReplicas: 5 });
    const base = new ModelCluster(scaleOf(), nodesOf(16));
    base.pass();
    expect(statusOf(base)).toMatchObject({ phase: 'Scaling', currentReplicas: 0, desiredReplicas: 2 });
  });

  it('is Incomplete while a shard serves nothing, Scaling while a pod lacks, else Ready', () => {
    const cluster = settled(REPLICATED, 75);
    expect(statusOf(cluster)?.phase).toBe('Ready');
    cluster.pods.delete('kube-state-metrics-example-3');
    cluster.fails = () => true;
    cluster.pass();
    expect(statusOf(cluster)).toMatchObject({ phase: 'Scaling', currentReplicas: 4 });
    cluster.change('kube-state-metrics-example-2', { isReady: false });
    cluster.pass();
    expect(statusOf(cluster)?.phase).toBe('Incomplete');
  });
});

describe('status', () => {
  it('shows 75 nodes and 3 shards as in the documents', () => {
    expect(statusOf(settled(REPLICATED, 75))).toMatchObject({
      nodeCount: 75,
      currentReplicas: 5,
      desiredReplicas: 5,
      phase: 'Ready',
      shardingStatus: {
        mode: 'Replicated',
        totalShards: 3,
        activeShards: 3,
        configuredShards: 3,
        coveragePercent: 100,
        missingShards: [],
        shardDistribution: {
          '0': { replicas: 2, ready: 2, pods: ['kube-state-metrics-example-0', 'kube-state-metrics-example-3'] },
          '1': { replicas: 2, ready: 2, pods: ['kube-state-metrics-example-1', 'kube-state-metrics-example-4'] },
          '2': { replicas: 1, ready: 1, pods: ['kube-state-metrics-example-2'] },
        },
        warning: '',
      },
    });
  });

  it('has a key for every shard, an empty one too, and the health of each pod', () => {
    const cluster = settled(REPLICATED, 10);
    cluster.pods.delete('kube-state-metrics-example-1');
    cluster.fails = () => true;
    cluster.pass();
    const sharding = statusOf(cluster)?.shardingStatus;
    expect(sharding).toMatchObject({ activeShards: 2, coveragePercent: 66.7, missingShards: [1] });
    expect(sharding?.shardDistribution['1']).toEqual({ replicas: 0, pods: [], ready: 0 });
    expect(sharding?.shardHealth.map(({ shardId, ready }) => [shardId, ready])).toEqual([
      [0, true],
      [2, true],
    ]);
  });

  it('clears a warning that no longer holds', () => {
    const cluster = settled({ sharding: { enabled: true, shardCount: 5 } }, 30);
    expect(statusOf(cluster)?.shardingStatus?.warning).toContain(
      'Over-sharded: 5 shards for 30 nodes (6.0 nodes/shard)',
    );
    cluster.nodes = nodesOf(150);
    cluster.rest();
    expect(statusOf(cluster)?.shardingStatus?.warning).toBe('');
    const efficient = statusOf(cluster)?.conditions?.find(({ type }) => type === 'Efficient');
    expect(efficient).toMatchObject({ status: 'True' });
  });

  it('counts neither terminating nor failed pods', () => {
    const cluster = settled({}, 60);
    cluster.change('kube-state-metrics-example-0', { deletionMs: NOW_MS + 60_000 });
    cluster.change('kube-state-metrics-example-1', { isFinished: true });
    cluster.pass();
    expect(statusOf(cluster)).toMatchObject({ currentReplicas: 2, phase: 'Scaling' });
  });

  it('names what failed and what a pod waits for', () => {
    const cluster = new ModelCluster(scaleOf(REPLICATED), nodesOf(10));
    cluster.pass();
    cluster.change('kube-state-metrics-example-0', { problem: '0/3 nodes are available' });
    cluster.fails = () => true;
    cluster.pods.delete('kube-state-metrics-example-2');
    cluster.pass();
    const conditions = new Map(statusOf(cluster)?.conditions?.map(({ type, message }) => [type, message]));
    expect(conditions.get('Ready')).toContain('kube-state-metrics-example-0: 0/3 nodes are available');
    expect(conditions.get('Degraded')).toContain('CreatePod failed');
  });
});

describe('the next pass', () => {
  it('comes after 30 s while not at target, 1 min when stable, 2 min when stable and sharded', () => {
    const again = (cluster: ModelCluster, errors: readonly string[] = []): number => {
      const view = viewOf(cluster.scale, cluster.nodes, cluster.all);
      const planned = { ...plan(view), actions: [] };
      return passResult(view, planned, errors).againMs;
    };
    expect(again(new ModelCluster(scaleOf(), nodesOf(10)))).toBe(30_000);
    expect(again(settled({}, 10))).toBe(60_000);
    expect(again(settled(REPLICATED, 10))).toBe(120_000);
    expect(again(settled(REPLICATED, 10), ['failed'])).toBe(30_000);
  });
});

describe('pods', () => {
  it('are made by name, gaps first filled', () => {
    const cluster = settled({}, 75);
    expect(names(cluster)).toEqual(['0', '1', '2', '3', '4']);
    cluster.pods.delete('kube-state-metrics-example-2');
    expect(created(cluster)).toEqual(['kube-state-metrics-example-2']);
  });

  it('leave from the highest index', () => {
    const cluster = settled({}, 75);
    cluster.nodes = nodesOf(30);
    const { actions } = cluster.pass().plan;
    const deleted = actions.flatMap((action) => (action.type === 'DeletePod' ? [action.pod.name.at(-1)] : []));
    expect(deleted).toEqual(['4', '3', '2']);
    cluster.nodes = nodesOf(0);
    cluster.rest();
    expect(names(cluster)).toEqual([]);
  });

  it('follow another ratio', () => {
    const cluster = settled({}, 75);
    respec(cluster, { nodesPerMonitor: 30 });
    cluster.rest();
    expect(names(cluster)).toEqual(['0', '1', '2']);
  });

  it('keep their shard when others come', () => {
    const cluster = settled(REPLICATED, 45);
    const uids = cluster.all.map(({ uid }) => uid);
    cluster.nodes = nodesOf(105);
    cluster.rest();
    expect(names(cluster)).toEqual(['0', '1', '2', '3', '4', '5', '6']);
    expect(cluster.all.map(({ uid }) => uid)).toEqual(expect.arrayContaining(uids));
  });

  it.each([
    ['Fixed', {}, ['shard-0', 'shard-1', 'shard-2']],
    ['Groups', { scalingStrategy: 'dynamic' }, ['0-0', '0-1', '1-0', '1-1', '2-0']],
    ['Expandable', { allowDynamicExpansion: true }, ['0', '1', '2', '3', '4']],
    ['Partial', { maxShards: 7, acceptIncompleteBelowNodes: 100 }, ['0', '1', '2', '3', '4']],
  ] as const)('are named in mode %s', (mode, fields, expected) => {
    expect(names(settled({ sharding: { enabled: true, mode, ...fields } }, 75))).toEqual(expected);
  });

  it('of others with the same labels are left alone, and named when they hold a name', () => {
    const cluster = settled({}, 10);
    cluster.change('kube-state-metrics-example-0', { controllerUid: 'another' });
    const { actions } = cluster.pass().plan;
    expect(actions.filter(({ type }) => type !== 'ApplyObject')).toEqual([]);
    expect(statusOf(cluster)?.conditions?.[0]?.message).toContain('belongs to another owner');
  });

  it('that ended are removed, and made again when their name is free', () => {
    const cluster = settled(REPLICATED, 10);
    cluster.change('kube-state-metrics-example-1', { isFinished: true, isReady: false });
    expect(cluster.pass().plan.pods.remove.map(({ reason }) => reason)).toEqual(['Finished']);
    expect(created(cluster)).toEqual([]);
    cluster.settle();
    expect(created(cluster)).toEqual(['kube-state-metrics-example-1']);
  });

  it('on a dead node give their name free half a minute after their grace', () => {
    const cluster = settled(REPLICATED, 10);
    const deletionMs = NOW_MS;
    cluster.change('kube-state-metrics-example-1', { deletionMs, isReady: false });
    const removed = (nowMs: number) =>
      plan({ ...viewOf(cluster.scale, cluster.nodes, cluster.all), nowMs }).pods.remove.map(({ reason }) => reason);
    expect(removed(deletionMs + 30_000)).toEqual([]);
    expect(removed(deletionMs + 30_001)).toEqual(['Stuck']);
  });
});

describe('replacement', () => {
  const image = { monitorImage: 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0' };

  it('goes one pod at a time, the next only when the new one is Ready', () => {
    const cluster = settled({ ...REPLICATED }, 90);
    respec(cluster, { ...REPLICATED, ...image });
    const outdated = new Set(cluster.all.map(({ uid }) => uid));
    for (let step = 0; step < 6; step += 1) {
      expect(cluster.pass().plan.pods.remove).toHaveLength(1);
      expect(cluster.pass().plan.actions.filter(({ type }) => type !== 'ApplyObject')).toEqual([]);
      cluster.settle();
      expect(created(cluster)).toHaveLength(1);
      expect(cluster.pass().plan.pods.remove).toEqual([]);
      cluster.settle();
    }
    expect(cluster.all.some(({ uid }) => outdated.has(uid))).toBe(false);
    expect(statusOf(cluster)?.phase).toBe('Ready');
  });

  it('stops at a new pod that does not get Ready, and goes on when the template is mended', () => {
    const cluster = settled(REPLICATED, 90);
    respec(cluster, { ...REPLICATED, monitorImage: 'broken' });
    cluster.pass();
    cluster.settle();
    cluster.pass();
    expect(cluster.pass().plan.pods.remove).toEqual([]);
    respec(cluster, { ...REPLICATED, ...image });
    expect(cluster.pass().plan.pods.remove.map(({ pod }) => pod.name)).toEqual(['kube-state-metrics-example-0']);
    cluster.rest();
    expect(statusOf(cluster)?.phase).toBe('Ready');
  });

  it('is not needed for a change of what no pod holds', () => {
    const cluster = settled(REPLICATED, 90);
    respec(cluster, { sharding: { enabled: true, shardCount: 3, distribution: { maxUnavailable: 2 } } });
    expect(cluster.pass().plan.pods.remove).toEqual([]);
  });
});

describe('switching', () => {
  it('from no sharding to sharding waits for each old pod of a name, and keeps one that exports all to the end', () => {
    const cluster = settled({}, 10);
    respec(cluster, REPLICATED);
    expect(created(cluster)).toEqual(['kube-state-metrics-example-1', 'kube-state-metrics-example-2']);
    expect(cluster.pass().plan.pods.remove).toEqual([]);
    cluster.settle();
    expect(cluster.pass().plan.pods.remove.map(({ pod }) => pod.name)).toEqual(['kube-state-metrics-example-0']);
    expect(created(cluster)).toEqual([]);
    cluster.settle();
    expect(created(cluster)).toEqual(['kube-state-metrics-example-0']);
    cluster.rest();
    expect(statusOf(cluster)).toMatchObject({ phase: 'Ready', shardingStatus: { activeShards: 3 } });
  });

  it('back to no sharding removes the shards when the pod that exports all is Ready', () => {
    const cluster = settled(REPLICATED, 10);
    respec(cluster, {});
    expect(cluster.pass().plan.pods.remove.map(({ pod }) => pod.name)).toEqual(['kube-state-metrics-example-0']);
    cluster.settle();
    created(cluster);
    expect(cluster.pass().plan.pods.remove).toEqual([]);
    cluster.settle();
    expect(cluster.pass().plan.pods.remove.map(({ pod }) => pod.name)).toEqual([
      'kube-state-metrics-example-2',
      'kube-state-metrics-example-1',
    ]);
    cluster.rest();
    expect(names(cluster)).toEqual(['0']);
    expect(statusOf(cluster)?.shardingStatus).toBeUndefined();
  });

  it('to names that are free makes all new pods before an old one goes', () => {
    const cluster = settled(REPLICATED, 10);
    respec(cluster, { sharding: { enabled: true, mode: 'Fixed', shardCount: 3 } });
    expect(created(cluster)).toHaveLength(3);
    expect(cluster.pass().plan.pods.remove).toEqual([]);
    cluster.settle();
    expect(cluster.pass().plan.pods.remove).toHaveLength(3);
    cluster.rest();
    expect(names(cluster)).toEqual(['shard-0', 'shard-1', 'shard-2']);
  });

  it('to another namespace does the same', () => {
    const cluster = settled({}, 10);
    respec(cluster, { namespace: 'elsewhere' });
    const { actions } = plan(viewOf(cluster.scale, cluster.nodes, cluster.all));
    expect(actions.filter(({ type }) => type === 'CreatePod')).toHaveLength(1);
    expect(actions.filter(({ type }) => type === 'DeletePod')).toHaveLength(0);
  });
});

describe('mode Expandable', () => {
  const spec = (preventContraction: boolean): KsmScaleSpecInput => ({
    sharding: { enabled: true, mode: 'Expandable', allowDynamicExpansion: true, preventContraction },
  });

  it('keeps what it reached, as long as that is wanted', () => {
    const cluster = settled(spec(true), 90);
    cluster.nodes = nodesOf(30);
    cluster.rest();
    expect(cluster.pods.size).toBe(6);
    respec(cluster, spec(false));
    cluster.rest();
    expect(cluster.pods.size).toBe(3);
  });

  it('does not take the shards of another mode for its own', () => {
    const cluster = settled({ sharding: { enabled: true, shardCount: 7 } }, 30);
    respec(cluster, spec(true));
    cluster.rest();
    expect(cluster.pods.size).toBe(3);
  });
});

describe('replication strategies', () => {
  const spec = (replicationStrategy: 'least-loaded' | 'zone-aware'): KsmScaleSpecInput => ({
    sharding: { enabled: true, shardCount: 3, replicationStrategy },
  });
  const shardsOf = (pods: readonly ObservedPod[]): readonly (string | undefined)[] =>
    pods.map(({ labels }) => labels['shard-id']);

  it('least-loaded gives the next replica to the shard with the most objects for each ready replica', () => {
    const cluster = settled(spec('least-loaded'), 45);
    expect(shardsOf(cluster.all)).toEqual(['0', '1', '2']);
    const objects = [1_000, 9_000, 4_000];
    const view = { ...viewOf(cluster.scale, nodesOf(90), cluster.all), objectsOf: (shard: number) => objects[shard] };
    const added = plan(view).actions.flatMap((action) => (action.type === 'CreatePod' ? [podOf(action.pod)] : []));
    // 9,000 for one, 4,500 for two, then 4,000 for one against 3,000 for three.
    expect(shardsOf(added)).toEqual(['1', '1', '2']);
    expect(added.map(({ labels }) => labels['shard-replica'])).toEqual(['1', '2', '1']);
  });

  it('zone-aware spreads over the zones, and gives each the shard that it lacks', () => {
    const zones = ['a', 'b', 'c'];
    const cluster = settled(spec('zone-aware'), 135, zones);
    const places = cluster.all.map(({ labels }) => `${labels['ksmscale.example.com/zone']}${labels['shard-id']}`);
    expect(places.toSorted()).toEqual(['a0', 'a1', 'a2', 'b0', 'b1', 'b2', 'c0', 'c1', 'c2']);
  });

  it.each(['least-loaded', 'zone-aware'] as const)('%s leaves every shard its minimum on the way down', (strategy) => {
    const cluster = settled(spec(strategy), 200, ['a', 'b']);
    const uids = new Set(cluster.all.map(({ uid }) => uid));
    cluster.nodes = nodesOf(10, ['a', 'b']);
    cluster.rest();
    expect(new Set(shardsOf(cluster.all))).toEqual(new Set(['0', '1', '2']));
    expect(cluster.pods.size).toBe(3);
    expect(cluster.all.every(({ uid }) => uids.has(uid))).toBe(true);
  });
});

describe('a pass over 5,000 nodes and 70 pods', () => {
  it('takes at most 50 ms of CPU', () => {
    const cluster = settled({ nodesPerMonitor: 72, sharding: { enabled: true, shardCount: 10 } }, 5_000);
    expect(cluster.pods.size).toBe(70);
    const before = process.cpuUsage();
    cluster.pass();
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThanOrEqual(50);
  });
});
