import { workerPodTemplate } from '@shard-controller/manager/worker-pod';
import { parseShardConfig, type ShardConfigSpecInput } from '@shard-controller/shared/api';
import { loadWorkerConfig } from '@shard-controller/worker/config';
import { describe, expect, it } from 'vitest';

const settings = {
  image: 'worker',
  serviceAccount: 'worker',
  nats: { url: 'nats://nats:4222', auth: 'none', audience: '' } as const,
  logLevel: 'info',
  fixedUser: true,
};
const metadata = { name: 'main', namespace: 'monitoring', uid: 'uid-1', resourceVersion: '1' };

/** The environment of a worker as its pod gives it, what the kubelet fills in included. */
function environmentOf(spec: ShardConfigSpecInput): Record<string, string> {
  const parsed = parseShardConfig({ apiVersion: 'shard.io/v1', kind: 'ShardConfig', metadata, spec });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed));
  const template = workerPodTemplate({ config: metadata, spec: parsed.value.spec, worker: settings }, 'a');
  const variables = template.spec.containers.find(({ name }) => name === 'worker')?.env ?? [];
  return Object.fromEntries(
    variables.map(({ name, value }) => [name, value ?? (name === 'POD_NAME' ? 'main-a-0' : 'of-the-pod')]),
  );
}

const long = (length: number): string => 'k'.repeat(length);

/** Every field of a spec that reaches the worker's environment, at both of its ends. */
const EXTREMES: Readonly<Record<string, ShardConfigSpecInput>> = {
  defaults: {},
  'the shortest grace': { terminationGracePeriodSeconds: 1 },
  'the longest grace': { terminationGracePeriodSeconds: 86_400 },
  'the smallest capacity': {
    capacity: { objects: 1, expositionBytes: '0', memory: '1m', scrapeDuration: '10ms', queueDepth: 1 },
  },
  'the largest capacity': {
    capacity: {
      objects: 100_000_000,
      expositionBytes: '9999999Ei',
      memory: '1e30',
      scrapeDuration: '10m',
      queueDepth: 100_000_000,
    },
  },
  'the longest allow-lists': {
    exporter: {
      annotationsAllowlist: Array.from({ length: 31 }, (_, i) => `pods=[${i}${long(4080)}]`),
      labelsAllowlist: ['*=[*]', 'pods=[a, b]', 'nodes=[]'],
    },
  },
  'an image without a version': { exporter: { image: 'registry.local:5000/ksm@sha256:0a' } },
  'every kind of every group': {
    exporter: {
      customResourceState: JSON.stringify({
        spec: {
          resources: Array.from({ length: 600 }, (_, i) => ({
            groupVersionKind: { group: `g${i}.example.com`, version: 'v1', kind: i % 2 === 0 ? '*' : `Kind${i}` },
          })),
        },
      }),
    },
  },
  fenced: { isolation: 'Fence' },
};

describe('what the manager tells a worker', () => {
  it.each(Object.keys(EXTREMES))('%s: the worker takes it', (name) => {
    const environment = environmentOf(EXTREMES[name] ?? {});
    expect(() => loadWorkerConfig({ ...environment, POD_IP: '10.0.0.1', NODE_NAME: 'node' })).not.toThrow();
    for (const [variable, value] of Object.entries(environment))
      expect({ variable, fits: Buffer.byteLength(`${variable}=${value}`) < 131_072 }).toEqual({ variable, fits: true });
  });
});
