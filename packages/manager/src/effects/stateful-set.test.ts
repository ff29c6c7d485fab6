import { shardConfigSpecSchema, type ShardConfigSpecInput } from '@shard-controller/shared/api';
import { describe, expect, it } from 'vitest';
import { disruptionBudget, metricsService } from './metrics-service.ts';
import { surgeStatefulSet, workerStatefulSet } from './stateful-set.ts';
import { templateRevision, type WorkerPodInput, workerPodTemplate } from './worker-pod.ts';

const config = { namespace: 'monitoring', name: 'main', uid: '7d1f9c1e-0000-4000-8000-000000000001' };
const worker = {
  image: 'shard-controller-worker:1',
  serviceAccount: 'shard-controller-worker',
  nats: { url: 'nats://nats.monitoring:4222', auth: 'none', audience: '' } as const,
  logLevel: 'info',
  fixedUser: true,
};
const input = (spec: ShardConfigSpecInput): WorkerPodInput => ({
  config,
  spec: shardConfigSpecSchema.parse(spec),
  worker,
});

const full: ShardConfigSpecInput = {
  resources: { requests: { cpu: '200m', memory: '256Mi' }, limits: { cpu: 1, memory: '512Mi' } },
  isolation: 'Fence',
  exporter: {
    image: 'registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0',
    resources: ['pods', 'nodes'],
    labelsAllowlist: ['pods=[*]', 'nodes=[*]'],
    annotationsAllowlist: ['pods=[example.com/owner]'],
    customResourceState:
      'spec: { resources: [{ groupVersionKind: { group: example.com, version: v1, kind: Widget } }] }',
    extraArgs: ['--metric-denylist=^kube_pod_tolerations$'],
  },
  nodeSelector: { pool: 'metrics' },
  tolerations: [{ key: 'dedicated', operator: 'Exists' }],
  priorityClassName: 'system-cluster-critical',
  podLabels: { team: 'observability' },
  terminationGracePeriodSeconds: 90,
};

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

describe('workerStatefulSet', () => {
  it('renders the defaults', async () => {
    await expect(json(workerStatefulSet(input({}), 'a', 2))).toMatchFileSnapshot(
      'testdata/stateful-set-default.golden',
    );
  });

  it('renders a spec that sets everything', async () => {
    await expect(json(workerStatefulSet(input(full), 'b', 5))).toMatchFileSnapshot('testdata/stateful-set-full.golden');
  });
});

describe('surgeStatefulSet', () => {
  it('differs from the others in its name, its labels and its ordinal', () => {
    const { metadata, spec } = surgeStatefulSet(input({}));
    expect(metadata?.name).toBe('main-s');
    expect(spec).toMatchObject({ replicas: 1, ordinals: { start: 1000 } });
    expect(spec.selector.matchLabels).toMatchObject({ 'shard.io/replica': 'surge' });
    const regular = workerStatefulSet(input({}), 'a', 2).spec.template;
    expect(spec.template.spec).toEqual(regular.spec);
    expect({ ...spec.template.metadata.labels, 'shard.io/replica': 'a' }).toEqual(regular.metadata.labels);
  });
});

describe('the worker pod', () => {
  const { metadata, spec } = workerPodTemplate(input(full), 'a');
  const [workerContainer, exporter] = spec.containers;

  it('gives credentials to the worker container and to nobody else', () => {
    expect(spec.automountServiceAccountToken).toBe(false);
    expect(workerContainer?.volumeMounts?.map(({ mountPath }) => mountPath)).toEqual([
      '/var/run/secrets/kubernetes.io/serviceaccount',
    ]);
    expect(exporter?.volumeMounts).toBeUndefined();
    expect(exporter?.env).toBeUndefined();
  });

  it('runs every container without privileges', () => {
    for (const container of spec.containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
      });
    }
  });

  it('names no user where the platform gives one, and is still not root', () => {
    const { securityContext } = workerPodTemplate({ ...input({}), worker: { ...worker, fixedUser: false } }, 'a').spec;
    expect(securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
  });

  it('keeps the exporter alive until the worker has handed over its slots', () => {
    expect(exporter?.lifecycle?.preStop?.httpGet).toMatchObject({ path: '/drain/wait', port: 8083 });
  });

  it('points the exporter at the worker, whatever else its arguments say', () => {
    expect(exporter?.args?.at(0)).toBe('--metric-denylist=^kube_pod_tolerations$');
    expect(exporter?.args).toContain('--apiserver=http://127.0.0.1:8084');
    expect(exporter?.args).toContain('--metric-labels-allowlist=pods=[*],nodes=[*]');
  });

  it('carries its own revision in a label that the worker can read', () => {
    expect(metadata.labels?.['shard.io/revision']).toBe(templateRevision(input(full)));
    const revision = workerContainer?.env?.find(({ name }) => name === 'REVISION');
    expect(revision?.valueFrom?.fieldRef?.fieldPath).toBe("metadata.labels['shard.io/revision']");
  });
});

describe('templateRevision', () => {
  it('is the same for the same spec and for both replicas', () => {
    expect(templateRevision(input(full))).toBe(templateRevision(input(structuredClone(full))));
    const revisions = (['a', 'b'] as const).map(
      (replica) => workerPodTemplate(input(full), replica).metadata.labels?.['shard.io/revision'],
    );
    expect(new Set(revisions).size).toBe(1);
  });

  it.each([
    ['the exporter image', { ...full, exporter: { ...full.exporter, image: 'ksm:v2.21.0' } }],
    ['an allow-list', { ...full, exporter: { ...full.exporter, labelsAllowlist: ['pods=[app]'] } }],
    ['resources', { ...full, resources: { requests: { cpu: '300m' } } }],
    ['a pod label', { ...full, podLabels: { team: 'other' } }],
  ])('changes with %s', (_, changed) => {
    expect(templateRevision(input(changed))).not.toBe(templateRevision(input(full)));
  });

  it('does not change with what only decisions are made of', () => {
    const scaled = {
      ...full,
      minShards: 3,
      scaleUpThreshold: 0.9,
      handover: { maxOverlap: '1m' },
      capacity: { objects: 9 },
    };
    expect(templateRevision(input(scaled))).toBe(templateRevision(input(full)));
  });
});

describe('the objects around the workers', () => {
  it('are a headless Service that keeps draining pods as targets', () => {
    expect(metricsService(config)).toMatchObject({
      metadata: { name: 'main-metrics', ownerReferences: [{ kind: 'ShardConfig', uid: config.uid, controller: true }] },
      spec: { clusterIP: 'None', publishNotReadyAddresses: true, ports: [{ name: 'http-metrics', port: 8080 }] },
    });
  });

  it.each([
    [1, 3, 1],
    [2, 7, 2],
    [3, 3, 2],
    [5, 3, 2],
    [2, 2, 1],
    [1, 1, 1],
  ])('bound evictions: maxUnavailable %i of %i shards becomes %i', (maxUnavailable, shards, effective) => {
    expect(disruptionBudget(config, shards, maxUnavailable).spec).toMatchObject({
      maxUnavailable: effective,
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    });
  });
});
