import type { KsmScaleSpecInput } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { layoutOf } from './layout.ts';
import { placesOf } from './places.ts';
import { podManifest } from './pod-manifest.ts';
import { nodesOf, scaleOf } from './testing/scales.ts';

const SETTINGS = { fixedUser: true };

function podsOf(spec: KsmScaleSpecInput, nodes: number, labels?: Record<string, string>) {
  const scale = scaleOf(spec);
  const labelled = labels === undefined ? scale : { ...scale, metadata: { ...scale.metadata, labels } };
  const layout = layoutOf(scale.spec, nodes);
  const places = placesOf({ scale: 'example', layout, pods: [], nodes: nodesOf(nodes), objectsOf: () => undefined });
  return places.map((place) => podManifest(labelled, place, SETTINGS));
}

const ARGS = ['--host=0.0.0.0', '--port=8080', '--telemetry-host=0.0.0.0', '--telemetry-port=8081'];
const BASE_LABELS = {
  'app.kubernetes.io/name': 'kube-state-metrics',
  'app.kubernetes.io/instance': 'example',
  'app.kubernetes.io/component': 'exporter',
  'ksmscale.example.com': 'example',
};

describe('a pod without sharding', () => {
  const resources = { requests: { cpu: '100m', memory: '150Mi' }, limits: { cpu: 1, memory: '300Mi' } };
  const [, pod] = podsOf({ resources }, 16);

  it('has the name, labels, ports, probes and security of the documents', () => {
    expect(pod?.metadata).toMatchObject({
      name: 'kube-state-metrics-example-1',
      namespace: 'monitoring',
      labels: { ...BASE_LABELS, index: '1' },
      ownerReferences: [
        {
          apiVersion: 'monitor.example.com/v1alpha1',
          kind: 'KSMScale',
          name: 'example',
          uid: 'uid-example',
          controller: true,
        },
      ],
    });
    expect(pod?.spec.serviceAccountName).toBe('kube-state-metrics');
    const [container, ...others] = pod?.spec.containers ?? [];
    expect(others).toEqual([]);
    expect(container).toMatchObject({
      name: 'kube-state-metrics',
      image: 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.10.1',
      args: ARGS,
      ports: [
        { name: 'http-metrics', containerPort: 8080, protocol: 'TCP' },
        { name: 'telemetry', containerPort: 8081, protocol: 'TCP' },
      ],
      livenessProbe: { httpGet: { path: '/healthz', port: 8080 }, initialDelaySeconds: 5, timeoutSeconds: 5 },
      readinessProbe: { httpGet: { path: '/', port: 8080 }, initialDelaySeconds: 5, timeoutSeconds: 5 },
      resources: { requests: { cpu: '100m', memory: '150Mi' }, limits: { cpu: '1', memory: '300Mi' } },
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
        runAsUser: 65_534,
      },
    });
  });

  it('runs on Linux nodes only', () => {
    expect(pod?.spec.nodeSelector).toEqual({ 'kubernetes.io/os': 'linux' });
  });

  it('leaves the user to the platform where the installation says so', () => {
    const scale = scaleOf();
    const [place] = placesOf({
      scale: 'example',
      layout: layoutOf(scale.spec, 1),
      pods: [],
      nodes: [],
      objectsOf: () => undefined,
    });
    if (place === undefined) throw new Error('no place');
    const { spec } = podManifest(scale, place, { fixedUser: false });
    expect(spec.containers[0]?.securityContext).not.toHaveProperty('runAsUser');
  });

  it('carries the labels of its KSMScale that are nobody else’s', () => {
    const given = { team: 'a', 'app.kubernetes.io/instance': 'argo', 'shard-id': '9', 'helm.sh/chart': 'c' };
    const [labelled] = podsOf({}, 1, given);
    expect(labelled?.metadata.labels).toMatchObject({ ...BASE_LABELS, team: 'a' });
    expect(labelled?.metadata.labels).not.toHaveProperty('shard-id');
    expect(labelled?.metadata.labels).not.toHaveProperty('helm.sh/chart');
    expect(labelled?.metadata.labels['ksmscale.example.com/revision']).toBe(
      podsOf({}, 1)[0]?.metadata.labels['ksmscale.example.com/revision'],
    );
  });
});

describe('a pod of mode Replicated', () => {
  const pods = podsOf({ sharding: { enabled: true, shardCount: 3 } }, 75);

  it('says its shard in labels, annotation, environment and arguments', () => {
    const pod = pods[4];
    expect(pod?.metadata).toMatchObject({
      name: 'kube-state-metrics-example-4',
      labels: {
        ...BASE_LABELS,
        'pod-index': '4',
        'shard-id': '1',
        'shard-replica': '1',
        'total-shards': '3',
        'sharding-enabled': 'true',
      },
      annotations: { 'ksmscale.example.com/shard-assignment': 'Shard 1 (Replica 1)' },
    });
    expect(pod?.spec.containers[0]).toMatchObject({
      args: [...ARGS, '--shard=1', '--total-shards=3'],
      env: [
        { name: 'SHARD_ID', value: '1' },
        { name: 'REPLICA_NUM', value: '1' },
        { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      ],
    });
  });

  it('keeps the replicas of its shard on different nodes, evenly', () => {
    const matchLabels = { 'ksmscale.example.com': 'example', 'shard-id': '1' };
    expect(pods[4]?.spec.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution).toContainEqual({
      weight: 100,
      podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels } },
    });
    expect(pods[4]?.spec.topologySpreadConstraints?.[0]).toMatchObject({
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels },
    });
  });

  it('has the same revision in every shard, another one with another number of shards', () => {
    const revisions = (shardCount: number): ReadonlySet<string | undefined> =>
      new Set(
        podsOf({ sharding: { enabled: true, shardCount } }, 75).map(
          ({ metadata }) => metadata.labels['ksmscale.example.com/revision'],
        ),
      );
    expect(revisions(3).size).toBe(1);
    expect(revisions(3)).not.toEqual(revisions(4));
  });
});

describe('a pod of mode Fixed', () => {
  const [pod] = podsOf({ sharding: { enabled: true, mode: 'Fixed', advanced: { spreadAcrossNodes: true } } }, 75);

  it('has no index, and keeps apart from all other shards', () => {
    expect(pod?.metadata.labels).toMatchObject({ 'shard-id': '0', 'total-shards': '3', 'sharding-enabled': 'true' });
    expect(pod?.metadata.labels).not.toHaveProperty('index');
    const matchLabels = { 'ksmscale.example.com': 'example', 'sharding-enabled': 'true' };
    expect(pod?.spec.affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution?.[0]).toEqual({
      weight: 100,
      podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels } },
    });
  });

  it('goes anywhere when nothing is to be spread', () => {
    const distribution = { spreadAcrossNodes: false, spreadAcrossZones: false };
    const [free] = podsOf({ sharding: { enabled: true, mode: 'Fixed', distribution } }, 75);
    expect(free?.spec).not.toHaveProperty('affinity');
    expect(free?.spec).not.toHaveProperty('topologySpreadConstraints');
  });
});
