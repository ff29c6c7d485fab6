import type { KubernetesClient } from '@shard-controller/shared/kubernetes';

/** The bytes of one watch of real objects, as the API server sent them. */
export interface RealFrames {
  /** Pods of two containers with probes, volumes, status, and the managedFields of a controller and a kubelet. */
  readonly protobuf: Buffer;
  /** Custom resources of a few levels, written by server-side apply. */
  readonly json: Buffer;
}

const NAMESPACE = 'filter-bench';
const GROUP = 'bench.shard.io';
const PODS = '/api/v1/namespaces/filter-bench/pods';
const ROLLOUTS = `/apis/${GROUP}/v1/namespaces/filter-bench/rollouts`;
const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** Makes `count` pods and as many custom resources in a namespace of their own, and reads each with one WatchList. */
export async function fetchRealFrames(client: KubernetesClient, count: number): Promise<RealFrames> {
  await client.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await client.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', ROLLOUT_DEFINITION);
  while ((await client.find(ROLLOUTS)) === undefined) await new Promise((resolve) => setTimeout(resolve, 100));
  for (let i = 0; i < count; i++) {
    await client.apply({ object: pod(i), fieldManager: 'rollout-controller', force: true });
    await client.apply({ object: podStatus(i), fieldManager: 'kubelet', force: true, subresource: 'status' });
    await client.apply({ object: rollout(i), fieldManager: 'gitops', force: true });
  }
  const [protobuf, json] = await Promise.all([
    readWatch(client, PODS, PROTOBUF, count),
    readWatch(client, ROLLOUTS, 'application/json', count),
  ]);
  return { protobuf, json };
}

/** Reads the first `count` events of a WatchList; bytes of a frame that is not whole are cut off. */
async function readWatch(client: KubernetesClient, path: string, accept: string, count: number): Promise<Buffer> {
  const stop = new AbortController();
  const response = await client.stream({
    path,
    query: {
      watch: 'true',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
    },
    headers: { accept, 'accept-encoding': 'identity' },
    signal: stop.signal,
  });
  if (response.status !== 200) throw new Error(`${path} answers ${response.status}`);
  let bytes = Buffer.alloc(0);
  try {
    for await (const chunk of response.body) {
      bytes = Buffer.concat([bytes, chunk as Buffer]);
      const end = accept === PROTOBUF ? endByLength(bytes, count) : endByNewline(bytes, count);
      if (end !== undefined) return bytes.subarray(0, end);
    }
    throw new Error(`the watch of ${path} ended early`);
  } finally {
    response.body.on('error', () => {});
    stop.abort();
  }
}

function endByLength(bytes: Buffer, count: number): number | undefined {
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 4 > bytes.length) return undefined;
    at += 4 + bytes.readUInt32BE(at);
  }
  return at > bytes.length ? undefined : at;
}

function endByNewline(bytes: Buffer, count: number): number | undefined {
  let at = 0;
  for (let i = 0; i < count; i++) {
    const newline = bytes.indexOf(0x0a, at);
    if (newline < 0) return undefined;
    at = newline + 1;
  }
  return at;
}

const probe = (path: string) => ({ httpGet: { path, port: 8080 }, periodSeconds: 10, failureThreshold: 3 });

function container(name: string, i: number): Record<string, unknown> {
  return {
    name,
    image: `registry.example/team/${name}:v1.${i % 20}.0`,
    args: ['--listen=:8080', '--log-level=info'],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'REGION', value: 'eu-west-1' },
    ],
    ports: [{ name: 'http', containerPort: 8080 }],
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    livenessProbe: probe('/livez'),
    readinessProbe: probe('/readyz'),
    volumeMounts: [{ name: 'config', mountPath: '/etc/app' }],
  };
}

function pod(i: number) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `checkout-7d9c5b6f8-${i}`,
      namespace: NAMESPACE,
      labels: { app: 'checkout', 'pod-template-hash': '7d9c5b6f8', 'example.com/team': `team-${i % 7}` },
      annotations: { 'example.com/owner': `team-${i % 7}`, 'example.com/config-hash': 'c0ffee'.repeat(8) },
    },
    spec: {
      nodeName: `node-${i % 50}`,
      automountServiceAccountToken: false,
      containers: [container('server', i), container('sidecar', i)],
      volumes: [{ name: 'config', configMap: { name: 'checkout' } }],
      tolerations: [{ key: 'example.com/pool', operator: 'Exists', effect: 'NoSchedule' }],
    },
  };
}

const AT = '2026-01-02T03:04:05Z';

function podStatus(i: number) {
  const statuses = ['server', 'sidecar'].map((name) => ({
    name,
    image: `registry.example/team/${name}:v1.${i % 20}.0`,
    imageID: `registry.example/team/${name}@sha256:${'ab'.repeat(32)}`,
    containerID: `containerd://${'cd'.repeat(32)}`,
    ready: true,
    restartCount: 0,
    state: { running: { startedAt: AT } },
  }));
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: AT,
  }));
  const ip = `10.90.${(i >> 8) & 255}.${i & 255}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `checkout-7d9c5b6f8-${i}`, namespace: NAMESPACE },
    status: { phase: 'Running', conditions, containerStatuses: statuses, podIPs: [{ ip }], podIP: ip, startTime: AT },
  };
}

function rollout(i: number) {
  const steps = [5, 10, 25, 50, 100].map((weight) => ({ weight, pause: { seconds: weight * 2 } }));
  return {
    apiVersion: `${GROUP}/v1`,
    kind: 'Rollout',
    metadata: {
      name: `rollout-${i}`,
      namespace: NAMESPACE,
      labels: { app: `app-${i}`, 'example.com/team': `team-${i % 7}` },
      annotations: { 'example.com/owner': `team-${i % 7}` },
    },
    spec: {
      replicas: i % 9,
      strategy: { canary: { steps, analysis: { query: 'sum(rate(http_requests_total{code=~"5.."}[5m]))' } } },
      template: { metadata: { labels: { app: `app-${i}` } }, containers: [container('server', i)] },
      description: 'A text with "quotes", \\backslashes\\ and ünïcode',
    },
  };
}

const ROLLOUT_DEFINITION = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `rollouts.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: { kind: 'Rollout', listKind: 'RolloutList', plural: 'rollouts', singular: 'rollout' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        },
      },
    ],
  },
} as const;
