import type { KsmScaleSpecInput } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import type { Companion } from './companions.ts';
import type { ObservedObject } from './observation.ts';
import { plan } from './plan.ts';
import { scaleOf, viewOf } from './testing/scales.ts';

const SHARDED: KsmScaleSpecInput = { sharding: { enabled: true, shardCount: 3, servicePerShard: true } };

const actionsOf = (spec: KsmScaleSpecInput, objects: readonly ObservedObject[] = []) =>
  plan({ ...viewOf(scaleOf(spec), 75), objects }).actions.filter(({ type }) => type !== 'CreatePod');

const applied = (spec: KsmScaleSpecInput): readonly Companion[] =>
  actionsOf(spec).flatMap((action) => (action.type === 'ApplyObject' ? [action.object] : []));

const named = (spec: KsmScaleSpecInput, name: string): Companion | undefined =>
  applied(spec).find(({ metadata }) => metadata.name === name);

/** An object as it is after it was applied, with what the API server adds. */
const seen = ({ kind, metadata, spec }: Companion, ownerUids: readonly string[] = ['uid-example']): ObservedObject => ({
  kind,
  namespace: metadata.namespace,
  name: metadata.name,
  uid: metadata.name,
  resourceVersion: '1',
  labels: metadata.labels ?? {},
  ownerUids,
  spec: Object.assign({ sessionAffinity: 'None' }, spec),
});

describe('beside the pods of a sharded KSMScale', () => {
  it('is a headless Service of all sharded pods, one for each shard if wanted, and a PodDisruptionBudget', () => {
    expect(applied(SHARDED).map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
      'Service kube-state-metrics-sharded',
      'PodDisruptionBudget ksm-example-shards',
      'Service ksm-example-shard-0',
      'Service ksm-example-shard-1',
      'Service ksm-example-shard-2',
    ]);
    expect(named(SHARDED, 'kube-state-metrics-sharded')).toMatchObject({
      metadata: { labels: { 'app.kubernetes.io/name': 'kube-state-metrics' } },
      spec: {
        clusterIP: 'None',
        selector: { 'app.kubernetes.io/name': 'kube-state-metrics', 'sharding-enabled': 'true' },
        ports: [
          { name: 'http-metrics', port: 8080 },
          { name: 'telemetry', port: 8081 },
        ],
      },
    });
    expect(named(SHARDED, 'ksm-example-shard-1')?.spec).toMatchObject({
      selector: { 'ksmscale.example.com': 'example', 'shard-id': '1' },
      ports: [{ name: 'metrics', port: 8080, targetPort: 8080 }],
    });
    expect(named(SHARDED, 'ksm-example-shard-1')?.metadata.labels).not.toHaveProperty('app.kubernetes.io/name');
  });

  it('the PodDisruptionBudget leaves all pods but one, and never holds up a drain of broken pods', () => {
    expect(named(SHARDED, 'ksm-example-shards')?.spec).toEqual({
      minAvailable: 4,
      selector: { matchLabels: { 'ksmscale.example.com': 'example', 'sharding-enabled': 'true' } },
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    });
    const without = { sharding: { enabled: true, distribution: { enablePDB: false } } };
    expect(named(without, 'ksm-example-shards')).toBeUndefined();
  });

  it('nothing is written again that is there', () => {
    const there = applied(SHARDED).map((object) => seen(object));
    expect(actionsOf(SHARDED, there)).toEqual([]);
    const [first, ...rest] = there;
    if (first === undefined) throw new Error('no object');
    const changed = [{ ...first, spec: { ...(first.spec as object), clusterIP: '10.0.0.1' } }, ...rest];
    expect(actionsOf(SHARDED, changed)).toMatchObject([
      { type: 'ApplyObject', object: { metadata: { name: first.name } } },
    ]);
  });
});

describe('when sharding ends', () => {
  const there = applied(SHARDED).map((object) => seen(object));

  it('everything of the shards goes, and a Service of the unsharded pods comes', () => {
    expect(
      actionsOf({}, there).map(
        (action) => `${action.type} ${'object' in action && 'name' in action.object ? action.object.name : ''}`,
      ),
    ).toEqual([
      'ApplyObject ',
      'DeleteObject kube-state-metrics-sharded',
      'DeleteObject ksm-example-shards',
      'DeleteObject ksm-example-shard-0',
      'DeleteObject ksm-example-shard-1',
      'DeleteObject ksm-example-shard-2',
    ]);
    expect(named({}, 'kube-state-metrics-example')?.spec).toMatchObject({ selector: { 'sharding-enabled': 'false' } });
  });

  it('the Service that others own, too, is only released', () => {
    const shared = there.map((object) => ({ ...object, ownerUids: ['uid-example', 'uid-other'] })).slice(0, 1);
    expect(actionsOf({}, shared).at(-1)).toMatchObject({ type: 'ReleaseObject' });
  });

  it('objects of another KSMScale are left alone', () => {
    const foreign = there.map((object) => ({ ...object, ownerUids: ['uid-other'] }));
    expect(actionsOf({}, foreign).map(({ type }) => type)).toEqual(['ApplyObject']);
  });
});
